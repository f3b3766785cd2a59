"""The dataset `primitive_shapes`: the builder and the dataset that generates shapes on the fly give the same shapes."""

import numpy as np
import pytest

from jointmae_hf.data import CompositionOptions, PrimitiveShapeDataset, load_point_clouds


SMALL = {"num_train": 70, "num_validation": 3, "num_test": 2, "num_points": 64}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return load_point_clouds("primitive_shapes", cache_dir=tmp_path_factory.mktemp("cache"), **SMALL)


def test_splits_have_the_sizes_asked_for(splits):
    assert {name: len(split) for name, split in splits.items()} == {"train": 70, "validation": 3, "test": 2}
    assert set(splits["train"].column_names) == {"points", "id"}
    assert splits["train"]["id"][69] == "train-000000069"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_stored_and_generated_shapes_are_the_same(splits, split):
    generated = PrimitiveShapeDataset(70, num_points=64, split=split)
    for number, stored in enumerate(splits[split].with_format("numpy")["points"][:]):
        np.testing.assert_array_equal(generated[number]["points"], stored)


def test_splits_share_no_shape(splits):
    first = [split.with_format("numpy")[0]["points"] for split in splits.values()]
    assert all(np.abs(first[one] - first[other]).max() > 0.1 for one, other in ((0, 1), (0, 2), (1, 2)))


def test_building_in_two_processes_changes_nothing(splits, tmp_path):
    other = load_point_clouds("primitive_shapes", cache_dir=tmp_path, num_proc=2, split="train", **SMALL)
    assert other["points"][:] == splits["train"]["points"][:]


def test_options_change_the_shapes(tmp_path):
    simple = {"num_primitives": (1, 1), "use_symmetry": False}
    stored = load_point_clouds("primitive_shapes", cache_dir=tmp_path, split="train", **SMALL | simple)
    generated = PrimitiveShapeDataset(70, num_points=64, options=CompositionOptions(**simple))
    np.testing.assert_array_equal(stored.with_format("numpy")[5]["points"], generated[5]["points"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_train": -1}, "`num_train` must be at least 0, got -1"),
        ({"num_primitives": (1, 40)}, "`num_primitives` must be between 1 and 32, got 40"),
        ({"num_primitives": (3, 2)}, "`num_primitives` must be an ascending pair"),
        ({"data_dir": "somewhere"}, "`data_dir` must be left out"),
        ({"num_train": 0, "num_validation": 0}, "must be at least 1, got 0 for all"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        load_point_clouds("primitive_shapes", **options)
