"""The index of a folder of shapes: built when absent, refreshed when files change, kept in one Parquet file."""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jointmae_hf.data.builders.folder import PointCloudFile, find_point_cloud_files

from .embeddings import FileEmbedder
from .shape_features import embed_rotated, reference_clouds
from .shape_search import FeatureWhitening, ShapeIndex


FILES_PER_SAVE = 1024
"""New files after which the index is written, so that an interrupted run goes on from there."""

_DESCRIPTION_KEY, _SEARCH_KEY = "jointmae", "jointmae_search"
_DECISIVE = (
    *("weights_sha256", "pooling", "up_axis", "points_key", "seed", "num_points"),
    *("do_normalize", "sampling", "do_mirror", "num_rotations"),
)
"""Fields of the description that features depend on; the others say where and how they were computed."""


@dataclass(frozen=True)
class FolderIndex:
    """The index of a folder, and what had to be done for it.

    Args:
        index ([`ShapeIndex`]):
            The shapes; their names are paths below the folder, with `/`.
        num_new (`int`):
            Files that were embedded because the index did not have them.
        num_changed (`int`):
            Files that were embedded again because their size or modification time had changed.
        num_removed (`int`):
            Files that left the index because they are no longer there.
        skipped (`list[tuple[str, str]]`):
            Path and reason of every file that could not be read.
    """

    index: ShapeIndex
    num_new: int
    num_changed: int
    num_removed: int
    skipped: list[tuple[str, str]]


def index_folder(
    folder: str | os.PathLike[str],
    embedder: FileEmbedder,
    path: str | os.PathLike[str] | None = None,
    num_rotations: int = 1,
    skip_errors: bool = False,
    use_faiss: bool | None = None,
) -> FolderIndex:
    """Index all point clouds and meshes below a folder.

    Only files that are new or have changed are embedded. The index is a Parquet file for `datasets`, with the columns `path`,
    `features`, `num_points`, `num_bytes` and `modified` (nanoseconds); it is written atomically, and after every 1,024 new
    files, so that an interrupted run goes on from there.

    Args:
        folder (`str` or `os.PathLike`):
            Folder of files in any format of [`read_point_cloud`], at any depth. Hidden files are ignored.
        embedder ([`FileEmbedder`]):
            The model.
        path (`str` or `os.PathLike`, *optional*):
            Parquet file that keeps the index, outside `folder`. By default nothing is kept.
        num_rotations (`int`, *optional*, defaults to 1):
            Rotations about the up axis that features are averaged over, see [`embed_rotated`].
        skip_errors (`bool`, *optional*, defaults to `False`):
            Whether to go on without the files that cannot be read.
        use_faiss (`bool`, *optional*):
            See [`ShapeIndex`].

    Returns:
        [`FolderIndex`]: The index and what has changed.

    Raises:
        ImportError: If the format of a file needs a package that is not installed.
        ValueError: If `path` was made with another model or other settings, a file cannot be read and `skip_errors` is not
            set, or none can.
    """
    folder, path = Path(folder), None if path is None else Path(path)
    _check_path(path, folder)
    table = _IndexTable(path, {**embedder.describe(), "num_rotations": num_rotations})
    files = find_point_cloud_files(folder, layout="flat")["train"]
    states = {file.id: _state(file.path) for file in files}
    before = {name: row.state for name, row in table.rows.items()}
    table.rows = {name: row for name, row in table.rows.items() if states.get(name) == row.state}
    stale = [file for file in files if file.id not in table.rows]
    num_removed = len(before.keys() - states.keys())
    if table.reference is None:
        clouds = reference_clouds(embedder.reader.feature_extractor.num_points)
        table.reference = embed_rotated(embedder.embed_clouds, clouds, num_rotations)
    try:
        skipped = _embed_files(stale, states, embedder, table, skip_errors)
    finally:  # what an interrupted or failed run has done is not done again
        if stale or num_removed:
            table.save()
    if not table.rows:
        name, reason = skipped[0]
        raise ValueError(f"`folder` must hold a file that can be read, got {len(skipped)} others. {name}: {reason}")
    names = sorted(table.rows)
    embedded = {file.id for file in stale} & table.rows.keys()
    num_changed = len(embedded & before.keys())
    num_new = len(embedded) - num_changed
    features = np.stack([table.rows[name].features for name in names])
    index = ShapeIndex(features, names, FeatureWhitening.fit(table.reference), use_faiss)
    return FolderIndex(index, num_new, num_changed, num_removed, skipped)


@dataclass(frozen=True)
class _Row:
    """One file of an index; `state` is its size in bytes and its modification time in nanoseconds."""

    features: np.ndarray
    num_points: int
    state: tuple[int, int]


class _IndexTable:
    """The Parquet file of an index; without a path it lives in memory alone."""

    def __init__(self, path: Path | None, description: dict[str, Any]) -> None:
        self._path, self.description = path, description
        self.rows: dict[str, _Row] = {}
        self.reference: np.ndarray | None = None
        if path is not None and path.exists():
            self._load(path)

    def _load(self, path: Path) -> None:
        """Read all rows after comparing the description."""
        try:
            table, metadata = pq.read_table(path), pq.read_metadata(path).metadata or {}
        except pa.ArrowInvalid as error:
            raise ValueError(f"`index` must be a Parquet file, got {path}: {error}") from error
        if _SEARCH_KEY.encode() not in metadata:
            kind = (
                "features of `jointmae embed`"
                if _DESCRIPTION_KEY.encode() in metadata
                else "a file without its metadata"
            )
            raise ValueError(
                f"`index` must be a file of `jointmae search`, got {kind}: {path}. An index also holds sizes and times of the "
                "files and the features of the reference. Name a file that does not exist yet."
            )
        found = json.loads(metadata[_DESCRIPTION_KEY.encode()])
        for name in _DECISIVE:
            if found.get(name) != self.description.get(name):
                raise ValueError(
                    f"`{name}` must be that of the index {path}, {found.get(name)!r}, got {self.description.get(name)!r}. "
                    "Name another index, or remove this one to build it again."
                )
        size = table.schema.field("features").type.list_size
        features = table["features"].combine_chunks().flatten().to_numpy().reshape(-1, size)
        columns = [table[name].to_pylist() for name in ("path", "num_points", "num_bytes", "modified")]
        for name, num_points, num_bytes, modified, row in zip(*columns, features, strict=True):
            self.rows[name] = _Row(row, num_points, (num_bytes, modified))
        stored = np.frombuffer(base64.b64decode(json.loads(metadata[_SEARCH_KEY.encode()])["reference"]), dtype="<f4")
        self.reference = stored.reshape(-1, size)

    def save(self) -> None:
        """Write the file, complete or not at all."""
        if self._path is None or not self.rows:
            return
        names = sorted(self.rows)
        rows = [self.rows[name] for name in names]
        features = np.stack([row.features for row in rows])
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1), pa.float32()), features.shape[1])
        integers = zip(*((row.num_points, *row.state) for row in rows), strict=True)
        table = pa.table(
            [pa.array(names), vectors, *(pa.array(column, pa.int64()) for column in integers)],
            names=["path", "features", "num_points", "num_bytes", "modified"],
        )
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        try:
            with pq.ParquetWriter(temporary, table.schema, compression="zstd", use_dictionary=False) as writer:
                writer.write_table(table)
                writer.add_key_value_metadata(self._metadata())
            os.replace(temporary, self._path)
        finally:
            temporary.unlink(missing_ok=True)

    def _metadata(self) -> dict[str, str]:
        """Return the description, and the features of the reference."""
        packed = base64.b64encode(np.ascontiguousarray(self.reference, dtype="<f4").tobytes()).decode("ascii")
        records = {_DESCRIPTION_KEY: self.description, _SEARCH_KEY: {"reference": packed}}
        return {key: json.dumps(record) for key, record in records.items()}


def _check_path(path: Path | None, folder: Path) -> None:
    """Raise unless the index is a Parquet file outside the folder, where it would be read as a cloud."""
    if path is None:
        return
    if path.suffix != ".parquet":
        raise ValueError(f"`index` must end in .parquet, got {path}.")
    if path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"`index` must lie outside `folder`, got {path} in {folder}.")
    if not path.parent.is_dir():
        raise ValueError(f"`index` must lie in an existing folder, got {path}.")


def _state(path: Path) -> tuple[int, int]:
    """Return size and modification time of a file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _embed_files(
    files: Sequence[PointCloudFile],
    states: dict[str, tuple[int, int]],
    embedder: FileEmbedder,
    table: _IndexTable,
    skip_errors: bool,
) -> list[tuple[str, str]]:
    """Embed files into the table; return path and reason of those that were skipped."""
    from huggingface_hub.utils import tqdm

    num_rotations, batch_size = table.description["num_rotations"], embedder.settings.batch_size
    skipped: list[tuple[str, str]] = []
    with tqdm(total=len(files), unit="file", desc="index", disable=len(files) <= batch_size) as bar:
        for start in range(0, len(files), batch_size):
            batch = files[start : start + batch_size]
            read = {file.id: _read(file, embedder, skip_errors) for file in batch}
            skipped += [(name, found) for name, found in read.items() if isinstance(found, str)]
            clouds = {name: found for name, found in read.items() if not isinstance(found, str)}
            if clouds:
                features = embed_rotated(embedder.embed_clouds, [cloud for cloud, _ in clouds.values()], num_rotations)
                for (name, (_, num_points)), row in zip(clouds.items(), features, strict=True):
                    table.rows[name] = _Row(row, num_points, states[name])
            bar.update(len(batch))
            if (start + batch_size) % FILES_PER_SAVE < batch_size:
                table.save()
    return skipped


def _read(file: PointCloudFile, embedder: FileEmbedder, skip_errors: bool) -> tuple[np.ndarray, int] | str:
    """Return the cloud of a file and the number of its points, or the reason why it cannot be read."""
    try:
        return embedder.reader.read(file.path, file.id)
    except (ValueError, TypeError, OSError) as error:
        if not skip_errors:
            raise ValueError(f"{error} Pass `skip_errors` to go on without such files.") from error
        return str(error)
