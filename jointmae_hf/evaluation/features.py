"""Frozen features of a data set, one vector per cloud."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor


POOLINGS = ("pooler", "mean_max_sum", "mean_max_concat", "max", "mean")


def extract_features(
    model: torch.nn.Module,
    dataset: Sequence[Mapping[str, Any]] | torch.utils.data.Dataset,
    batch_size: int = 64,
    pooling: str = "pooler",
    num_points: int | None = None,
    device: torch.device | str | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute the features of every cloud by a model in evaluation mode, without gradients.

    The model returns to its device and every module to its training mode, also after an error.

    Args:
        model (`torch.nn.Module`):
            Called as `model(points=...)` with float32 `(batch_size, num_points, 3)`; returns `pooler_output` of shape
            `(batch_size, hidden_size)` and `last_hidden_state` of shape `(batch_size, num_groups, hidden_size)`.
        dataset (sequence or `torch.utils.data.Dataset`):
            Items are mappings with `points` `(num_points, 3)` and, for all or none of them, an `int` in `labels`.
        batch_size (`int`, *optional*, defaults to 64):
            Clouds per call of the model; the last batch may be smaller.
        pooling (`str`, *optional*, defaults to `"pooler"`):
            `"pooler"` takes `pooler_output`. Over the tokens of `last_hidden_state`: `"mean_max_sum"` (what the pooler
            of Joint-MAE does), `"mean_max_concat"` (twice as wide), `"max"` or `"mean"`.
        num_points (`int`, *optional*):
            Takes the first so many points of every cloud. `None` takes all; then the clouds of a batch must be equally
            large.
        device (`torch.device` or `str`, *optional*, defaults to that of the model):
            Where to compute.

    Returns:
        `tuple[np.ndarray, np.ndarray | None]`: Features as float32 `(num_samples, feature_size)` and labels as int64
        `(num_samples,)`, or `None` without labels.

    Raises:
        ValueError: If an argument or an item breaks the rules above, or a feature is not finite.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be one of {', '.join(POOLINGS)}, got {pooling!r}.")
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
            features.append(_pool(model(points=points), pooling).float().cpu().numpy())
            labels.extend(None if item.get("labels") is None else int(item["labels"]) for item in items)
    return _validate_features(np.concatenate(features)), _stack_labels(labels)


@contextmanager
def _evaluation_mode(model: torch.nn.Module, device: torch.device | str | None) -> Iterator[torch.device]:
    """Put the model in evaluation mode on the device; afterwards undo both, module by module."""
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
    """Return float32 `(batch_size, num_points, 3)`; `start` is the index of the first item in the data set."""
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
                f"`dataset` must hold equally large clouds when `num_points` is None, got {len(clouds[0])} points and "
                f"{len(cloud)} in item {index}. Pass `num_points`."
            )
    return torch.stack([cloud[:num_points] for cloud in clouds])


def _pool(outputs: Any, pooling: str) -> Tensor:
    """Return `(batch_size, feature_size)` from the outputs of the model."""
    if pooling == "pooler":
        return outputs.pooler_output
    tokens = outputs.last_hidden_state
    mean, maximum = tokens.mean(dim=1), tokens.amax(dim=1)
    if pooling == "mean_max_concat":
        return torch.cat([mean, maximum], dim=-1)
    return {"mean_max_sum": mean + maximum, "max": maximum, "mean": mean}[pooling]


def _stack_labels(labels: list[int | None]) -> np.ndarray | None:
    """Return int64 `(num_samples,)`, or None where no item has a label."""
    missing = [index for index, label in enumerate(labels) if label is None]
    if len(missing) == len(labels):
        return None
    if missing:
        raise ValueError(f"`labels` must be in every item or in none, got none in item {missing[0]}.")
    return np.array(labels, dtype=np.int64)


def _validate_features(features: np.ndarray) -> np.ndarray:
    """Return the features; refuse NaN and infinity, which a classifier could hide."""
    is_finite = np.isfinite(features).all(axis=1)
    if not is_finite.all():
        first = int(np.argmin(is_finite))
        raise ValueError(f"`model` must return finite features, got NaN or infinity for item {first}.")
    return features
