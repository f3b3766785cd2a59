"""Folds of few-shot classification."""

import numpy as np
import pytest
import torch
from datasets import Dataset

from jointmae_hf.data import PointCloudCollator, PointCloudTensors, point_cloud_features, point_cloud_table
from jointmae_hf.evaluation import as_fold, draw_fold


def split(counts, start=0.0):
    """Build a split with clouds of each class; the first coordinate of a cloud is its row."""
    labels = np.repeat(np.arange(len(counts)), counts)
    features = point_cloud_features(4, [f"class {label}" for label in range(len(counts))])
    points = [np.full((4, 3), start + row, np.float32) for row in range(len(labels))]
    table = point_cloud_table(features, points, [str(row) for row in range(len(labels))], labels.tolist())
    return Dataset(table)


def rows(few_shot_split):
    return [int(few_shot_split[item]["points"][0, 0]) for item in range(len(few_shot_split))]


def labels(few_shot_split):
    return [few_shot_split[item]["labels"] for item in range(len(few_shot_split))]


@pytest.fixture
def train():
    return split([6] * 7)


@pytest.fixture
def test():
    return split([9] * 7, start=1000)


def test_fold_has_its_ways_and_shots(train, test):
    fold = draw_fold(train, test, num_ways=5, num_shots=3, fold=0, num_test=4)
    assert np.bincount(labels(fold.train)).tolist() == [3] * 5
    assert np.bincount(labels(fold.test)).tolist() == [4] * 5
    assert len(fold.class_names) == len(set(fold.class_names)) == 5


def test_labels_of_a_fold_name_the_classes_of_the_dataset(train, test):
    fold = draw_fold(train, test, num_ways=5, num_shots=3, fold=0, num_test=4)
    assert [fold.class_names[label] for label in labels(fold.train)] == [
        f"class {row // 6}" for row in rows(fold.train)
    ]
    assert [fold.class_names[label] for label in labels(fold.test)] == [
        f"class {(row - 1000) // 9}" for row in rows(fold.test)
    ]


def test_no_cloud_is_drawn_twice(train, test):
    fold = draw_fold(train, test, num_ways=5, num_shots=6, fold=0, num_test=9)
    assert len(set(rows(fold.train))) == 30
    assert len(set(rows(fold.test))) == 45


def test_fold_repeats_with_its_seed_and_differs_from_others(train, test):
    drawn = [
        rows(draw_fold(train, test, 5, 3, fold, seed, 4).train) for fold, seed in ((0, 0), (0, 0), (1, 0), (0, 1))
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[0] != drawn[3]


def test_rare_classes_are_never_drawn(test):
    train = split([6, 2, 6, 6, 6, 2, 6])
    fold = draw_fold(train, test, num_ways=5, num_shots=3, fold=0, num_test=4)
    assert sorted(fold.class_names) == ["class 0", "class 2", "class 3", "class 4", "class 6"]
    with pytest.raises(
        ValueError, match="`num_ways` must not exceed the classes with 3 clouds in train and 4 in test"
    ):
        draw_fold(train, test, num_ways=6, num_shots=3, fold=0, num_test=4)


def test_samples_can_be_collated(train, test):
    fold = draw_fold(train, test, num_ways=2, num_shots=3, fold=0, num_test=4)
    batch = PointCloudCollator(4)([fold.train[item] for item in range(6)])
    assert batch["points"].shape == (6, 4, 3)
    assert batch["labels"].tolist() == [0, 0, 0, 1, 1, 1]


def test_published_splits_keep_their_labels(train, test):
    fold = as_fold(train, test)
    assert labels(fold.train) == np.repeat(np.arange(7), 6).tolist()


@pytest.mark.parametrize("name", ["num_ways", "num_shots", "fold", "seed", "num_test"])
def test_draw_fold_refuses_numbers_that_are_too_small(train, test, name):
    numbers = {"num_ways": 2, "num_shots": 1, "fold": 0, "seed": 0, "num_test": 1, name: -1}
    with pytest.raises(ValueError, match=f"`{name}` must be at least"):
        draw_fold(train, test, **numbers)


def test_folds_are_drawn_from_clouds_in_memory():
    labels = torch.arange(4).repeat_interleave(6)
    clouds = PointCloudTensors(torch.rand(24, 8, 3), labels)
    fold = draw_fold(clouds, clouds, num_ways=2, num_shots=3, fold=0, num_test=5)
    assert (len(fold.train), len(fold.test), fold.train.num_points) == (6, 10, 8)
    classes = [int(name) for name in fold.class_names]
    for row in range(6):
        sample = fold.train[row]
        is_same = (clouds.points == torch.as_tensor(sample["points"])).all(dim=2).all(dim=1)
        assert labels[is_same].tolist() == [classes[sample["labels"]]]


def test_clouds_in_memory_without_labels_are_refused():
    clouds = PointCloudTensors(torch.rand(4, 8, 3))
    with pytest.raises(ValueError, match="`train` must have labels, got none"):
        draw_fold(clouds, clouds, 2, 1, 0)
