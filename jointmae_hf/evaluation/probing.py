"""Linear probe of an encoder on clouds of a dataset: draw the clouds, extract features, fit the SVM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data import Normalize, PointCloudCollator, PointCloudDataset, PointCloudTensors, Transform, as_clouds

from .features import extract_features
from .linear_probe import LinearProbeResult, linear_svm


if TYPE_CHECKING:
    from datasets import Dataset


def sample_clouds(
    dataset: Dataset | PointCloudTensors,
    max_clouds: int,
    num_points: int,
    seed: int = 0,
    transform: Transform | None = None,
) -> dict[str, Tensor]:
    """Take a random part of a split as one batch in the unit sphere.

    Args:
        dataset (`datasets.Dataset` or [`PointCloudTensors`]):
            A split of a dataset, see [`load_point_clouds`].
        max_clouds (`int`):
            Clouds to take, fewer if the split is smaller.
        num_points (`int`):
            Points of each cloud, see [`PointCloudCollator`].
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice of clouds and points.
        transform (`Transform`, *optional*):
            Applied after normalisation, such as a random rotation.

    Returns:
        `dict[str, torch.Tensor]`: `points` `(num_clouds, num_points, 3)`, `index` `(num_clouds,)` and, if the dataset has
        them, `labels` `(num_clouds,)`.

    Raises:
        ValueError: If `max_clouds` is not positive.
    """
    if max_clouds < 1:
        raise ValueError(f"`max_clouds` must be at least 1, got {max_clouds}.")
    part = as_clouds(dataset.select(np.random.default_rng(seed).permutation(len(dataset))[:max_clouds]))
    batch = PointCloudCollator(num_points, seed)([part[row] for row in range(len(part))])
    points = Normalize()(batch["points"], epoch=0, index=batch["index"])
    if transform is not None:
        points = transform(points, epoch=0, index=batch["index"])
    return {**batch, "points": points}


class LeadingPoints(Sequence[dict[str, Any]]):
    """The first points of each cloud of a split in the unit sphere, as `extract_features` reads them.

    Source: CrossPoint and Point-M2AE probe the first 1,024 of 2,048 points.

    Args:
        dataset (`datasets.Dataset`):
            A split of a dataset.
        num_points (`int`):
            Points to take of each cloud.

    Raises:
        ValueError: If `num_points` is not positive or, at an item, exceeds its points.
    """

    def __init__(self, dataset: Dataset, num_points: int) -> None:
        if num_points < 1:
            raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
        self._clouds, self._num_points = PointCloudDataset(dataset), num_points

    def __len__(self) -> int:
        return len(self._clouds)

    def __getitem__(self, index: Any) -> Any:
        """Return one sample with `points` `(num_points, 3)` and, where the dataset has them, `labels`."""
        sample = self._clouds[index]
        points = torch.from_numpy(sample["points"][: self._num_points].copy())[None]
        if points.shape[1] < self._num_points:
            raise ValueError(
                f"`num_points` must not exceed the points of item {index}, got {self._num_points} and "
                f"{points.shape[1]}."
            )
        normalized = Normalize()(points, epoch=0, index=torch.tensor([sample["index"]]))
        return {**sample, "points": normalized[0]}


def probe_encoder(
    encoder: torch.nn.Module,
    train: dict[str, Tensor],
    test: dict[str, Tensor],
    C: float | None = None,  # noqa: N803
    standardize: bool | None = True,
    device: torch.device | str | None = None,
    num_jobs: int = 1,
) -> LinearProbeResult:
    """Measure an encoder by a linear SVM on its frozen features.

    Args:
        encoder (`torch.nn.Module`):
            As in [`extract_features`], such as `JointMAEModel`.
        train (`dict[str, torch.Tensor]`):
            `points` and `labels` that the SVM is fitted on, see [`sample_clouds`].
        test (`dict[str, torch.Tensor]`):
            `points` and `labels` that it is measured on.
        C (`float`, *optional*):
            Of the SVM; by default chosen by cross-validation on `train`.
        standardize (`bool`, *optional*, defaults to `True`):
            Whether features are scaled to unit variance on `train`; `None` for a choice by cross-validation.
        device (`torch.device` or `str`, *optional*, defaults to that of the encoder):
            Where features are computed.
        num_jobs (`int`, *optional*, defaults to 1):
            Threads for the cross-validation.

    Returns:
        `LinearProbeResult`: Accuracies and how C was chosen.

    Raises:
        ValueError: If a batch has no labels.
    """
    if "labels" not in train or "labels" not in test:
        raise ValueError(f"`train` and `test` must hold labels, got {sorted(train)} and {sorted(test)}.")
    train_features, _ = extract_features(encoder, _rows(train), device=device)
    test_features, _ = extract_features(encoder, _rows(test), device=device)
    labels = train["labels"].cpu().numpy(), test["labels"].cpu().numpy()
    options: dict[str, Any] = {"C": C, "standardize": standardize, "num_jobs": num_jobs}
    return linear_svm(train_features, labels[0], test_features, labels[1], **options)


def _rows(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Samples of a batch, as `extract_features` reads them."""
    return [{"points": cloud} for cloud in batch["points"]]
