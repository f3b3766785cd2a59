"""Frozen features of a dataset, one vector per cloud, and the clouds that they are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data import Normalize, PointCloudCollator, PointCloudDataset, PointCloudTensors, Transform, as_clouds
from jointmae_hf.model.pooling import check_pooling, pool_outputs


if TYPE_CHECKING:
    from datasets import Dataset


def sample_clouds(
    dataset: Dataset | PointCloudTensors,
    max_clouds: int,
    num_points: int,
    seed: int = 0,
    transform: Transform | None = None,
) -> dict[str, Tensor]:
    """Draw random clouds of a split as one batch, normalized to the unit sphere.

    Args:
        dataset (`datasets.Dataset` or [`PointCloudTensors`]):
            A split of a dataset, see [`load_point_clouds`].
        max_clouds (`int`):
            Maximum number of clouds.
        num_points (`int`):
            Points per cloud, see [`PointCloudCollator`].
        seed (`int`, *optional*, defaults to 0):
            Seed for the choice of clouds and points.
        transform (`Transform`, *optional*):
            Applied after normalization, such as a random rotation.

    Returns:
        `dict[str, torch.Tensor]`: `points` `(num_clouds, num_points, 3)`, `index` `(num_clouds,)` and, if the dataset
        is labeled, `labels` `(num_clouds,)`.

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
    """Return the first points of each cloud of a split, normalized to the unit sphere, for `extract_features`.

    Source: CrossPoint and Point-M2AE probe the first 1,024 of 2,048 points.

    Args:
        dataset (`datasets.Dataset`):
            A split of a dataset.
        num_points (`int`):
            Points to take from each cloud.

    Raises:
        ValueError: If `num_points` is not positive, or an item has fewer points.
    """

    def __init__(self, dataset: Dataset, num_points: int) -> None:
        if num_points < 1:
            raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
        self._clouds, self._num_points = PointCloudDataset(dataset), num_points

    def __len__(self) -> int:
        return len(self._clouds)

    def __getitem__(self, index: Any) -> Any:
        """Return one sample with `points` `(num_points, 3)` and, if the dataset is labeled, `labels`."""
        sample = self._clouds[index]
        points = torch.from_numpy(sample["points"][: self._num_points].copy())[None]
        if points.shape[1] < self._num_points:
            raise ValueError(
                f"`num_points` must not exceed the points of item {index}, got {self._num_points} and "
                f"{points.shape[1]}."
            )
        normalized = Normalize()(points, epoch=0, index=torch.tensor([sample["index"]]))
        return {**sample, "points": normalized[0]}


def extract_features(
    model: torch.nn.Module,
    dataset: Sequence[Mapping[str, Any]] | torch.utils.data.Dataset,
    batch_size: int = 64,
    pooling: str = "sum",
    num_points: int | None = None,
    device: torch.device | str | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute the features of every cloud in evaluation mode, without gradients.

    Afterwards, also after an error, the model is back on its device and every module in its previous mode.

    Args:
        model (`torch.nn.Module`):
            Called as `model(points=...)` with float32 `(batch_size, num_points, 3)`; returns what [`pool_outputs`] reads,
            by default `pooler_output` of shape `(batch_size, hidden_size)`.
        dataset (sequence or `torch.utils.data.Dataset`):
            Items are mappings with `points` `(num_points, 3)` and, in all or none of them, an integer `labels`.
        batch_size (`int`, *optional*, defaults to 64):
            Clouds per call of the model; the last batch may be smaller.
        pooling (`str`, *optional*, defaults to `"sum"`):
            How tokens become one vector: `"sum"`, `"concat"`, `"mean"` or `"max"`, see [`POOLINGS`].
        num_points (`int`, *optional*):
            Number of leading points to use of every cloud. `None` uses all; then the clouds of a batch must have the
            same size.
        device (`torch.device` or `str`, *optional*, defaults to that of the model):
            Device to compute on.

    Returns:
        `tuple[np.ndarray, np.ndarray | None]`: Features as float32 `(num_samples, feature_size)` and labels as int64
        `(num_samples,)`, or `None` without labels.

    Raises:
        ValueError: If an argument or an item breaks the rules above, or a feature is not finite.
    """
    check_pooling(pooling)
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    if num_points is not None and num_points < 1:
        raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
    num_samples = len(dataset)  # type: ignore[arg-type]
    if num_samples == 0:
        raise ValueError("`dataset` must hold at least one cloud, got none.")
    features: list[np.ndarray] = []
    labels: list[int | None] = []
    with torch.inference_mode(), _evaluation_mode(model, device) as model_device:
        for start in range(0, num_samples, batch_size):
            items = [dataset[index] for index in range(start, min(start + batch_size, num_samples))]
            points = _stack_points(items, start, num_points).to(model_device)
            features.append(pool_outputs(model(points=points), pooling).float().cpu().numpy())
            labels.extend(None if item.get("labels") is None else int(item["labels"]) for item in items)
    return _validate_features(np.concatenate(features)), _stack_labels(labels)


@contextmanager
def _evaluation_mode(model: torch.nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """Put the model in evaluation mode on the device; restore both afterwards, module by module."""
    home = next(model.parameters()).device
    was_training = {module: module.training for module in model.modules()}
    workplace = home if device is None else torch.device(device)
    try:
        model.to(workplace).eval()
        yield workplace
    finally:
        model.to(home)
        for module, mode in was_training.items():
            module.training = mode


def _stack_points(items: list[Mapping[str, Any]], start: int, num_points: int | None) -> Tensor:
    """Return float32 `(batch_size, num_points, 3)`; `start` is the index of the first item in the dataset."""
    clouds = [torch.as_tensor(item["points"], dtype=torch.float32) for item in items]
    for index, cloud in enumerate(clouds, start):
        if cloud.ndim != 2 or cloud.shape[1] != 3:
            raise ValueError(f"`points` of item {index} must have shape (num_points, 3), got {tuple(cloud.shape)}.")
        if num_points is not None and len(cloud) < num_points:
            raise ValueError(
                f"`num_points` must not exceed the points of item {index}, got {num_points}, {len(cloud)}."
            )
        if num_points is None and len(cloud) != len(clouds[0]):
            raise ValueError(
                f"`dataset` must hold clouds of equal size when `num_points` is None, got {len(clouds[0])} points and "
                f"{len(cloud)} in item {index}. Pass `num_points`."
            )
    return torch.stack([cloud[:num_points] for cloud in clouds])


def _stack_labels(labels: list[int | None]) -> np.ndarray | None:
    """Return int64 `(num_samples,)`, or `None` if no item has a label."""
    missing = [index for index, label in enumerate(labels) if label is None]
    if len(missing) == len(labels):
        return None
    if missing:
        raise ValueError(f"`labels` must be in every item or in none, got none in item {missing[0]}.")
    return np.array(labels, dtype=np.int64)


def _validate_features(features: np.ndarray) -> np.ndarray:
    """Return the features; reject NaN and infinity, which a classifier could hide."""
    is_finite = np.isfinite(features).all(axis=1)
    if not is_finite.all():
        first = int(np.argmin(is_finite))
        raise ValueError(f"`model` must return finite features, got NaN or infinity for item {first}.")
    return features
