import pytest
from datasets import Dataset

from jointmae_hf.data import load_point_clouds


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
