"""Collation of samples of `PointCloudDataset` into a batch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .dataset import PointCloudSamples
from .shared_epoch import SharedEpoch


class PointCloudCollator(SharedEpoch):
    """Stack clouds, after resampling them to one size if `num_points` is given.

    A larger cloud is subsampled without repeats by `numpy.random.default_rng([seed, index, epoch])`, another subset in each
    epoch as in Point-MAE; a smaller one repeats its points in a cycle. Part labels follow their points. The epoch is 0 until
    `set_epoch`, which [`PointCloudTrainer`] calls for training batches.

    Args:
        num_points (`int`, *optional*):
            Points of every cloud in the batch. Without it, all clouds must have the same number already.
        seed (`int`, *optional*, defaults to 0):
            Seed of the subsampling, not negative.

    Raises:
        ValueError: If `num_points` is not positive or `seed` is negative.

    Example:
        >>> samples = [{"points": np.zeros((5, 3), np.float32), "index": 0, "labels": 2}]
        >>> batch = PointCloudCollator(num_points=8)(samples)
        >>> batch["points"].shape, batch["index"], batch["labels"]
        (torch.Size([1, 8, 3]), tensor([0]), tensor([2]))
    """

    def __init__(self, num_points: int | None = None, seed: int = 0) -> None:
        if num_points is not None and num_points < 1:
            raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
        if seed < 0:
            raise ValueError(f"`seed` must not be negative, got {seed}.")
        super().__init__()
        self.num_points, self.seed = num_points, seed

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Stack samples.

        Args:
            samples (`Sequence[dict[str, Any]]`):
                At least one; each with `points` and `index`, all or none with `labels` and `part_labels`.

        Returns:
            `dict[str, torch.Tensor]`: `points` float32 `(batch_size, num_points, 3)`, `index` int64 `(batch_size,)`, and
            where given `labels` int64 `(batch_size,)` and `part_labels` int64 `(batch_size, num_points)`.

        Raises:
            ValueError: If `samples` is empty, a key is missing in some of them, or the sizes differ without `num_points`.
        """
        if isinstance(samples, PointCloudSamples) and len(samples) and self._keeps_all(samples.dataset.num_points):
            return _to_tensors(samples.stack())
        keys = _common_keys(samples)
        kept = [self._kept(sample) for sample in samples]
        sizes = {len(sample["points"]) for sample in samples}
        if self.num_points is None and len(sizes) > 1:
            raise ValueError(f"`points` must have one size per batch, got {sorted(sizes)}. Set `num_points`.")
        points = np.stack([sample["points"][rows] for sample, rows in zip(samples, kept, strict=True)])
        batch = {
            "points": torch.from_numpy(points.astype(np.float32, copy=False)),
            "index": torch.tensor([int(sample["index"]) for sample in samples]),
        }
        if "labels" in keys:
            batch["labels"] = torch.tensor([int(sample["labels"]) for sample in samples])
        if "part_labels" in keys:
            parts = np.stack([sample["part_labels"][rows] for sample, rows in zip(samples, kept, strict=True)])
            batch["part_labels"] = torch.from_numpy(parts.astype(np.int64))
        return batch

    def _keeps_all(self, size: int | None) -> bool:
        """Return whether clouds of one size, `None` if they differ, go into the batch unchanged."""
        return size is not None and self.num_points in (None, size)

    def _kept(self, sample: dict[str, Any]) -> np.ndarray | slice:
        """Return the rows of the cloud that go into the batch."""
        size = len(sample["points"])
        if self.num_points is None or size == self.num_points:
            return slice(None)
        if size > self.num_points:
            rng = np.random.default_rng([self.seed, int(sample["index"]), self.epoch])
            return rng.choice(size, self.num_points, replace=False)
        return np.arange(self.num_points) % size


def _to_tensors(batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Convert points to float32 and everything else to int64."""
    points = torch.as_tensor(batch.pop("points"))
    return {"points": points} | {name: torch.as_tensor(values).long() for name, values in batch.items()}


def _common_keys(samples: Sequence[dict[str, Any]]) -> set[str]:
    """Return the keys of the samples, after checking that they agree and include the required ones."""
    if not samples:
        raise ValueError("`samples` must hold at least one sample, got none.")
    keys = set(samples[0])
    for sample in samples:
        if set(sample) != keys:
            raise ValueError(f"`samples` must all have the same keys, got {sorted(keys)} and {sorted(sample)}.")
    missing = {"points", "index"} - keys
    if missing:
        raise ValueError(
            f"`samples` must have {sorted(missing)}, got {sorted(keys)}. Wrap the dataset in `PointCloudDataset`."
        )
    return keys
