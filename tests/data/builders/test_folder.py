import sys

import numpy as np
import pytest

from jointmae_hf import JointMAEFeatureExtractor
from jointmae_hf.data import PointCloudFolder, load_point_clouds
from jointmae_hf.data.builders import folder


TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def load(path, tmp_path, **kwargs):
    return load_point_clouds("folder", data_dir=path, cache_dir=tmp_path / "cache", **kwargs)


def test_folder_reads_every_file_as_it_is(sizes_dataset, cloud_folder):
    assert len(sizes_dataset) == 4
    for row in sizes_dataset.with_format("numpy"):
        np.testing.assert_array_equal(row["points"], np.load(cloud_folder / str(row["id"])))


def test_folder_labels_are_positions_among_sorted_class_names(sizes_dataset):
    assert sizes_dataset.features["label"].names == ["chair", "table"]
    assert list(sizes_dataset["label"]) == [0, 0, 1, 0]


def test_folder_has_no_label_column_when_files_have_no_folder(tmp_path):
    (tmp_path / "flat").mkdir()
    np.save(tmp_path / "flat" / "a.npy", np.zeros((2, 3)))
    assert load(tmp_path / "flat", tmp_path, split="train").column_names == ["points", "id"]


def test_folder_has_the_splits_of_its_sub_folders(tmp_path):
    for split in ("train", "val", "test"):
        (tmp_path / "c" / split / "cup").mkdir(parents=True)
        np.save(tmp_path / "c" / split / "cup" / "a.npy", np.zeros((2, 3)))
    assert list(load(tmp_path / "c", tmp_path)) == ["train", "validation", "test"]


def test_folder_is_the_same_when_written_in_many_tables(cloud_folder, tmp_path, monkeypatch, sizes_dataset):
    monkeypatch.setattr(folder, "_POINTS_PER_TABLE", 7)
    other = load_point_clouds("folder", data_dir=cloud_folder, split="train", cache_dir=tmp_path / "other")
    assert other.data.column("points").num_chunks > 1
    assert other.to_list() == sizes_dataset.to_list()


def test_folder_is_the_same_when_several_processes_build_it(cloud_folder, tmp_path, sizes_dataset):
    other = load_point_clouds("folder", cloud_folder, split="train", cache_dir=tmp_path / "other", num_proc=2)
    assert other.to_list() == sizes_dataset.to_list()


def test_folder_names_a_bad_file_when_several_processes_build_it(cloud_folder, tmp_path):
    np.save(cloud_folder / "table" / "z.npy", np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match=r"z\.npy` must hold finite"):
        load(cloud_folder, tmp_path, num_proc=2)


def test_folder_leaves_nothing_in_the_cache_when_a_file_is_bad(cloud_folder, tmp_path):
    np.save(cloud_folder / "table" / "z.npy", np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match=r"z\.npy` must hold finite"):
        load(cloud_folder, tmp_path)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_folder_names_the_extra_when_a_package_is_missing(cloud_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (cloud_folder / "table" / "z.h5").write_bytes(b"")
    with pytest.raises(ImportError, match=r'pip install "jointmae_hf\[data\]"'):
        load(cloud_folder, tmp_path)


def test_folder_samples_meshes_by_seed_and_path_alone(tmp_path):
    for name in ("cup/a.off", "cup/b.off"):
        (tmp_path / "c" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "c" / name).write_text(TRIANGLE)
    first = load(tmp_path / "c", tmp_path, split="train", num_points=8).with_format("numpy")[:]["points"]
    assert first.shape == (2, 8, 3)
    assert np.abs(first[0] - first[1]).max() > 0.0
    (tmp_path / "c" / "cup" / "a.off").rename(tmp_path / "c" / "cup" / "0.off")
    again = load(tmp_path / "c", tmp_path, split="train", num_points=8).with_format("numpy")[:]["points"]
    np.testing.assert_array_equal(again[1], first[1])
    other = load(tmp_path / "c", tmp_path, split="train", num_points=8, seed=1).with_format("numpy")[:]["points"]
    assert np.abs(other[1] - first[1]).max() > 0.0


@pytest.mark.parametrize("up_axis", ["x", "y", "z"])
def test_folder_turns_clouds_as_the_feature_extractor_does(cloud_folder, tmp_path, up_axis):
    points = load(cloud_folder, tmp_path, split="train", up_axis=up_axis).with_format("numpy")[0]["points"]
    extractor = JointMAEFeatureExtractor(do_normalize=False, do_resample=False, up_axis=up_axis)
    expected = extractor(np.load(cloud_folder / "chair" / "a.npy"), return_tensors="np")["points"][0]
    np.testing.assert_array_equal(points, expected)


@pytest.mark.parametrize("up_axis", ["x", "y", "z"])
def test_turn_up_brings_the_axis_to_y_without_mirroring(up_axis):
    turned = folder.rotate_to_y_up(np.eye(3), up_axis)
    np.testing.assert_array_equal(turned["xyz".index(up_axis)], [0.0, 1.0, 0.0])
    assert np.linalg.det(turned) == pytest.approx(1.0)


def test_folder_reads_the_array_that_is_named(tmp_path):
    (tmp_path / "c").mkdir()
    np.savez(tmp_path / "c" / "a.npz", before=np.zeros((2, 3)), after=np.ones((2, 3)))
    points = load(tmp_path / "c", tmp_path, split="train", points_key="after").with_format("numpy")[0]["points"]
    np.testing.assert_array_equal(points, np.ones((2, 3)))


def test_folder_reads_the_endings_asked_for_alone(cloud_folder, tmp_path):
    (cloud_folder / "chair" / "labels.txt").write_text("not a cloud")
    assert len(load(cloud_folder, tmp_path, split="train", suffixes=[".npy"])) == 4


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"num_points": 0}, "`num_points` must be at least 1, got 0"),
        ({"num_points": "9"}, "`num_points` must be an int, got '9'"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
        ({"up_axis": "w"}, '`up_axis` must be "x", "y" or "z", got \'w\''),
        ({"suffixes": [".docx"]}, "`suffixes` must be of"),
    ],
)
def test_folder_refuses_a_wrong_option(cloud_folder, tmp_path, option, message):
    with pytest.raises((TypeError, ValueError), match=message):
        load(cloud_folder, tmp_path, **option)


def test_folder_is_built_again_when_a_file_changes(cloud_folder, tmp_path):
    load(cloud_folder, tmp_path)
    np.save(cloud_folder / "chair" / "a.npy", np.full((3, 3), 7.0, np.float32))
    points = load(cloud_folder, tmp_path, split="train").with_format("numpy")[0]["points"]
    np.testing.assert_array_equal(points, np.full((3, 3), 7.0))


def test_folder_is_read_from_the_cache_when_nothing_changes(cloud_folder, tmp_path, monkeypatch):
    load(cloud_folder, tmp_path)
    monkeypatch.setattr(PointCloudFolder, "_generate_tables", None)
    assert len(load(cloud_folder, tmp_path, split="train")) == 4


def test_folder_needs_a_data_dir():
    with pytest.raises(ValueError, match="`data_dir` must name the folder of point clouds, got None"):
        PointCloudFolder()
