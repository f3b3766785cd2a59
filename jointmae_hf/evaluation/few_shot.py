"""Few-shot classification: N-way K-shot folds of a labeled dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jointmae_hf.data import PointCloudTensors, as_clouds
from jointmae_hf.data.few_shot_folds import NUM_TEST_SHAPES, FoldDraw


if TYPE_CHECKING:
    from datasets import Dataset


class FewShotSplit(torch.utils.data.Dataset):
    """Clouds of a fold with labels counted from 0, as `PointCloudCollator` and `extract_features` read them.

    Args:
        dataset (`datasets.Dataset` or [`PointCloudTensors`]):
            Clouds of the fold with their labels in the dataset.
        classes (`Sequence[int]`):
            Labels in the dataset in the order of those in the fold.
    """

    def __init__(self, dataset: Dataset | PointCloudTensors, classes: Sequence[int]) -> None:
        self.clouds = as_clouds(dataset)
        self.classes = tuple(int(label) for label in classes)
        self.num_points, self.files = self.clouds.num_points, self.clouds.files

    def __len__(self) -> int:
        return len(self.clouds)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample with `points`, `index` and `labels`."""
        sample = self.clouds[index]
        return {
            "points": sample["points"],
            "index": sample["index"],
            "labels": self.classes.index(sample["labels"]),
        }


@dataclass(frozen=True)
class FewShotFold:
    """One fold.

    Args:
        train ([`FewShotSplit`]):
            `num_shots` clouds of each class.
        test ([`FewShotSplit`]):
            Held-out clouds of the same classes.
        class_names (`tuple[str, ...]`):
            Names in the order of the labels.
    """

    train: FewShotSplit
    test: FewShotSplit
    class_names: tuple[str, ...]


def as_fold(train: Dataset, test: Dataset) -> FewShotFold:
    """Take two splits with the same classes as a fold, such as one of `modelnet_few_shot`.

    Args:
        train (`datasets.Dataset`):
            Split to train on.
        test (`datasets.Dataset`):
            Split to evaluate on.

    Returns:
        [`FewShotFold`]: With the labels of the splits.
    """
    names = tuple(train.features["label"].names)
    return FewShotFold(FewShotSplit(train, range(len(names))), FewShotSplit(test, range(len(names))), names)


def draw_fold(
    train: Dataset | PointCloudTensors,
    test: Dataset | PointCloudTensors,
    num_ways: int,
    num_shots: int,
    fold: int,
    seed: int = 0,
    num_test: int = NUM_TEST_SHAPES,
) -> FewShotFold:
    """Draw a fold: classes at random, then training clouds out of `train` and test clouds out of `test`.

    The same arguments give the same fold, whatever the order of the clouds if they have an `id`: that of the dataset
    `modelnet_few_shot` with this `seed`. Classes with too few clouds are never drawn.

    Args:
        train (`datasets.Dataset`):
            Labeled split to train on.
        test (`datasets.Dataset`):
            Labeled split to evaluate on, with the same classes.
        num_ways (`int`):
            Classes of the fold, at least 2.
        num_shots (`int`):
            Training clouds of each class.
        fold (`int`):
            Number of the fold.
        seed (`int`, *optional*, defaults to 0):
            Seed of all folds, not negative.
        num_test (`int`, *optional*, defaults to 20):
            Test clouds of each class.

    Returns:
        [`FewShotFold`]: The fold.

    Raises:
        ValueError: If a number is too small, a split has no labels, or too few classes have enough clouds.
    """
    least_values = {"num_ways": 2, "num_shots": 1, "fold": 0, "seed": 0, "num_test": 1}
    values = {"num_ways": num_ways, "num_shots": num_shots, "fold": fold, "seed": seed, "num_test": num_test}
    for name, least in least_values.items():
        if values[name] < least:
            raise ValueError(f"`{name}` must be at least {least}, got {values[name]}.")
    train_labels, names = _labels_and_names("train", train)
    test_labels, _ = _labels_and_names("test", test)
    possible = [
        label
        for label in range(len(names))
        if (train_labels == label).sum() >= num_shots and (test_labels == label).sum() >= num_test
    ]
    if len(possible) < num_ways:
        raise ValueError(
            f"`num_ways` must not exceed the classes with {num_shots} clouds in train and {num_test} in test, got "
            f"{num_ways} of {len(possible)}."
        )
    draw = FoldDraw(num_ways, num_shots, fold, seed)
    classes = draw.classes(possible)
    train_rows = draw.rows("train", train_labels, classes, num_shots, _ids_of(train))
    test_rows = draw.rows("test", test_labels, classes, num_test, _ids_of(test))
    return FewShotFold(
        FewShotSplit(train.select(train_rows), classes),
        FewShotSplit(test.select(test_rows), classes),
        tuple(names[label] for label in classes),
    )


def _ids_of(split: Dataset | PointCloudTensors) -> Sequence[str] | None:
    """Return the names of the clouds of a split, if they have any."""
    return None if isinstance(split, PointCloudTensors) or "id" not in split.features else split["id"][:]


def _labels_and_names(name: str, split: Dataset | PointCloudTensors) -> tuple[np.ndarray, list[str]]:
    """Labels of a split and the names of its classes, which are numbers where it lies in memory."""
    if isinstance(split, PointCloudTensors):
        if split.labels is None:
            raise ValueError(f"`{name}` must have labels, got none.")
        labels = split.labels.cpu().numpy()
        return labels, [str(label) for label in range(int(labels.max()) + 1)]
    if "label" not in split.features:
        raise ValueError(f"`{name}` must have labels, got columns {sorted(split.features)}.")
    return np.asarray(split["label"]), list(split.features["label"].names)
