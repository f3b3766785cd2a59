import numpy as np
import pytest

from jointmae_hf.data import SHAPE_CLASSES, SyntheticShapes, SyntheticShapesConfig, generate_shape, load_point_clouds


def test_synthetic_shapes_have_the_sizes_of_the_configuration(shapes):
    assert {split: len(shapes[split]) for split in shapes} == {"train": 24, "validation": 2, "test": 3}


def test_synthetic_shapes_default_to_the_documented_sizes():
    config = SyntheticShapesConfig()
    assert config.split_sizes == {"train": 2000, "validation": 200, "test": 400}
    assert (config.num_points, config.seed) == (2048, 0)


def test_synthetic_shapes_equal_generate_shape(shapes):
    row = shapes["test"].with_format("numpy")[2]
    shape = generate_shape(0, "test", 2, num_points=16)
    np.testing.assert_array_equal(row["points"], shape.points)
    np.testing.assert_array_equal(row["part_labels"], shape.part_labels)
    assert (int(row["label"]), str(row["id"])) == (shape.label, "test-000002")


def test_synthetic_shapes_name_their_classes(shapes):
    assert shapes["train"].features["label"].names == list(SHAPE_CLASSES)


def test_synthetic_shapes_are_the_same_with_two_processes(tmp_path):
    def build(num_proc):
        builder = SyntheticShapes(cache_dir=str(tmp_path / str(num_proc)), num_train=130, num_points=4)
        builder.download_and_prepare(num_proc=num_proc)
        return builder.as_dataset(split="train").with_format("numpy")["points"][:]

    np.testing.assert_array_equal(build(1), build(2))


def test_synthetic_shapes_stream(tmp_path):
    builder = SyntheticShapes(cache_dir=str(tmp_path), num_train=3, num_points=4)
    rows = list(builder.as_streaming_dataset(split="train"))
    np.testing.assert_array_equal(rows[1]["points"], generate_shape(0, "train", 1, 4).points)


def test_synthetic_shapes_leave_out_empty_splits(tmp_path):
    splits = load_point_clouds("synthetic_shapes", cache_dir=tmp_path, num_train=1, num_validation=0, num_test=0)
    assert list(splits) == ["train"]


@pytest.mark.parametrize("option", ["num_train", "num_validation", "num_test", "seed"])
def test_synthetic_shapes_refuse_negative_options(option):
    with pytest.raises(ValueError, match=f"`{option}` must be at least 0, got -1"):
        SyntheticShapesConfig(**{option: -1})


def test_synthetic_shapes_refuse_clouds_without_points():
    with pytest.raises(ValueError, match="`num_points` must be at least 1, got 0"):
        SyntheticShapesConfig(num_points=0)


def test_synthetic_shapes_refuse_sizes_that_are_not_integers():
    with pytest.raises(TypeError, match=r"`num_train` must be an int, got 2\.5"):
        SyntheticShapesConfig(num_train=2.5)


def test_synthetic_shapes_refuse_to_be_empty():
    with pytest.raises(ValueError, match="must be at least 1, got 0 for all"):
        SyntheticShapesConfig(num_train=0, num_validation=0, num_test=0)


def test_synthetic_shapes_refuse_a_data_dir(tmp_path):
    with pytest.raises(ValueError, match="`data_dir` must be left out"):
        load_point_clouds("synthetic_shapes", data_dir=tmp_path, cache_dir=tmp_path)
