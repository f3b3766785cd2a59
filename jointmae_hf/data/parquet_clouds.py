"""Clouds read from Parquet files as they are, on a disk or on the Hub: shuffled, and in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets.table import table_cast
from fsspec.implementations.local import LocalFileSystem

from .counter_rng import RandomStream, counter_permutation
from .dataset import PointCloudDataset, PointCloudSamples
from .shared_epoch import SharedEpoch


class _Piece(NamedTuple):
    """Consecutive rows of a row group."""

    group: int
    start: int
    stop: int


class _Window(NamedTuple):
    """Row groups, or parts of them, that are read together, and where their first cloud comes in its lane."""

    start: int
    num_rows: int
    pieces: list[_Piece]


@dataclass(frozen=True)
class _RowGroup:
    """One row group of a Parquet file."""

    file: str
    number: int
    num_rows: int


def _read_footers(files: Sequence[str]) -> tuple[list[_RowGroup], datasets.Features]:
    """Return the row groups of some files, and their columns; reads nothing but the end of each file."""
    groups, schema = [], None
    for file in files:
        filesystem, path = fsspec.url_to_fs(file)
        with filesystem.open(path, "rb") as opened:
            parquet = pq.ParquetFile(opened)
            sizes = [parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)]
            schema = parquet.schema_arrow if schema is None else schema
        groups += [_RowGroup(file, number, size) for number, size in enumerate(sizes) if size]
    return groups, datasets.Features.from_arrow_schema(schema)


class ParquetPointClouds(SharedEpoch, torch.utils.data.Dataset):
    """Clouds of Parquet files with the samples and batches of [`PointCloudDataset`], without labels.

    Nothing is downloaded, converted or kept: a batch is taken from a window of some random row groups, which is read when
    its first cloud is needed and replaced by the next window. Where a cloud lies follows from `index`, the epoch and the
    arguments, so a run resumes at any batch after reading one window.

    Read in order (`--train_sampling_strategy sequential`), the clouds are shuffled: row groups are permuted in each epoch,
    and so are the clouds of a window. Batch `b` is read from lane `b % num_lanes`, each lane having its own part of the
    row groups. Loaders deal out batches in turn, so that every process and worker reads its own part if their number
    divides `num_lanes`; otherwise some row groups are read by several of them, and the clouds are still the same.

    An epoch has whole batches: of the clouds left over, fewer than `batch_size`, each epoch leaves out others.

    Args:
        files (`Sequence[str]`):
            Paths or URLs that `fsspec` opens, such as `"hf://datasets/owner/name/data/train-00000-of-00001.parquet"`.
        batch_size (`int`, *optional*, defaults to 32):
            Clouds of a batch of one process.
        num_lanes (`int`, *optional*, defaults to 8):
            A multiple of processes times workers. The order of the clouds depends on it, not on the workers themselves.
        buffer_size (`int`, *optional*, defaults to 1024):
            Minimum number of clouds of a window; there is one window in memory for each lane that a process reads.
        seed (`int`, *optional*, defaults to 0):
            Seed of the order.
        shuffle (`bool`, *optional*, defaults to `True`):
            Whether to shuffle. Otherwise all clouds come in the order of the files, the same in every epoch.
        info (`datasets.DatasetInfo`, *optional*):
            What is known about the dataset, such as its license.

    Raises:
        ValueError: If a number is not positive, there are no clouds or fewer than a batch, or `points` are no point clouds.
    """

    def __init__(
        self,
        files: Sequence[str],
        batch_size: int = 32,
        num_lanes: int = 8,
        buffer_size: int = 1024,
        seed: int = 0,
        shuffle: bool = True,
        info: datasets.DatasetInfo | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("num_lanes", num_lanes), ("buffer_size", buffer_size)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}.")
        if not files:
            raise ValueError("`files` must name at least one Parquet file, got none.")
        super().__init__()
        self.files, self.batch_size, self.num_lanes = list(files), batch_size, num_lanes
        self.buffer_size, self.seed, self.shuffle = buffer_size, seed, shuffle
        self.info = datasets.DatasetInfo() if info is None else info
        groups, in_files = _read_footers(self.files)
        self.features = self.info.features or in_files
        points = self.features.get("points")
        if not isinstance(points, datasets.Array2D) or points.shape[1] != 3:
            raise ValueError(f"`files` must have a column `points` of `Array2D((num_points, 3))`, got {points}.")
        self.num_points = points.shape[0]
        self._use(groups)

    @classmethod
    def from_repository(
        cls, path: str | os.PathLike[str], revision: str | None = None, **options: Any
    ) -> dict[str, ParquetPointClouds]:
        """Find the splits of a Parquet repository; nothing but its card and the ends of its files is read.

        Args:
            path (`str` or `os.PathLike`):
                Dataset on the Hub, `"owner/name"`, or a folder, such as one from `convert_to_parquet`.
            revision (`str`, *optional*):
                Branch, tag or commit on the Hub.
            options (`Any`):
                Arguments of this class.

        Returns:
            `dict[str, ParquetPointClouds]`: Splits by their names, `train` shuffled. The files of a dataset on the Hub are
            those of one commit.

        Raises:
            ValueError: If there is no such repository, it does not hold Parquet files, or as from this class.
        """
        try:
            builder = datasets.load_dataset_builder(str(path), revision=revision)
        except (FileNotFoundError, datasets.exceptions.DatasetNotFoundError) as error:
            raise ValueError(
                f"`path` must be a dataset on the Hub or a folder of Parquet files, got {path}."
            ) from error
        files = builder.config.data_files or {}
        others = [file for split in files.values() for file in split if not file.endswith(".parquet")]
        if others or not files:
            raise ValueError(
                f"`path` must hold Parquet files, got {', '.join(others[:3]) or 'none'} in {path}. Convert the dataset by "
                "`jointmae convert`."
            )
        info = builder.info.copy()
        info.license = info.license or _license_on_card(path, revision)
        return {
            str(split): cls(list(names), info=info, shuffle=split == "train", **options)
            for split, names in files.items()
        }

    def hold_out(self, share: float, seed: int = 0) -> tuple[ParquetPointClouds, ParquetPointClouds]:
        """Split in two by whole row groups, so that neither part reads what only the other needs.

        Args:
            share (`float`):
                Share of the second part, within (0, 1); it has at least one row group.
            seed (`int`, *optional*, defaults to 0):
                Seed of the choice.

        Returns:
            `tuple[ParquetPointClouds, ParquetPointClouds]`: The larger part, and the one that was held out, unshuffled.

        Raises:
            ValueError: If there is only one row group.
        """
        num_groups = len(self._groups)
        if num_groups < 2:
            raise ValueError(
                f"`files` must have at least two row groups to hold out clouds, got {num_groups} in {self.files[0]}. Write "
                "a split `validation`, or smaller row groups."
            )
        count = min(num_groups - 1, max(1, round(share * num_groups)))
        chosen = set(np.random.default_rng(seed).permutation(num_groups)[:count].tolist())
        parts = self._copy(), self._copy(shuffle=False)
        parts[0]._use([group for number, group in enumerate(self._groups) if number not in chosen])
        parts[1]._use([group for number, group in enumerate(self._groups) if number in chosen])
        return parts

    def select(self, rows: Sequence[int] | np.ndarray) -> datasets.Dataset:
        """Read some clouds into memory, with all columns.

        Args:
            rows (`Sequence[int]` or `np.ndarray`):
                Their positions in the order of the files.

        Returns:
            `datasets.Dataset`: The clouds.
        """
        rows = np.asarray(rows, dtype=np.int64)
        groups = np.searchsorted(self._first_rows, rows, side="right") - 1
        tables: list[Any] = [None] * len(rows)
        for group in np.unique(groups).tolist():
            table = self._read_row_group(group, None)
            for number in np.flatnonzero(groups == group):
                tables[number] = table.slice(int(rows[number] - self._first_rows[group]), 1)
        return datasets.Dataset(pa.concat_tables(tables).combine_chunks(), info=self.info.copy())

    @property
    def column_names(self) -> list[str]:
        """`list[str]`: Names of the columns in the files."""
        return list(self.features)

    def read_columns(self, names: Sequence[str]) -> Iterator[pa.Table]:
        """Read some columns of all clouds, a row group at a time.

        Args:
            names (`Sequence[str]`):
                Names of the columns.

        Yields:
            `pa.Table`: The columns of a row group.
        """
        for number in range(len(self._groups)):
            yield self._read_row_group(number, list(names))

    def __len__(self) -> int:
        return self.num_rows // self.batch_size * self.batch_size if self.shuffle else self.num_rows

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample; a negative `index` counts from the end of the epoch."""
        return self._read([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> PointCloudSamples:
        """Return the samples of one batch; `DataLoader` calls it."""
        return PointCloudSamples(self, indices)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_windows": {}, "_plans": {}}

    def _copy(self, **changes: Any) -> ParquetPointClouds:
        """Return a copy with its own epoch and windows."""
        copy = object.__new__(ParquetPointClouds)
        copy.__dict__.update(self.__dict__, _epoch=self._epoch.clone().share_memory_(), **changes)
        return copy

    def _use(self, groups: Sequence[_RowGroup]) -> None:
        """Read these row groups from now on."""
        self._groups = list(groups)
        self._sizes = np.array([group.num_rows for group in groups], dtype=np.int64)
        self._first_rows = np.cumsum(self._sizes) - self._sizes
        self.num_rows = int(self._sizes.sum())
        least = self.batch_size if self.shuffle else 1
        if self.num_rows < least:
            raise ValueError(
                f"`files` must hold at least {least} clouds, one batch, got {self.num_rows} in {', '.join(self.files[:3])}."
            )
        self._plans: dict[tuple[int, int], list[_Window]] = {}
        self._windows: dict[int, tuple[tuple[int, int], PointCloudDataset]] = {}

    def _lane_bounds(self, lane: int) -> tuple[int, int]:
        """Return the first and last clouds of a lane within the permuted row groups; lanes differ by one batch."""
        num_batches = self.num_rows // self.batch_size
        each, rest = divmod(num_batches, self.num_lanes)
        first = each * lane + min(lane, rest)
        return first * self.batch_size, (first + each + (lane < rest)) * self.batch_size

    def _plan(self, epoch: int, lane: int) -> list[_Window]:
        """Return the windows of a lane."""
        if (epoch, lane) not in self._plans:
            self._plans = {key: plan for key, plan in self._plans.items() if key[0] == epoch}
            self._plans[epoch, lane] = self._cut(epoch, *self._lane_bounds(lane))
        return self._plans[epoch, lane]

    def _cut(self, epoch: int, start: int, stop: int) -> list[_Window]:
        """Cut some clouds of the permuted row groups into windows."""
        numbers = np.arange(len(self._groups))
        order = counter_permutation(self.seed, -1 - epoch, numbers, len(numbers), RandomStream.ORDER)
        ends = self._sizes[order].cumsum()
        windows: list[_Window] = []
        pieces: list[_Piece] = []
        first = num_rows = 0
        for place in range(int(np.searchsorted(ends, start, side="right")), len(order)):
            group_start = int(ends[place] - self._sizes[order[place]])
            piece = _Piece(int(order[place]), max(start - group_start, 0), min(stop, int(ends[place])) - group_start)
            pieces.append(piece)
            num_rows += piece.stop - piece.start
            is_last = stop <= ends[place]
            if is_last or num_rows >= self.buffer_size:
                windows.append(_Window(first, num_rows, pieces))
                first, num_rows, pieces = first + num_rows, 0, []
            if is_last:
                break
        return windows

    def _window(self, epoch: int, lane: int, number: int) -> PointCloudDataset:
        """Return the clouds of a window, which replaces the last one of its lane."""
        key = (epoch, number)
        if lane not in self._windows or self._windows[lane][0] != key:
            self._windows.pop(lane, None)  # before the next one is read
            pieces = (
                self._plan(epoch, lane)[number].pieces if self.shuffle else [_Piece(number, 0, self._sizes[number])]
            )
            tables = [
                self._read_row_group(piece.group, ["points"]).slice(piece.start, piece.stop - piece.start)
                for piece in pieces
            ]
            # Without a fingerprint of its own, `Dataset` would hash the table.
            clouds = PointCloudDataset(datasets.Dataset(pa.concat_tables(tables), fingerprint="streamed"))
            self._windows[lane] = key, clouds
        return self._windows[lane][1]

    def _read_row_group(self, number: int, columns: list[str] | None) -> pa.Table:
        """Read a row group."""
        group = self._groups[number]
        filesystem, path = fsspec.url_to_fs(group.file)
        if isinstance(filesystem, LocalFileSystem):
            table = pq.ParquetFile(path, memory_map=True).read_row_group(group.number, columns)
        else:
            with filesystem.open(path, "rb") as file:
                table = pq.ParquetFile(file, pre_buffer=True).read_row_group(group.number, columns)
        features = datasets.Features({name: self.features[name] for name in table.column_names})
        return table if table.schema.equals(features.arrow_schema) else table_cast(table, features.arrow_schema)

    def _locate(self, index: np.ndarray, epoch: int) -> list[tuple[np.ndarray, int, int, np.ndarray]]:
        """Return which clouds of which windows some samples are: their rows, lane, window and positions in it."""
        length = len(self)
        outside = index[(index < -length) | (index >= length)]
        if len(outside):
            raise IndexError(f"`index` must be between {-length} and {length - 1}, got {outside[0]}.")
        index = index % length
        if not self.shuffle:
            groups = np.searchsorted(self._first_rows, index, side="right") - 1
            chosen = [np.flatnonzero(groups == group) for group in np.unique(groups)]
            return [
                (rows, 0, int(groups[rows[0]]), index[rows] - self._first_rows[groups[rows[0]]]) for rows in chosen
            ]
        located = []
        batches, places = np.divmod(index, self.batch_size)
        lanes, places = batches % self.num_lanes, batches // self.num_lanes * self.batch_size + places
        for lane in np.unique(lanes).tolist():
            windows = self._plan(epoch, lane)
            numbers = np.searchsorted([window.start for window in windows], places, side="right") - 1
            for number in np.unique(numbers[lanes == lane]).tolist():
                rows = np.flatnonzero((lanes == lane) & (numbers == number))
                window, shuffle = windows[number], (epoch << 40) + (lane << 24) + number
                inside = places[rows] - window.start
                inside = counter_permutation(self.seed, shuffle, inside, window.num_rows, RandomStream.ORDER)
                located.append((rows, lane, number, inside))
        return located

    def _read(self, indices: Sequence[int], epoch: int | None = None) -> list[dict[str, Any]]:
        """Return samples one by one."""
        index, epoch = np.asarray(indices, dtype=np.int64), self.epoch if epoch is None else epoch
        samples: list[dict[str, Any]] = [{} for _ in index]
        for rows, lane, number, inside in self._locate(index, epoch):
            window = self._window(epoch, lane, number)
            for row, position in zip(rows.tolist(), inside.tolist(), strict=True):
                samples[row] = {"points": window[position]["points"], "index": int(index[row] % len(self))}
        return samples

    def _stack(self, index: np.ndarray, epoch: int | None = None) -> dict[str, np.ndarray]:
        """Return samples as arrays; see `PointCloudSamples.stack`."""
        epoch = self.epoch if epoch is None else epoch
        if self.num_points is None:
            raise ValueError("`files` must hold clouds of one size to be stacked, got several.")
        points = np.empty((len(index), self.num_points, 3), dtype=np.float32)
        for rows, lane, number, inside in self._locate(index, epoch):
            points[rows] = self._window(epoch, lane, number)._stack(inside)["points"]
        return {"points": points, "index": index % len(self)}


def _license_on_card(path: str | os.PathLike[str], revision: str | None) -> str:
    """Return the license in the card of a dataset, which `datasets` does not read; empty if there is none."""
    from huggingface_hub import DatasetCard, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    card = Path(path, "README.md")
    if not Path(path).is_dir():
        try:
            card = Path(hf_hub_download(str(path), "README.md", repo_type="dataset", revision=revision))
        except EntryNotFoundError:
            return ""
    license_name = DatasetCard.load(card).data.license if card.is_file() else None
    return ", ".join(license_name) if isinstance(license_name, list) else license_name or ""
