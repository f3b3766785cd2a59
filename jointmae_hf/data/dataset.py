"""Samples for a torch `DataLoader`: views over the Arrow columns of a dataset, or clouds of one size in memory."""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor


if TYPE_CHECKING:
    import datasets
    import pyarrow as pa


SPLITS = ("train", "test", "validation")
"""Split of each number in the array `split` of a `.npz` file."""


def _list_chunk(chunk: pa.Array, name: str) -> tuple[np.ndarray, memoryview, memoryview | None]:
    """Return values of one chunk, bounds of its rows and, of nested lists, bounds of their points, all without a copy."""
    import pyarrow as pa

    storage = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
    if storage.null_count or not pa.types.is_list(storage.type):
        raise ValueError(f"`dataset` column `{name}` must hold lists without nulls, got {storage.type}.")
    # `values` and `flatten` differ: the first keeps what lies before a slice, as the offsets expect.
    bounds, values, inner = storage.offsets.to_numpy(), storage.values, None
    if pa.types.is_list(values.type):
        inner, values = values.offsets.to_numpy(), values.values
        _check_width(inner[bounds[-1]] - inner[bounds[0]], bounds[-1] - bounds[0], name)
    # A memory view gives integers of Python faster than an array does.
    return values.to_numpy(zero_copy_only=True), memoryview(bounds), None if inner is None else memoryview(inner)


def _check_width(num_values: int, num_points: int, name: str) -> None:
    """Raise unless points have three coordinates; `datasets` does not compare an array with its feature."""
    if num_values != 3 * num_points:
        raise ValueError(f"`dataset` column `{name}` must hold arrays (num_points, 3), got other widths.")


class _ListColumn:
    """Rows of a column of lists as views of its file, each found when it is read: no row costs memory or time before."""

    def __init__(self, dataset: datasets.Dataset, name: str) -> None:
        chunks = [chunk for chunk in dataset.data.column(name).chunks if len(chunk)]
        self._name, self._chunks = name, [_list_chunk(chunk, name) for chunk in chunks]
        self._starts = np.cumsum([0, *(len(chunk) for chunk in chunks)]).tolist()

    def __len__(self) -> int:
        return self._starts[-1]

    def gather(self, rows: Sequence[int]) -> list[np.ndarray]:
        """Return the numbers of some rows."""
        gathered = []
        for row in rows:
            chunk = bisect_right(self._starts, row) - 1
            values, bounds, inner = self._chunks[chunk]
            row -= self._starts[chunk]
            start, end = bounds[row], bounds[row + 1]
            if inner is not None:
                num_points = end - start
                start, end = inner[start], inner[end]
                if end - start != 3 * num_points:
                    _check_width(end - start, num_points, self._name)
            gathered.append(values[start:end])
        return gathered

    def lengths(self) -> np.ndarray:
        """Return the number of lists or values of each row."""
        return np.concatenate([np.diff(np.asarray(bounds)) for _, bounds, _ in self._chunks] or [np.zeros(0, int)])


class PointCloudSamples(Sequence[dict[str, Any]]):
    """Samples of a dataset at some positions, read on the first access, or into one array by `stack`."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices
        self._samples: list[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> dict[str, Any]:  # type: ignore[override]
        """Return one sample; the first access reads all of them, once."""
        if self._samples is None:
            read = getattr(self.dataset, "_read", None)  # of datasets that read a batch faster than its samples
            self._samples = read(self.indices) if read else [self.dataset[index] for index in self.indices]
        return self._samples[number]

    def stack(self) -> dict[str, Any]:
        """Copy all samples into one array or tensor per key; all clouds must have `dataset.num_points` points."""
        return self.dataset._stack(np.asarray(self.indices, dtype=np.int64))


class PointCloudDataset(torch.utils.data.Dataset):
    """A dataset as a map-style torch dataset of numpy views.

    A sample holds `points` (float32 of shape `(num_points, 3)`), `index` (its position, which seeds its random numbers),
    `labels` if the dataset has classes and `part_labels` (`(num_points,)`) if it has parts. The arrays are read-only views of
    the memory-mapped file; `PointCloudCollator` copies them into a batch. With `transformers.Trainer`, set
    `remove_unused_columns=False`, or `index` is removed.

    `num_points` is the size of the clouds, `None` if they differ.

    Args:
        dataset (`datasets.Dataset` or `datasets.IterableDataset`):
            One split from `load_point_clouds`, also after `select` or `shuffle`. Its format does not matter. A stream
            gives a [`PointCloudStream`].
        first_index (`int`, *optional*, defaults to 0):
            `index` of the first sample, where `dataset` is a piece of a stream.

    Raises:
        TypeError: If `dataset` is not a `datasets.Dataset`, for instance a `DatasetDict` of several splits.
        ValueError: If `dataset` has no column `points`, `points` do not end in a dimension of size 3, or values are missing.
    """

    def __new__(cls, dataset: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return a [`PointCloudStream`] for a `datasets.IterableDataset`, as torch takes streams as another class."""
        import datasets

        if isinstance(dataset, datasets.IterableDataset):
            from .streaming import PointCloudStream

            return PointCloudStream(dataset, *args, **kwargs)
        return super().__new__(cls)

    def __init__(self, dataset: datasets.Dataset, first_index: int = 0) -> None:
        import datasets

        if not isinstance(dataset, datasets.Dataset):
            raise TypeError(f"`dataset` must be one split, a `datasets.Dataset`, got {type(dataset).__name__}.")
        if "points" not in dataset.column_names:
            raise ValueError(f"`dataset` must have a column `points`, got {dataset.column_names}.")
        feature = dataset.features["points"]
        if not isinstance(feature, datasets.Array2D) or feature.shape[1] != 3:
            raise ValueError(f"`dataset` column `points` must be `Array2D((num_points, 3))`, got {feature}.")
        self.dataset, self.first_index = dataset, first_index
        if "label" in dataset.column_names and dataset.data.column("label").null_count:
            raise ValueError("`dataset` column `label` must hold no nulls. Fill them or remove the column.")
        self._points = _ListColumn(dataset, "points")
        self._labels = dataset.data.column("label").to_numpy() if "label" in dataset.column_names else None
        self._part_labels = _ListColumn(dataset, "part_labels") if "part_labels" in dataset.column_names else None
        # A selection or a shuffle is a list of rows next to the table; `flatten_indices` would copy the table instead.
        self._rows = None if dataset._indices is None else dataset._indices.column(0).to_numpy()
        columns = [column for column in (self._points, self._part_labels) if column is not None]
        rows = slice(None) if self._rows is None else self._rows
        sizes = np.unique(np.concatenate([column.lengths()[rows] for column in columns]))
        self.num_points = int(sizes[0]) if len(sizes) == 1 else None

    @property
    def files(self) -> list[str]:
        """`list[str]`: Arrow files that the samples are read from; none of a dataset in memory."""
        return [str(file["filename"]) for file in self.dataset.cache_files]

    def __len__(self) -> int:
        return len(self._points) if self._rows is None else len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample; a negative `index` counts from the end."""
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"`index` must be between {-length} and {length - 1}, got {index}.")
        index = int(index) % length
        row = index if self._rows is None else int(self._rows[index])
        points = self._points.gather([row])[0].reshape(-1, 3)
        sample: dict[str, Any] = {"points": points.astype(np.float32, copy=False), "index": self.first_index + index}
        if self._labels is not None:
            sample["labels"] = int(self._labels[row])
        if self._part_labels is not None:
            sample["part_labels"] = self._part_labels.gather([row])[0]
        return sample

    def __getitems__(self, indices: Sequence[int]) -> PointCloudSamples:
        """Return the samples of one batch; `DataLoader` calls it."""
        return PointCloudSamples(self, indices)

    def _stack(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Return samples as arrays; see `PointCloudSamples.stack`."""
        if self.num_points is None:
            raise ValueError("`dataset` must hold clouds of one size to be stacked, got several.")
        length = len(self)
        outside = index[(index < -length) | (index >= length)]
        if len(outside):
            raise IndexError(f"`index` must be between {-length} and {length - 1}, got {outside[0]}.")
        index = index % length
        chosen = index if self._rows is None else self._rows[index]
        rows = chosen.tolist()
        points = np.array(self._points.gather(rows)).reshape(len(rows), self.num_points, 3)
        batch = {"points": points.astype(np.float32, copy=False), "index": self.first_index + index}
        if self._labels is not None:
            batch["labels"] = self._labels[chosen]
        if self._part_labels is not None:
            batch["part_labels"] = np.array(self._part_labels.gather(rows))
        return batch

    def __getstate__(self) -> dict[str, Any]:
        # The views would be pickled as copies of the dataset; the dataset is pickled as the paths of its files.
        return {"dataset": self.dataset, "first_index": self.first_index}

    def __setstate__(self, state: dict[str, Any]) -> None:
        PointCloudDataset.__init__(self, **state)


class PointCloudTensors(torch.utils.data.Dataset):
    """Clouds of one size, with the samples and batches of [`PointCloudDataset`].

    Args:
        points (`torch.Tensor` of shape `(num_clouds, num_points, 3)`):
            Coordinates, any unit.
        labels (`torch.LongTensor` of shape `(num_clouds,)`, *optional*):
            Class of each cloud.
        part_labels (`torch.LongTensor` of shape `(num_clouds, num_points)`, *optional*):
            Part of each point.

    Raises:
        ValueError: If a shape does not fit.

    Example:
        >>> clouds = PointCloudTensors(torch.rand(5, 64, 3), torch.arange(5))
        >>> len(clouds), clouds.num_points, clouds[2]["labels"], len(clouds.select([0, 3]))
        (5, 64, 2, 2)
    """

    def __init__(self, points: Tensor, labels: Tensor | None = None, part_labels: Tensor | None = None) -> None:
        if points.ndim != 3 or points.shape[-1] != 3:
            raise ValueError(f"`points` must have shape (num_clouds, num_points, 3), got {tuple(points.shape)}.")
        for name, values, shape in (
            ("labels", labels, points.shape[:1]),
            ("part_labels", part_labels, points.shape[:2]),
        ):
            if values is not None and values.shape != shape:
                raise ValueError(f"`{name}` must have shape {tuple(shape)}, got {tuple(values.shape)}.")
        self.points, self.labels, self.part_labels = points.float(), labels, part_labels
        self.num_points = points.shape[1]
        self.files: list[str] = []  # a dataset has some, which are named when a worker is lost

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample; a negative `index` counts from the end."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"`index` must be between {-len(self)} and {len(self) - 1}, got {index}.")
        index = int(index) % len(self)
        sample: dict[str, Any] = {"points": self.points[index].cpu().numpy(), "index": index}
        if self.labels is not None:
            sample["labels"] = int(self.labels[index])
        if self.part_labels is not None:
            sample["part_labels"] = self.part_labels[index].cpu().numpy()
        return sample

    def __getitems__(self, indices: Sequence[int]) -> PointCloudSamples:
        """Return the samples of one batch; `DataLoader` calls it."""
        return PointCloudSamples(self, indices)

    def columns(self) -> dict[str, Tensor]:
        """Return `points`, and `labels` and `part_labels` where there are any."""
        columns = {"points": self.points, "labels": self.labels, "part_labels": self.part_labels}
        return {name: values for name, values in columns.items() if values is not None}

    def select(self, rows: Sequence[int] | np.ndarray) -> PointCloudTensors:
        """Return some of the clouds; their `index` starts at 0 again.

        Args:
            rows (`Sequence[int]` or `np.ndarray`):
                Their positions.

        Returns:
            [`PointCloudTensors`]: A copy.
        """
        index = torch.as_tensor(np.asarray(rows, dtype=np.int64), device=self.points.device)
        return PointCloudTensors(**{name: values[index] for name, values in self.columns().items()})

    def to(self, device: torch.device | str) -> PointCloudTensors:
        """Return the clouds on a device, where batches are then gathered without a copy from the host.

        Args:
            device (`torch.device` or `str`):
                The device. A loader of clouds on CUDA must not pin its memory.

        Returns:
            [`PointCloudTensors`]: The clouds.
        """
        return PointCloudTensors(**{name: values.to(device) for name, values in self.columns().items()})

    def _stack(self, index: np.ndarray) -> dict[str, Tensor]:
        """Return samples as tensors on the device of the clouds; see `PointCloudSamples.stack`."""
        rows = torch.from_numpy(index).to(self.points.device, non_blocking=True)
        return {"index": rows, **{name: values[rows] for name, values in self.columns().items()}}


def read_point_cloud_tensors(path: str | os.PathLike[str]) -> dict[str, PointCloudTensors]:
    """Read clouds from a `.npz` file.

    Args:
        path (`str` or `os.PathLike`):
            Holds `points` `(num_clouds, num_points, 3)`, y up, and where there are any `labels` `(num_clouds,)`, `part_labels`
            `(num_clouds, num_points)` and `split` `(num_clouds,)`: 0 for train, 1 for test, 2 for validation. Without
            `split` all are for train. Other arrays are ignored.

    Returns:
        `dict[str, PointCloudTensors]`: Splits by their names, on the CPU.

    Raises:
        ValueError: If there are no points, values are not finite, or a split has another number.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in ("points", "labels", "part_labels", "split") if name in file.files}
    if "points" not in arrays:
        raise ValueError("`path` must hold an array `points`, got none.")
    if not np.isfinite(arrays["points"]).all():
        raise ValueError("`points` must be finite, got NaN or infinity.")
    split = arrays.pop("split", np.zeros(len(arrays["points"]), dtype=np.int64))
    unknown = sorted(set(np.unique(split).tolist()) - set(range(len(SPLITS))))
    if unknown:
        raise ValueError(f"`split` must hold 0 (train), 1 (test) or 2 (validation), got {unknown[0]}.")
    points = torch.from_numpy(arrays.pop("points").astype(np.float32))
    labels = {name: torch.from_numpy(values.astype(np.int64)) for name, values in arrays.items()}
    clouds = PointCloudTensors(points, **labels)
    return {
        name: clouds.select(rows) for number, name in enumerate(SPLITS) if len(rows := np.flatnonzero(split == number))
    }


def as_clouds(split: Any) -> Any:
    """Return the samples of a split, whether it is a dataset or stream of `datasets`, in memory or generated.

    Args:
        split (`datasets.Dataset`, `datasets.IterableDataset`, [`PointCloudTensors`] or another dataset of this package):
            The split.

    Returns:
        [`PointCloudDataset`], [`PointCloudStream`], or `split` itself if it is a dataset of point clouds for torch.
    """
    stream_type = getattr(sys.modules.get("datasets"), "IterableDataset", ())  # not imported: `split` is none
    is_ours = isinstance(split, torch.utils.data.Dataset) and not isinstance(split, stream_type)
    return split if is_ours else PointCloudDataset(split)
