"""Fast samples for a torch `DataLoader`: views over the Arrow columns of a corpus, nothing is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch


@dataclass(frozen=True)
class _ListColumn:
    """A column of lists as one flat array of values per chunk, with the bounds of each row.

    `rectangles` are the same values as a matrix per chunk, one list a row; empty unless all lists are equally long.
    """

    values: list[np.ndarray]
    bounds: list[np.ndarray]
    first_rows: np.ndarray
    rectangles: list[np.ndarray]

    def row(self, position: int) -> np.ndarray:
        """View of the values of one row."""
        chunk = int(np.searchsorted(self.first_rows, position, side="right")) - 1
        start, end = self.bounds[chunk][position - self.first_rows[chunk] :][:2]
        return self.values[chunk][start:end]

    @property
    def width(self) -> int | None:
        """Length of every list; `None` if they differ or there are none."""
        return self.rectangles[0].shape[1] if self.rectangles else None

    def rows(self, positions: np.ndarray) -> np.ndarray:
        """Copy of some rows as a matrix; all lists must be equally long."""
        rectangles = self.rectangles
        if len(rectangles) == 1:
            return rectangles[0][positions]
        chunks = np.searchsorted(self.first_rows, positions, side="right") - 1
        places = (positions - self.first_rows[chunks]).tolist()
        result = np.empty((len(positions), rectangles[0].shape[1]), rectangles[0].dtype)
        for number, (chunk, place) in enumerate(zip(chunks.tolist(), places, strict=True)):
            result[number] = rectangles[chunk][place]
        return result


def _list_chunk(chunk: pa.Array, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and row bounds of one chunk, without a copy; nested lists are joined per row."""
    storage = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
    if storage.null_count or not pa.types.is_list(storage.type):
        raise ValueError(f"`dataset` column `{name}` must hold lists without nulls, got {storage.type}.")
    # `values` and `flatten` differ: the first keeps what lies before a slice, as the offsets expect.
    bounds, values = storage.offsets.to_numpy(), storage.values
    if pa.types.is_list(values.type):
        # Bounds of rows of points become bounds of coordinates: no need to look at each point's three.
        rows, bounds, values = bounds, values.offsets.to_numpy()[bounds], values.values
        # `datasets` does not compare an array with its feature when it writes one.
        if (np.diff(bounds) != 3 * np.diff(rows)).any():
            raise ValueError(f"`dataset` column `{name}` must hold arrays (num_points, 3), got other widths.")
    return values.to_numpy(zero_copy_only=True), bounds


def _list_column(dataset: datasets.Dataset, name: str) -> _ListColumn:
    """Views over a column of lists."""
    chunks = [chunk for chunk in dataset.data.column(name).chunks if len(chunk)]
    pairs = [_list_chunk(chunk, name) for chunk in chunks]
    first_rows = np.cumsum([0, *(len(chunk) for chunk in chunks)])[:-1]
    widths = {width for _, bounds in pairs for width in np.unique(np.diff(bounds)).tolist()}
    width = widths.pop() if len(widths) == 1 else 0
    rectangles = [values[bounds[0] : bounds[-1]].reshape(-1, width) for values, bounds in pairs] if width else []
    return _ListColumn([values for values, _ in pairs], [bounds for _, bounds in pairs], first_rows, rectangles)


class PointCloudSamples(Sequence[dict[str, Any]]):
    """Some samples of a `PointCloudDataset`, made one by one when they are asked for, or all at once by `stack`.

    Args:
        dataset (`PointCloudDataset`):
            Where they are from.
        indices (`Sequence[int]`):
            Their positions in it.
    """

    def __init__(self, dataset: "PointCloudDataset", indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, number: int) -> dict[str, Any]:  # type: ignore[override]
        """Return one sample."""
        return self.dataset[self.indices[number]]

    def stack(self) -> dict[str, np.ndarray]:
        """Copy all samples into one array for each key. All clouds of the corpus must have `dataset.num_points`.

        Returns:
            `dict[str, np.ndarray]`: The keys of a sample, each with a leading dimension `batch_size`, in their types.

        Raises:
            IndexError: If a position lies outside the dataset.
            ValueError: If the clouds of the corpus differ in size.
        """
        return self.dataset._stack(np.asarray(self.indices, dtype=np.int64))


class PointCloudDataset(torch.utils.data.Dataset):
    """A corpus as a map-style torch dataset of numpy views.

    A sample holds `points` (float32 of shape `(num_points, 3)`), `index` (its position here, which seeds its random
    numbers), `labels` if the corpus has classes and `part_labels` (`(num_points,)`) if it has parts. The arrays are read-only
    views of the memory-mapped file; `PointCloudCollator` copies them into a batch. With `transformers.Trainer`, set
    `remove_unused_columns=False`, or `index` is taken out.

    `num_points` is the size of the clouds, `None` if they differ.

    Args:
        dataset (`datasets.Dataset`):
            One split from `load_point_clouds`, also after `select` or `shuffle`. Its format does not matter.

    Raises:
        TypeError: If `dataset` is not a `datasets.Dataset`, for instance a `DatasetDict` of several splits.
        ValueError: If `dataset` has no column `points`, `points` do not end in a dimension of size 3, or values are missing.
    """

    def __init__(self, dataset: datasets.Dataset) -> None:
        if not isinstance(dataset, datasets.Dataset):
            raise TypeError(f"`dataset` must be one split, a `datasets.Dataset`, got {type(dataset).__name__}.")
        if "points" not in dataset.column_names:
            raise ValueError(f"`dataset` must have a column `points`, got {dataset.column_names}.")
        feature = dataset.features["points"]
        if not isinstance(feature, datasets.Array2D) or feature.shape[1] != 3:
            raise ValueError(f"`dataset` column `points` must be `Array2D((num_points, 3))`, got {feature}.")
        self.dataset = dataset
        self._points = _list_column(dataset, "points")
        # A selection or a shuffle is a list of rows beside the table; `flatten_indices` would copy the table instead.
        mapping = dataset._indices
        self._rows = np.arange(len(dataset)) if mapping is None else mapping.column(0).to_numpy().astype(np.int64)
        if "label" in dataset.column_names and dataset.data.column("label").null_count:
            raise ValueError("`dataset` column `label` must hold no nulls. Fill them or remove the column.")
        self._labels = dataset.data.column("label").to_numpy() if "label" in dataset.column_names else None
        has_parts = "part_labels" in dataset.column_names
        self._part_labels = _list_column(dataset, "part_labels") if has_parts else None
        num_coordinates = self._points.width
        self.num_points = None if num_coordinates is None else num_coordinates // 3
        if self._part_labels is not None and self._part_labels.width != self.num_points:
            self.num_points = None

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample; a negative `index` counts from the end."""
        length = len(self._rows)
        if not -length <= index < length:
            raise IndexError(f"`index` must be between {-length} and {length - 1}, got {index}.")
        index = int(index) % length
        row = int(self._rows[index])
        points = self._points.row(row).reshape(-1, 3)
        sample: dict[str, Any] = {"points": points.astype(np.float32, copy=False), "index": index}
        if self._labels is not None:
            sample["labels"] = int(self._labels[row])
        if self._part_labels is not None:
            sample["part_labels"] = self._part_labels.row(row)
        return sample

    def __getitems__(self, indices: Sequence[int]) -> PointCloudSamples:
        """Return the samples of one batch; `DataLoader` calls it."""
        return PointCloudSamples(self, indices)

    def _stack(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Samples as arrays; see `PointCloudSamples.stack`."""
        if self.num_points is None:
            raise ValueError("`dataset` must hold clouds of one size to be stacked, got several.")
        length = len(self._rows)
        outside = index[(index < -length) | (index >= length)]
        if len(outside):
            raise IndexError(f"`index` must be between {-length} and {length - 1}, got {outside[0]}.")
        index = index % length
        rows = self._rows[index]
        points = self._points.rows(rows).reshape(len(rows), self.num_points, 3)
        batch = {"points": points.astype(np.float32, copy=False), "index": index}
        if self._labels is not None:
            batch["labels"] = self._labels[rows]
        if self._part_labels is not None:
            batch["part_labels"] = self._part_labels.rows(rows)
        return batch

    def __getstate__(self) -> dict[str, Any]:
        # The views would be pickled as copies of the corpus; the dataset is pickled as the paths of its files.
        return {"dataset": self.dataset}

    def __setstate__(self, state: dict[str, Any]) -> None:
        PointCloudDataset.__init__(self, state["dataset"])
