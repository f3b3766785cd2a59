"""Holding out a part of some clouds, which is how validation splits are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .dataset import PointCloudTensors


if TYPE_CHECKING:
    from datasets import Dataset

_Split = TypeVar("_Split", "Dataset", PointCloudTensors)


def hold_out(clouds: _Split, share: float, seed: int = 0) -> tuple[_Split, _Split]:
    """Split clouds in two, class by class where there are labels; clouds keep their order.

    Args:
        clouds (`datasets.Dataset` or [`PointCloudTensors`]):
            The clouds. The same labels give the same rows, whichever of the two holds them.
        share (`float`):
            Share of the second part, within (0, 1). Of every class it gets `floor(share * size + u)` clouds, with a random
            u in [0, 1) for each class, so that rare classes are represented on average.
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice.

    Returns:
        `tuple`: The larger part and the one that was held out, of the type of `clouds`.

    Raises:
        ValueError: If one of the parts would be empty.
    """
    labels = _labels_of(clouds)
    generator = np.random.default_rng(seed)
    is_held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        is_held_out[rows[: int(share * len(rows) + generator.random())]] = True
    if is_held_out.all() or not is_held_out.any():
        raise ValueError(
            f"`share` must leave samples in both parts, got {share} of {len(labels)} samples. Choose another share."
        )
    return clouds.select(np.flatnonzero(~is_held_out)), clouds.select(np.flatnonzero(is_held_out))


def _labels_of(clouds: Dataset | PointCloudTensors) -> np.ndarray:
    """Return the class of every cloud, 0 where there are no classes."""
    if isinstance(clouds, PointCloudTensors):
        return np.zeros(len(clouds), dtype=int) if clouds.labels is None else clouds.labels.cpu().numpy()
    return np.asarray(clouds["label"]) if "label" in clouds.features else np.zeros(len(clouds), dtype=int)
