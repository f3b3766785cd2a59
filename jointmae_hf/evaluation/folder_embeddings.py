"""Features of all files below a folder, on any number of processes, in one Parquet file."""

import hashlib
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import torch

from jointmae_hf.data.builders.folder import PointCloudFile, find_point_cloud_files

from .embedding_shards import EmbeddingTable, read_embedding_metadata
from .embeddings import FileEmbedder, FileReader


if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger(__name__)

_NUM_SHARDS = 256
_MOST_FILES_PER_SHARD = 4096


@dataclass(frozen=True)
class EmbeddedFolder:
    """What [`embed_folder`] wrote.

    Args:
        output (`pathlib.Path`):
            The Parquet file.
        num_rows (`int`):
            Number of files with features.
        feature_size (`int`):
            Width of the features.
        skipped (`list[tuple[str, str]]`):
            Path and reason of every file that could not be read.
    """

    output: Path
    num_rows: int
    feature_size: int
    skipped: list[tuple[str, str]]


@dataclass(frozen=True)
class _ReadFile:
    """One file after reading: a cloud, or an error."""

    name: str
    points: np.ndarray | None
    num_points: int
    error: Exception | None = None


class _Files(torch.utils.data.Dataset):
    """Files of a folder as a dataset, for the workers of a loader."""

    def __init__(self, files: Sequence[PointCloudFile], reader: FileReader) -> None:
        self._files, self._reader = files, reader

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> _ReadFile:
        file = self._files[index]
        try:
            return _ReadFile(file.id, *self._reader.read(file.path, file.id))
        except (ValueError, TypeError, OSError, ImportError) as error:
            return _ReadFile(file.id, None, 0, error)


def embed_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    embedder: FileEmbedder,
    skip_errors: bool = False,
    num_workers: int = 0,
    follow_links: bool = False,
) -> EmbeddedFolder:
    """Compute the features of all point clouds and meshes below a folder and write them as one Parquet file.

    The columns are `path` (below the folder, with `/`), `features` (a list of fixed size, float32) and `num_points`; rows are
    in the order of the paths. [`read_embedding_metadata`] reads what they depend on. The features of a file do not depend on
    other files. Until all are computed, shards lie next to the output in `{output}.parts`; after an
    interruption of any kind the same call goes on with the missing ones, and its result is that of an undisturbed run.

    Processes of `accelerate launch` share the work, also on several machines that share a disk: each computes every n-th
    shard, and the main process joins them.

    Args:
        folder (`str` or `os.PathLike`):
            Folder of files in any format of [`read_point_cloud`], at any depth. Hidden files are ignored.
        output (`str` or `os.PathLike`):
            File to write, ending in `.parquet`, outside `folder`.
        embedder ([`FileEmbedder`]):
            The model.
        skip_errors (`bool`, *optional*, defaults to `False`):
            Whether to go on without the files that cannot be read.
        num_workers (`int`, *optional*, defaults to 0):
            Processes that read files while the model computes.
        follow_links (`bool`, *optional*, defaults to `False`):
            Whether symbolic links may lead out of `folder`.

    Returns:
        [`EmbeddedFolder`]: The same on every process.

    Raises:
        ImportError: If the format of a file needs a package that is not installed.
        ValueError: If a file cannot be read and `skip_errors` is not set, none can be read, `output` is another table, or
            what was interrupted was a run on other files or with other settings.
    """
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    folder, output = Path(folder), Path(output)
    _check_output(output, folder)
    files = find_point_cloud_files(folder, follow_links=follow_links, layout="flat")["train"]
    description = {**embedder.describe(), "num_files": len(files), "files_sha256": _hash_files(files)}
    files_per_shard = _files_per_shard(len(files), embedder.settings.batch_size)
    table, state = EmbeddingTable(output, description, len(files), files_per_shard), PartialState()
    if not table.is_complete():
        if state.is_main_process:
            table.start()
        state.wait_for_everyone()
        table.check_run()
        share = range(state.process_index, len(table.shards), state.num_processes)
        _Share(table, share, files, embedder, num_workers).write(skip_errors, has_bar=state.is_main_process)
        state.wait_for_everyone()
    reports: list[Any] = [None]
    if state.is_main_process:
        table.finish()
        reports = [_report(output)]
    return broadcast_object_list(reports)[0]  # on other machines the file may show up later


def _files_per_shard(num_files: int, batch_size: int) -> int:
    """Return whole batches: few enough to share the work evenly and lose little of it, at most 4,096 files."""
    num_batches = math.ceil(num_files / (_NUM_SHARDS * batch_size))
    return batch_size * max(1, min(num_batches, _MOST_FILES_PER_SHARD // batch_size))


def _check_output(output: Path, folder: Path) -> None:
    """Raise unless the output is a Parquet file outside the folder, where it would be read as a cloud."""
    if output.suffix != ".parquet":
        raise ValueError(f"`output` must end in .parquet, got {output}.")
    if output.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"`output` must lie outside `folder`, got {output} in {folder}.")


def _hash_files(files: Sequence[PointCloudFile]) -> str:
    """Return the SHA-256 of names, sizes and modification times."""
    digest = hashlib.sha256()
    for file in files:
        status = file.path.stat()
        digest.update(f"{file.id}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


class _Share:
    """The shards of one process: those that are missing are computed, in batches that never cross from one to the next."""

    def __init__(
        self,
        table: EmbeddingTable,
        numbers: Sequence[int],
        files: Sequence[PointCloudFile],
        embedder: FileEmbedder,
        num_workers: int,
    ) -> None:
        self._table, self._embedder = table, embedder
        self._numbers = sorted(set(numbers) & set(table.missing_shards()))
        self._num_files = sum(len(table.shards[number]) for number in numbers)
        self._num_missing = sum(len(table.shards[number]) for number in self._numbers)
        self._loader = torch.utils.data.DataLoader(
            _Files(files, embedder.reader),
            batch_sampler=[batch for number in self._numbers for batch in self._batches(number)],
            collate_fn=list,
            num_workers=num_workers,
        )

    def _batches(self, number: int) -> list[list[int]]:
        """Return the indices of the files of a shard in batches."""
        shard, size = self._table.shards[number], self._embedder.settings.batch_size
        return [list(shard[start : start + size]) for start in range(0, len(shard), size)]

    def write(self, skip_errors: bool, has_bar: bool) -> None:
        """Compute and write the missing shards."""
        from huggingface_hub.utils import tqdm

        done = self._num_files - self._num_missing
        if done and has_bar:
            logger.info("resuming: %d of %d files are done", done, self._num_files)
        batches = iter(self._loader)
        with tqdm(total=self._num_files, initial=done, unit="file", desc="embed", disable=not has_bar) as bar:
            for number in self._numbers:
                self._write_shard(number, batches, skip_errors, bar)

    def _write_shard(self, number: int, batches: Iterator[list[_ReadFile]], skip_errors: bool, bar: "tqdm") -> None:
        """Compute and write one shard."""
        files: list[_ReadFile] = []
        features: list[np.ndarray] = []
        for _ in self._batches(number):
            batch = next(batches)
            _check_batch(batch, skip_errors)
            features.append(self._embed(batch))
            files += batch
            bar.update(len(batch))
        kept = [row for row, file in enumerate(files) if file.points is not None]
        self._table.write_shard(
            number,
            [files[row].name for row in kept],
            np.concatenate(features)[kept],
            [files[row].num_points for row in kept],
            [(file.name, str(file.error)) for file in files if file.points is None],
        )

    def _embed(self, batch: Sequence[_ReadFile]) -> np.ndarray:
        """Return one row per file; one that was not read keeps its place, since the size of a batch may change last bits."""
        nothing = np.zeros((self._embedder.reader.feature_extractor.num_points, 3), dtype=np.float32)
        return self._embedder.embed_clouds([nothing if file.points is None else file.points for file in batch])


def _check_batch(batch: Sequence[_ReadFile], skip_errors: bool) -> None:
    """Raise for the first file that was not read, unless it may be skipped; a missing package concerns many files."""
    for file in batch:
        if isinstance(file.error, ImportError):
            raise file.error
        if file.error is not None and not skip_errors:
            reason = str(file.error).rstrip(".")
            raise ValueError(f"{reason}. Pass `skip_errors` to go on without such files.") from file.error


def _report(output: Path) -> EmbeddedFolder:
    """Return what a finished table holds."""
    metadata, schema = pq.read_metadata(output), pq.read_schema(output)
    skipped = [(name, reason) for name, reason in read_embedding_metadata(output)["skipped"]]
    return EmbeddedFolder(output, metadata.num_rows, schema.field("features").type.list_size, skipped)
