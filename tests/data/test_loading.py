import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Value

from jointmae_hf.data import PointCloudTensors, hold_out, load_point_clouds, load_splits


CONFIG = {"num_train": 2, "num_validation": 1, "num_test": 1, "num_points": 4}


def test_load_returns_all_splits_by_default(shapes):
    assert list(shapes) == ["train", "validation", "test"]


def test_load_returns_one_dataset_when_a_split_is_named(tmp_path):
    dataset = load_point_clouds("synthetic_shapes", split="test", cache_dir=tmp_path, **CONFIG)
    assert isinstance(dataset, Dataset)
    assert len(dataset) == 1


def test_load_takes_parts_of_a_split(tmp_path):
    assert len(load_point_clouds("synthetic_shapes", split="train[:50%]", cache_dir=tmp_path, **CONFIG)) == 1


def test_load_lists_the_names_when_the_name_is_unknown():
    with pytest.raises(
        ValueError, match=r"`name` must be one of folder, modelnet40, .*, synthetic_shapes, got 'shapenet'"
    ):
        load_point_clouds("shapenet")


def test_load_lists_the_splits_when_the_split_is_unknown(tmp_path):
    with pytest.raises(ValueError, match=r'"dev".*train.*validation.*test'):
        load_point_clouds("synthetic_shapes", split="dev", cache_dir=tmp_path, **CONFIG)


def test_load_names_the_option_when_it_is_unknown(tmp_path):
    with pytest.raises(TypeError, match="num_trian"):
        load_point_clouds("synthetic_shapes", cache_dir=tmp_path, num_trian=2)


@pytest.fixture
def labeled():
    features = Features({"row": Value("int64"), "label": ClassLabel(names=["mug", "chair"])})
    return Dataset.from_dict({"row": range(100), "label": [row % 4 == 0 for row in range(100)]}, features=features)


def test_hold_out_divides_without_loss_or_overlap(labeled):
    parts = hold_out(labeled, 0.2)
    assert sorted(parts[0]["row"][:] + parts[1]["row"][:]) == list(range(100))


def test_hold_out_keeps_the_shares_of_the_classes(labeled):
    _, held_out = hold_out(labeled, 0.2)
    assert np.bincount(held_out["label"]).tolist() in ([15, 5], [16, 5], [15, 6], [16, 6])


def test_hold_out_represents_rare_classes_in_the_mean(labeled):
    rare = labeled.select([0, 4, 8, *range(1, 4)])
    counts = [len(hold_out(rare, 0.4, seed)[1]) for seed in range(200)]
    assert 2.3 < np.mean(counts) < 2.5


@pytest.mark.parametrize(("share", "seed"), [(0.2, 0), (0.35, 3)])
def test_hold_out_takes_the_same_rows_of_a_dataset_and_of_clouds_in_memory(labeled, share, seed):
    points = torch.arange(100.0)[:, None, None].expand(100, 4, 3)
    clouds = PointCloudTensors(points, torch.tensor(labeled["label"]))
    parts = zip(hold_out(labeled, share, seed), hold_out(clouds, share, seed), strict=True)
    for rows, tensors in parts:
        assert tensors.points[:, 0, 0].tolist() == rows["row"][:]


def test_hold_out_of_clouds_in_memory_has_its_share_of_each_class():
    clouds = PointCloudTensors(torch.rand(30, 4, 3), torch.tensor([0] * 20 + [1] * 10))
    kept, held_out = hold_out(clouds, 0.1, seed=3)
    assert sorted(held_out.labels.tolist()) == [0, 0, 1]
    points = torch.cat([kept.points, held_out.points]).flatten(1)
    assert torch.equal(points.unique(dim=0), clouds.points.flatten(1).unique(dim=0))


def test_hold_out_divides_clouds_without_labels():
    parts = hold_out(PointCloudTensors(torch.rand(20, 4, 3)), 0.25)
    assert [len(part) for part in parts] == [15, 5]


def test_hold_out_repeats_with_its_seed(labeled):
    first, again, other = (hold_out(labeled, 0.2, seed)[1]["row"][:] for seed in (0, 0, 1))
    assert first == again != other


def test_hold_out_refuses_an_empty_part(labeled):
    with pytest.raises(ValueError, match=r"`share` must leave samples in both parts, got 0.001 of 5"):
        hold_out(labeled.select(range(5)), 0.001)


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
