import numpy as np
import pytest

from jointmae_hf.data import PointCloudFolder, folder, load_point_clouds


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


def test_folder_raises_before_anything_is_written_when_a_file_is_bad(cloud_folder, tmp_path):
    np.save(cloud_folder / "table" / "z.npy", np.full((4, 3), np.nan))
    with pytest.raises(ValueError, match=r"z\.npy` must hold finite"):
        load(cloud_folder, tmp_path)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


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
