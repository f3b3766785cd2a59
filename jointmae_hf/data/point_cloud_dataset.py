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
    """A column of lists as one flat array of values per chunk, with the bounds of each row."""

    values: list[np.ndarray]
    bounds: list[np.ndarray]
    first_rows: np.ndarray

    def row(self, position: int) -> np.ndarray:
        """View of the values of one row."""
        chunk = int(np.searchsorted(self.first_rows, position, side="right")) - 1
        start, end = self.bounds[chunk][position - self.first_rows[chunk] :][:2]
        return self.values[chunk][start:end]


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
    return _ListColumn([values for values, _ in pairs], [bounds for _, bounds in pairs], first_rows)


class PointCloudDataset(torch.utils.data.Dataset):
    """A corpus as a map-style torch dataset of numpy views.

    A sample holds `points` (float32 of shape `(num_points, 3)`), `index` (its position here, which seeds its random
    numbers), `labels` if the corpus has classes and `part_labels` (`(num_points,)`) if it has parts. The arrays are read-only
    views of the memory-mapped file; `PointCloudCollator` copies them into a batch. With `transformers.Trainer`, set
    `remove_unused_columns=False`, or `index` is taken out.

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
        self._rows = np.arange(len(dataset)) if mapping is None else mapping.column(0).to_numpy()
        if "label" in dataset.column_names and dataset.data.column("label").null_count:
            raise ValueError("`dataset` column `label` must hold no nulls. Fill them or remove the column.")
        self._labels = dataset.data.column("label").to_numpy() if "label" in dataset.column_names else None
        has_parts = "part_labels" in dataset.column_names
        self._part_labels = _list_column(dataset, "part_labels") if has_parts else None

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

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """Return the samples of one batch; `DataLoader` calls it."""
        return [self[index] for index in indices]

    def __getstate__(self) -> dict[str, Any]:
        # The views would be pickled as copies of the corpus; the dataset is pickled as the paths of its files.
        return {"dataset": self.dataset}

    def __setstate__(self, state: dict[str, Any]) -> None:
        PointCloudDataset.__init__(self, state["dataset"])
