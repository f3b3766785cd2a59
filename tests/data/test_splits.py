import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value

from jointmae_hf.data.splits import hold_out, load_splits


@pytest.fixture
def labelled():
    features = Features({"row": Value("int64"), "label": ClassLabel(names=["mug", "chair"])})
    return Dataset.from_dict({"row": range(100), "label": [row % 4 == 0 for row in range(100)]}, features=features)


def test_hold_out_divides_without_loss_or_overlap(labelled):
    parts = hold_out(labelled, 0.2)
    assert sorted(parts[0]["row"][:] + parts[1]["row"][:]) == list(range(100))


def test_hold_out_keeps_the_shares_of_the_classes(labelled):
    _, held_out = hold_out(labelled, 0.2)
    assert np.bincount(held_out["label"]).tolist() in ([15, 5], [16, 5], [15, 6], [16, 6])


def test_hold_out_represents_rare_classes_in_the_mean(labelled):
    rare = labelled.select([0, 4, 8, *range(1, 4)])
    counts = [len(hold_out(rare, 0.4, seed)[1]) for seed in range(200)]
    assert 2.3 < np.mean(counts) < 2.5


def test_hold_out_repeats_with_its_seed(labelled):
    first, again, other = (hold_out(labelled, 0.2, seed)[1]["row"][:] for seed in (0, 0, 1))
    assert first == again != other


def test_hold_out_refuses_an_empty_part(labelled):
    with pytest.raises(ValueError, match=r"`share` must leave samples in both parts, got 0.001 of 5"):
        hold_out(labelled.select(range(5)), 0.001)


@pytest.fixture
def sizes():
    return {"num_train": 40, "num_test": 20, "num_validation": 20, "num_points": 64}


def test_load_splits_keeps_a_validation_split_that_exists(tmp_path, sizes):
    splits = load_splits("synthetic_shapes", cache_dir=tmp_path, **sizes)
    assert {name: len(split) for name, split in splits.items()} == {"train": 40, "validation": 20, "test": 20}


def test_load_splits_holds_out_of_train_where_there_is_no_validation(tmp_path):
    for split, count in (("train", 20), ("test", 4)):
        (tmp_path / "clouds" / split).mkdir(parents=True)
        for row in range(count):
            np.save(tmp_path / "clouds" / split / f"{row}.npy", np.random.default_rng(row).normal(size=(8, 3)))
    splits = load_splits(
        "folder", tmp_path / "clouds", validation_share=0.25, cache_dir=tmp_path / "cache", num_points=8
    )
    assert {name: len(split) for name, split in splits.items()} == {"train": 15, "validation": 5, "test": 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"validation_share": 0.0}, "`validation_share` must be within"), ({"seed": -1}, "`seed` must not be negative")],
)
def test_load_splits_refuses_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_splits("synthetic_shapes", **arguments)
