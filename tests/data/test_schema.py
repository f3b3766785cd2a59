import numpy as np
import pytest
from datasets import Array2D, ClassLabel, Dataset, List, Value

from jointmae_hf.data import point_cloud_features, point_cloud_table
from jointmae_hf.data.schema import check_class_list, check_labels


def make_clouds(*sizes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(size, 3)).astype(np.float32) for size in sizes]


def test_features_hold_all_columns_when_classes_and_parts_exist():
    features = point_cloud_features(8, ["a", "b"], has_part_labels=True)
    assert features["points"] == Array2D((8, 3), "float32")
    assert features["label"] == ClassLabel(names=["a", "b"])
    assert features["part_labels"] == List(Value("uint8"))
    assert list(features) == ["points", "label", "part_labels", "id"]


def test_features_hold_points_and_id_alone_by_default():
    assert list(point_cloud_features()) == ["points", "id"]


def test_features_refuse_a_size_of_zero():
    with pytest.raises(ValueError, match="`num_points` must be at least 1, got 0"):
        point_cloud_features(0)


def test_table_reads_back_what_was_written():
    clouds, parts = make_clouds(2, 5), [np.array([0, 1], np.uint8), np.arange(5, dtype=np.uint8)]
    features = point_cloud_features(None, ["a", "b"], has_part_labels=True)
    dataset = Dataset(point_cloud_table(features, clouds, ["x", "y"], [1, 0], parts)).with_format("numpy")
    assert dataset.features == features
    for row, cloud, part in zip(dataset, clouds, parts, strict=True):
        np.testing.assert_array_equal(row["points"], cloud)
        np.testing.assert_array_equal(row["part_labels"], part)
    assert dataset["label"][:].tolist() == [1, 0]


def test_table_refuses_a_column_that_features_lack():
    with pytest.raises(ValueError, match="`label` must be given if and only if"):
        point_cloud_table(point_cloud_features(), make_clouds(2), ["x"], labels=[0])


def test_table_refuses_a_column_of_another_length():
    with pytest.raises(ValueError, match="`id` must have one entry per cloud, got 2 and 1"):
        point_cloud_table(point_cloud_features(), make_clouds(2), ["x", "y"])


@pytest.mark.parametrize("cloud", [np.zeros((4, 2), np.float32), np.zeros((4, 3)), np.zeros(3, np.float32)])
def test_table_refuses_clouds_of_another_type(cloud):
    with pytest.raises(ValueError, match="`points` must be float32 arrays"):
        point_cloud_table(point_cloud_features(), [cloud], ["x"])


def test_table_refuses_a_size_that_features_exclude():
    with pytest.raises(ValueError, match="must hold 4 points as in `features`, got 5"):
        point_cloud_table(point_cloud_features(4), make_clouds(4, 5), ["x", "y"])


def test_table_refuses_part_labels_of_another_length():
    features = point_cloud_features(has_part_labels=True)
    with pytest.raises(ValueError, match="`part_labels` must have one entry per point"):
        point_cloud_table(features, make_clouds(4), ["x"], part_labels=[np.zeros(3, np.uint8)])


def test_features_hold_the_columns_of_published_datasets():
    features = point_cloud_features(8, ["a"], has_normals=True, has_background=True, has_synset=True)
    assert list(features) == ["points", "normals", "label", "is_background", "synset", "id"]
    assert features["normals"] == Array2D((8, 3), "float32")
    assert features["is_background"] == List(Value("bool"))


def test_table_reads_back_normals_background_and_synset():
    clouds, normals = make_clouds(2, 3), make_clouds(2, 3)
    background = [np.array([True, False]), np.array([False, True, True])]
    features = point_cloud_features(has_normals=True, has_background=True, has_synset=True)
    table = point_cloud_table(
        features, clouds, ["x", "y"], normals=normals, is_background=background, synsets=["02691156", "04379243"]
    )
    dataset = Dataset(table).with_format("numpy")
    assert dataset.features == features
    np.testing.assert_array_equal(dataset[1]["normals"], normals[1])
    np.testing.assert_array_equal(dataset[1]["is_background"], background[1])
    assert dataset["synset"][:].tolist() == ["02691156", "04379243"]


def test_table_takes_one_array_of_clouds():
    clouds = np.stack(make_clouds(4, 4))
    table = point_cloud_table(
        point_cloud_features(4, has_background=True), clouds, ["x", "y"], is_background=np.ones((2, 4), bool)
    )
    np.testing.assert_array_equal(Dataset(table).with_format("numpy")["points"][:], clouds)


@pytest.mark.parametrize(("name", "values"), [("normals", make_clouds(3)), ("is_background", [np.zeros(3, bool)])])
def test_table_refuses_other_columns_of_another_length(name, values):
    features = point_cloud_features(has_normals=name == "normals", has_background=name == "is_background")
    with pytest.raises(ValueError, match=f"`{name}` must have one entry per point"):
        point_cloud_table(features, make_clouds(4), ["x"], **{name: values})


def test_check_labels_returns_integers(tmp_path):
    assert check_labels(np.array([0, 39], np.uint8), 40, tmp_path) == [0, 39]


@pytest.mark.parametrize("label", [-1, 3, 255])
def test_check_labels_names_file_range_and_cloud(tmp_path, label):
    with pytest.raises(ValueError, match=rf"a\.h5` must hold labels from 0 to 2, got {label} at cloud 1"):
        check_labels(np.array([0, label]), 3, tmp_path / "a.h5")


def test_check_class_list_takes_the_classes_and_a_missing_list(tmp_path):
    check_class_list(tmp_path / "names.txt", ["bed", "car"])
    (tmp_path / "names.txt").write_text("bed\ncar\n")
    check_class_list(tmp_path / "names.txt", ["bed", "car"])


@pytest.mark.parametrize("text", ["car\nbed\n", "bed\n", "bed\ncar\ncup\n"])
def test_check_class_list_refuses_another_list(tmp_path, text):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(ValueError, match=r"names\.txt` must list the 2 classes of the dataset in order"):
        check_class_list(tmp_path / "names.txt", ["bed", "car"])
