"""Clouds of one size as tensors in memory, on the processor or the device: no decoding, no loader, no `datasets`."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .point_cloud_dataset import PointCloudDataset, PointCloudSamples


SPLITS = ("train", "test", "validation")
"""Split of each number in the array `split`."""


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
        self.files: list[str] = []  # those of a dataset are named when a worker is lost

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
        """Return what is there of `points`, `labels` and `part_labels`."""
        columns = {"points": self.points, "labels": self.labels, "part_labels": self.part_labels}
        return {name: values for name, values in columns.items() if values is not None}

    def select(self, rows: Sequence[int] | np.ndarray) -> "PointCloudTensors":
        """Return some of the clouds; they are counted anew.

        Args:
            rows (`Sequence[int]` or `np.ndarray`):
                Their positions.

        Returns:
            [`PointCloudTensors`]: A copy.
        """
        index = torch.as_tensor(np.asarray(rows, dtype=np.int64), device=self.points.device)
        return PointCloudTensors(**{name: values[index] for name, values in self.columns().items()})

    def to(self, device: torch.device | str) -> "PointCloudTensors":
        """Return the clouds on a device; batches are then gathered there and nothing is copied to it.

        Args:
            device (`torch.device` or `str`):
                The device. A loader of clouds on CUDA must not pin its memory.

        Returns:
            [`PointCloudTensors`]: The clouds.
        """
        return PointCloudTensors(**{name: values.to(device) for name, values in self.columns().items()})

    def _stack(self, index: np.ndarray) -> dict[str, Tensor]:
        """Samples as tensors on the device of the clouds; see `PointCloudSamples.stack`."""
        rows = torch.from_numpy(index).to(self.points.device, non_blocking=True)
        return {"index": rows, **{name: values[rows] for name, values in self.columns().items()}}


def read_point_cloud_tensors(path: str | os.PathLike[str]) -> dict[str, PointCloudTensors]:
    """Read clouds from a `.npz` file.

    Args:
        path (`str` or `os.PathLike`):
            Holds `points` `(num_clouds, num_points, 3)`, y up, and where there are any `labels` `(num_clouds,)`, `part_labels`
            `(num_clouds, num_points)` and `split` `(num_clouds,)`: 0 for train, 1 for test, 2 for validation. Without
            `split` all are for train. Other arrays are left alone.

    Returns:
        `dict[str, PointCloudTensors]`: Splits by their names, on the processor.

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


def hold_out_clouds(
    clouds: PointCloudTensors, share: float, seed: int = 0
) -> tuple[PointCloudTensors, PointCloudTensors]:
    """Take a part of labelled clouds away, class by class, to choose settings on.

    Args:
        clouds ([`PointCloudTensors`]):
            With labels.
        share (`float`):
            Of each class, within (0, 1); at least one cloud.
        seed (`int`, *optional*, defaults to 0):
            Of the choice.

    Returns:
        `tuple[PointCloudTensors, PointCloudTensors]`: The larger part and the one that was held out.

    Raises:
        ValueError: If there are no labels, or `share` leaves nothing of a class.
    """
    if clouds.labels is None:
        raise ValueError("`clouds` must have labels, got none.")
    labels, rng = clouds.labels.cpu().numpy(), np.random.default_rng(seed)
    held_out = np.zeros(len(clouds), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = max(1, round(share * len(rows)))
        if not 0.0 < share < 1.0 or count == len(rows):
            raise ValueError(f"`share` must leave clouds of class {label}, got {share} of {len(rows)}.")
        held_out[rng.choice(rows, count, replace=False)] = True
    return clouds.select(np.flatnonzero(~held_out)), clouds.select(np.flatnonzero(held_out))


def as_clouds(split: Any) -> PointCloudDataset | PointCloudTensors:
    """Return samples of a split, whether it is a `datasets.Dataset` or lies in memory.

    Args:
        split (`datasets.Dataset` or [`PointCloudTensors`]):
            The split.

    Returns:
        [`PointCloudDataset`] or [`PointCloudTensors`]: Its samples.
    """
    return split if isinstance(split, PointCloudTensors) else PointCloudDataset(split)
