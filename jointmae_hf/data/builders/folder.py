"""The `folder` dataset: a user's own files, in splits and classes that the folders name, as a `datasets` builder."""

import logging
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.fingerprint import Hasher

from jointmae_hf.data.readers.formats import POINT_CLOUD_SUFFIXES, read_point_cloud
from jointmae_hf.data.schema import point_cloud_features, point_cloud_table
from jointmae_hf.model.feature_extraction_jointmae import UP_AXES, rotate_to_y_up

from .point_cloud_builder import DatasetError
from .source_files import (
    ARCHIVE_SUFFIXES,
    BUILDER_SOURCES,
    as_folder,
    check_integer,
    files_state,
    hash_sources,
    walk_visible,
)


logger = logging.getLogger(__name__)

_SPLIT_OF_FOLDER = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_POINTS_PER_TABLE = 1 << 20


@dataclass(frozen=True)
class PointCloudFile:
    """A file of the dataset: `id` is its path below the dataset, `class_name` the folder that holds it, if any."""

    path: Path
    id: str
    class_name: str | None


def find_point_cloud_files(
    data_dir: str | Path | None, suffixes: Sequence[str] | None = None, follow_links: bool = False
) -> dict[str, list[PointCloudFile]]:
    """Return the files of every split, sorted by path, without reading them; see `PointCloudFolder` for the rules."""
    data_dir, suffixes = as_folder(data_dir), _check_suffixes(suffixes)
    places = None if follow_links else _places(data_dir)
    splits: dict[str, list[PointCloudFile]] = {}
    ignored: list[str] = []
    for split, folder in _split_folders(data_dir, suffixes).items():
        paths = _walk(folder, places)
        others = [path for path in paths if path.suffix.lower() not in suffixes]
        ignored += [path.relative_to(data_dir).as_posix() for path in others]
        splits[split] = [_to_file(path, folder, data_dir) for path in paths if path.suffix.lower() in suffixes]
        if not splits[split]:
            archives = [path.name for path in others if path.suffix.lower() in ARCHIVE_SUFFIXES]
            raise ValueError(
                f"`data_dir` must hold files that end in {', '.join(suffixes)}, got none in {folder}."
                + (f" Extract its archives first: {', '.join(archives)}." if archives else "")
            )
    _warn_of_ignored(ignored, data_dir)
    _check_all_or_none_have_a_class(splits)
    return splits


def _check_suffixes(suffixes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the endings to read in lower case, by default all that are known."""
    if suffixes is None:
        return POINT_CLOUD_SUFFIXES
    chosen = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    unknown = [suffix for suffix in chosen if suffix.lower() not in POINT_CLOUD_SUFFIXES]
    if unknown or not chosen:
        raise ValueError(f"`suffixes` must be of {', '.join(POINT_CLOUD_SUFFIXES)}, got {suffixes!r}.")
    return tuple(suffix.lower() for suffix in chosen)


def _places(data_dir: Path) -> list[Path]:
    """Return where links may lead: into the dataset, and to where the cache of the Hub keeps the files of a snapshot."""
    real = data_dir.resolve()
    return [real, *(folder.parent / "blobs" for folder in real.parents if folder.name == "snapshots")]


def _check_within(path: Path, places: Sequence[Path] | None) -> None:
    """Raise unless a path ends in one of the places; an archive may have left a link to any file of the machine."""
    real = path.resolve()
    if places is not None and not any(real.is_relative_to(place) for place in places):
        raise ValueError(f"`{path}` must lie in `data_dir`, got a link to {real}. If you made it, set `follow_links`.")


def _split_folders(data_dir: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each split; `data_dir` itself is `train` if it holds no folder named after a split."""
    entries = sorted(entry for entry in data_dir.iterdir() if not entry.name.startswith("."))
    found: dict[str, Path] = {}
    for entry in entries:
        split = _SPLIT_OF_FOLDER.get(entry.name)
        if split is None or not entry.is_dir():
            continue
        if split in found:
            raise ValueError(f"`data_dir` must hold `val` or `validation`, got both in {data_dir}.")
        found[split] = entry
    if not found:
        return {"train": data_dir}
    strays = [entry.name for entry in entries if entry.is_dir() and entry not in found.values()]
    strays += [entry.name for entry in entries if entry.suffix.lower() in suffixes and entry.is_file()]
    if strays:
        raise ValueError(
            f"`data_dir` must hold nothing but its splits {sorted(found)}, got {strays}. Move them into a split."
        )
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _walk(folder: Path, places: Sequence[Path] | None) -> list[Path]:
    """Return all visible files below a folder in sorted order, links within `places` followed."""
    files: list[Path] = []
    seen: set[Path] = set()
    for parent, paths in walk_visible(folder):
        _check_within(parent, places)
        real = parent.resolve()
        if real in seen:
            raise ValueError(f"`data_dir` must reach every folder once, got a second way to {real}: {parent}.")
        seen.add(real)
        files += paths
    for path in files:
        if path.is_symlink():
            _check_within(path, places)
    return sorted(files)


def _to_file(path: Path, folder: Path, data_dir: Path) -> PointCloudFile:
    """Return what is known about a file of the split in `folder`."""
    if not path.is_file():
        raise ValueError(f"`{path}` must be a regular file, got a broken link or a device.")
    class_name = None if path.parent == folder else path.parent.name
    return PointCloudFile(path, path.relative_to(data_dir).as_posix(), class_name)


def _warn_of_ignored(names: Sequence[str], data_dir: Path) -> None:
    """Warn of files of other formats."""
    if names:
        kinds = Counter(PurePosixPath(name).suffix or "without ending" for name in names)
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        examples = ", ".join(names[:5])
        logger.warning("Ignored %d files of other formats in %s (%s): %s", len(names), data_dir, counts, examples)


def _check_all_or_none_have_a_class(splits: dict[str, list[PointCloudFile]]) -> None:
    """Raise unless every file or no file lies in a class folder."""
    files = [file for split in splits.values() for file in split]
    without = [file.id for file in files if file.class_name is None]
    if without and len(without) < len(files):
        raise ValueError(
            f"`data_dir` must hold all its files in class folders or none, got {len(without)} of {len(files)} outside, "
            f"such as {without[0]}. Move it, or name the endings to read in `suffixes`."
        )


def class_names_of(splits: dict[str, list[PointCloudFile]]) -> list[str] | None:
    """Return the sorted class names of all splits, or `None` for a dataset without classes."""
    names = {file.class_name for files in splits.values() for file in files if file.class_name is not None}
    return sorted(names) or None


@dataclass
class PointCloudFolderConfig(datasets.BuilderConfig):
    """How the files of a `folder` dataset are read; see `PointCloudFolder`."""

    num_points: int = 2048
    seed: int = 0
    up_axis: str = "y"
    points_key: str | None = None
    suffixes: Sequence[str] | None = None
    follow_links: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("num_points", self.num_points, 1)
        check_integer("seed", self.seed, 0)
        if self.up_axis not in UP_AXES:
            raise ValueError(f'`up_axis` must be "x", "y" or "z", got {self.up_axis!r}.')


class PointCloudFolder(datasets.ArrowBasedBuilder):
    """Builder of a dataset from files on disk; points keep the units of their file.

    The sub-folders `train`, `validation` (or `val`) and `test` are the splits; without any of them, all files are in
    `train`. The class of a cloud is the name of the folder that holds it. Hidden files are ignored, files of other formats
    are named in a warning, archives are never extracted. A bad file stops the build with its name, and nothing of the
    dataset stays in the cache. The cache depends on the options, on path, size and modification time of every file, and on
    the source of the readers.

    Args:
        data_dir (`str`):
            Folder of files, or of splits.
        suffixes (`Sequence[str]`, *optional*):
            Endings of the files to read, such as `[".off"]`. Defaults to `POINT_CLOUD_SUFFIXES`.
        follow_links (`bool`, *optional*, defaults to `False`):
            Whether symbolic links may lead out of `data_dir`. Those of a snapshot in the cache of the Hub always may.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        num_points (`int`, *optional*, defaults to 2048):
            Points to sample from the surface of each mesh. Clouds keep their own number.
        seed (`int`, *optional*, defaults to 0):
            Seed of these points, not negative. They depend on it and on the path of the file below `data_dir`.
        up_axis (`str`, *optional*, defaults to `"y"`):
            Axis that points up in the files, `"x"`, `"y"` or `"z"`; rotated to y, never mirrored.
        points_key (`str`, *optional*):
            Name of the array in `.npz` and `.h5` files. Without it, `"points"`, or else the only array of a file.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ImportError: If the format of a file needs a package that is not installed.
        ValueError: If `data_dir` is not a folder of point clouds: an ending is unknown, a split is empty, something lies
            next to the splits, a file or folder cannot be read, a link leads out, or only some of the files lie in a class
            folder. Later, as a `DatasetError`, if a file is not a valid cloud.
    """

    BUILDER_CONFIG_CLASS = PointCloudFolderConfig
    VERSION = datasets.Version("1.1.0")
    SOURCES = (*BUILDER_SOURCES, "model/feature_extraction_jointmae.py")

    def __init__(
        self,
        *,
        data_dir: str | None = None,
        suffixes: Sequence[str] | None = None,
        follow_links: bool = False,
        hash: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._splits = find_point_cloud_files(data_dir, suffixes, follow_links)
        if hash is None:
            paths = [file.path for files in self._splits.values() for file in files]
            hash = Hasher.hash([hash_sources(self.SOURCES), files_state(paths)])
        options = {"suffixes": suffixes, "follow_links": follow_links}
        super().__init__(data_dir=str(data_dir), hash=hash, **options, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Point clouds from files of a folder.",
            features=point_cloud_features(class_names=class_names_of(self._splits)),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        # A missing package reaches the user unchanged from here; among the tables, `datasets` would wrap its error.
        first_files = {file.path.suffix.lower(): file for files in self._splits.values() for file in reversed(files)}
        for file in first_files.values():
            self._read(file)
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": files}) for split, files in self._splits.items()
        ]

    def _generate_tables(self, files: list[PointCloudFile]) -> Iterator[tuple[int, pa.Table]]:
        start = 0
        waiting: list[np.ndarray] = []
        num_waiting = 0
        for position, file in enumerate(files):
            waiting.append(self._read(file))
            num_waiting += len(waiting[-1])
            if num_waiting >= _POINTS_PER_TABLE or position + 1 == len(files):
                yield start, self._table(files[start : position + 1], waiting)
                start, waiting, num_waiting = position + 1, [], 0

    def _read(self, file: PointCloudFile) -> np.ndarray:
        """Return the cloud of one file, y up."""
        rng = np.random.default_rng([self.config.seed, zlib.crc32(file.id.encode())])
        try:
            points = read_point_cloud(file.path, self.config.num_points, self.config.points_key, rng)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        return rotate_to_y_up(points, self.config.up_axis)

    def _table(self, files: list[PointCloudFile], points: list[np.ndarray]) -> pa.Table:
        """Return one table of consecutive files."""
        labels = None
        if "label" in self.info.features:
            labels = [self.info.features["label"].str2int(file.class_name) for file in files]
        return point_cloud_table(self.info.features, points, [file.id for file in files], labels)
