import os
import sys

import numpy as np
import pytest

from jointmae_hf import JointMAEFeatureExtractor
from jointmae_hf.data import PointCloudFolder, load_point_clouds
from jointmae_hf.data.builders import folder
from jointmae_hf.data.builders.folder import class_names_of, find_point_cloud_files


TRIANGLE = "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"


def load(path, tmp_path, **kwargs):
    return load_point_clouds("folder", data_dir=path, cache_dir=tmp_path / "cache", **kwargs)


def test_folder_reads_every_file_as_it_is(sizes_dataset, cloud_folder):
    assert len(sizes_dataset) == 4
    for row in sizes_dataset.with_format("numpy"):
        np.testing.assert_array_equal(row["points"], np.load(cloud_folder / str(row["id"])))


def test_folder_labels_are_positions_among_sorted_class_names(sizes_dataset):
    assert sizes_dataset.features["label"].names == ["chair", "table"]
    assert list(sizes_dataset["label"]) == [0, 0, 1, 1]


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
def test_folder_rotates_clouds_as_the_feature_extractor_does(cloud_folder, tmp_path, up_axis):
    points = load(cloud_folder, tmp_path, split="train", up_axis=up_axis).with_format("numpy")[0]["points"]
    extractor = JointMAEFeatureExtractor(do_normalize=False, do_resample=False, up_axis=up_axis)
    expected = extractor(np.load(cloud_folder / "chair" / "a.npy"), return_tensors="np")["points"][0]
    np.testing.assert_array_equal(points, expected)


@pytest.mark.parametrize("up_axis", ["x", "y", "z"])
def test_rotate_to_y_up_brings_the_axis_to_y_without_mirroring(up_axis):
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
        ({"layout": "class/name"}, '`layout` must be "flat" or folders joined by'),
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


def test_folder_is_found_again_after_datasets_has_replaced_open_and_path_in_builders(cloud_folder, tmp_path):
    root = cloud_folder.rename(tmp_path / "url::like")
    for cache in ("first", "second"):
        splits = load_point_clouds("folder", root, cache_dir=tmp_path / cache)
        assert len(splits["train"]) == 4


def test_folder_needs_a_data_dir():
    with pytest.raises(ValueError, match="`data_dir` must name the folder of the dataset, got None"):
        PointCloudFolder()


def add(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.zeros((2, 3), np.float32))


def test_find_lists_one_split_when_no_folder_is_named_after_a_split(cloud_folder):
    splits = find_point_cloud_files(cloud_folder)
    assert [file.id for file in splits["train"]] == [
        "chair/a.npy", "chair/b.npy", "table/a.npy", "table/c.npy"
    ]  # fmt: skip
    assert list(splits) == ["train"]


def test_class_is_the_folder_that_holds_the_file_when_asked(cloud_folder):
    add(cloud_folder / "table" / "deep" / "chair" / "c.npy")
    splits = find_point_cloud_files(cloud_folder, layout="**/class")
    assert [file.class_name for file in splits["train"]] == ["chair", "chair", "table", "table", "chair"]
    assert class_names_of(splits) == ["chair", "table"]


def test_find_takes_split_folders_in_the_usual_order(tmp_path):
    for split in ("test", "val", "train"):
        add(tmp_path / split / "cup" / "a.npy")
    assert list(find_point_cloud_files(tmp_path)) == ["train", "validation", "test"]


def test_class_names_cover_all_splits(tmp_path):
    add(tmp_path / "train" / "cup" / "a.npy")
    add(tmp_path / "test" / "bed" / "a.npy")
    assert class_names_of(find_point_cloud_files(tmp_path)) == ["bed", "cup"]


@pytest.mark.parametrize("place", [".", "train"])
def test_files_without_a_folder_have_no_class(tmp_path, place):
    add(tmp_path / place / "a.npy")
    assert class_names_of(find_point_cloud_files(tmp_path)) is None


def test_find_ignores_hidden_files_and_folders(cloud_folder):
    (cloud_folder / "chair" / "._a.npy").write_bytes(b"")
    add(cloud_folder / ".trash" / "b.npy")
    assert len(find_point_cloud_files(cloud_folder)["train"]) == 4


def test_find_warns_of_files_of_other_formats(cloud_folder, caplog):
    for name in ("readme.md", "chair/a.mtl", "chair/b.mtl"):
        (cloud_folder / name).write_text("text")
    find_point_cloud_files(cloud_folder)
    assert "Ignored 3 files of other formats" in caplog.text
    assert "(1 .md, 2 .mtl): chair/a.mtl, chair/b.mtl, readme.md" in caplog.text


@pytest.mark.parametrize("suffixes", [[".off"], ".OFF"])
def test_find_reads_the_endings_asked_for_alone(cloud_folder, caplog, suffixes):
    (cloud_folder / "chair" / "c.off").write_text("")
    splits = find_point_cloud_files(cloud_folder, suffixes)
    assert [file.id for file in splits["train"]] == ["chair/c.off"]
    assert "4 .npy" in caplog.text


@pytest.mark.parametrize("suffixes", [[], [".docx"], "off"])
def test_find_refuses_unknown_endings(cloud_folder, suffixes):
    with pytest.raises(ValueError, match=r"`suffixes` must be of \.h5, .*, got"):
        find_point_cloud_files(cloud_folder, suffixes)


@pytest.mark.parametrize("name", ["clouds.zip", "clouds.tar", "clouds.tar.gz", "clouds.TGZ"])
def test_find_says_to_extract_an_archive(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"must be an existing folder, got .* It is an archive: extract it"):
        find_point_cloud_files(tmp_path / name)


def test_find_says_to_extract_archives_in_the_folder(tmp_path):
    (tmp_path / "clouds.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"got none in .* Extract its archives first: clouds\.zip"):
        find_point_cloud_files(tmp_path)


@pytest.fixture(params=["folder", "file", "split"])
def link(request, cloud_folder, tmp_path):
    """A link out of the dataset to a folder or to a file, or a split that is one."""
    add(tmp_path / "elsewhere" / "lamp" / "d.npy")
    places = {"folder": ("lamp", "lamp"), "file": ("chair/d.npy", "lamp/d.npy"), "split": ("train", ".")}
    name, target = places[request.param]
    root = cloud_folder if request.param != "split" else tmp_path / "splits"
    root.mkdir(exist_ok=True)
    (root / name).symlink_to(tmp_path / "elsewhere" / target)
    return root / name


def test_find_refuses_links_that_lead_out(link):
    with pytest.raises(
        ValueError, match=rf"{link.name}` must lie in `data_dir`, got a link to .*elsewhere.*follow_links"
    ):
        find_point_cloud_files(link.parents[link.suffix == ".npy"])


def test_find_follows_links_that_lead_out_when_asked(link):
    files = find_point_cloud_files(link.parents[link.suffix == ".npy"], follow_links=True)["train"]
    assert any(file.path.name == "d.npy" for file in files)


def test_find_follows_links_within_the_folder(cloud_folder):
    (cloud_folder / "chair" / "z.npy").symlink_to(cloud_folder / "table" / "a.npy")
    assert any(file.path.name == "z.npy" for file in find_point_cloud_files(cloud_folder)["train"])


def test_find_follows_links_of_a_snapshot_of_the_hub(tmp_path):
    add(tmp_path / "blobs" / "d.npy")
    (tmp_path / "snapshots" / "0123" / "lamp").mkdir(parents=True)
    (tmp_path / "snapshots" / "0123" / "lamp" / "a.npy").symlink_to("../../../blobs/d.npy")
    assert class_names_of(find_point_cloud_files(tmp_path / "snapshots" / "0123")) == ["lamp"]


def test_builder_takes_links_that_lead_out_when_asked(cloud_folder, tmp_path):
    add(tmp_path / "elsewhere" / "d.npy")
    (cloud_folder / "lamp").symlink_to(tmp_path / "elsewhere")
    arguments = {"data_dir": cloud_folder, "cache_dir": tmp_path / "cache"}
    with pytest.raises(ValueError, match="follow_links"):
        load_point_clouds("folder", **arguments)
    assert "lamp" in load_point_clouds("folder", follow_links=True, **arguments)["train"].features["label"].names


def test_find_refuses_a_link_to_its_own_parent(cloud_folder):
    (cloud_folder / "loop").symlink_to(cloud_folder)
    with pytest.raises(ValueError, match="`data_dir` must reach every folder once"):
        find_point_cloud_files(cloud_folder)


def test_find_refuses_a_broken_link(cloud_folder):
    (cloud_folder / "chair" / "z.npy").symlink_to(cloud_folder / "nothing.npy")
    with pytest.raises(ValueError, match=r"z\.npy` must be a regular file"):
        find_point_cloud_files(cloud_folder)


def test_find_refuses_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match=r"`data_dir` must be an existing folder, got .*absent"):
        find_point_cloud_files(tmp_path / "absent")


def test_find_refuses_an_empty_split(tmp_path):
    add(tmp_path / "train" / "cup" / "a.npy")
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match=r"files that end in \.h5, \.npy.*, got none in .*test"):
        find_point_cloud_files(tmp_path)


@pytest.mark.parametrize("names", [("val", "validation"), ("Train", "train"), ("testing", "Test_Set")])
def test_find_refuses_two_folders_of_one_split(tmp_path, names):
    for name in names:
        add(tmp_path / name / "a.npy")
    with pytest.raises(ValueError, match=r"one folder for each split, got '.*' and '.*' for '.*'\. Rename"):
        find_point_cloud_files(tmp_path)


@pytest.mark.parametrize("stray", ["other/a.npy", "a.npy"])
def test_find_refuses_what_lies_next_to_the_splits(tmp_path, stray):
    add(tmp_path / "train" / "a.npy")
    add(tmp_path / stray)
    with pytest.raises(ValueError, match=f"one way, got two for .* by `layout='split'`, which does not fit {stray}"):
        find_point_cloud_files(tmp_path)


def test_find_refuses_classes_for_some_files_only(cloud_folder):
    add(cloud_folder / "lost.npy")
    with pytest.raises(ValueError, match=r"class folders or none, got 1 of 5 outside, such as lost\.npy"):
        find_point_cloud_files(cloud_folder)


def test_classes_that_are_numbers_are_in_numerical_order(tmp_path):
    for name in ("10", "9", "0"):
        add(tmp_path / name / "a.npy")
    assert class_names_of(find_point_cloud_files(tmp_path)) == ["0", "9", "10"]


def test_find_ignores_what_the_archiver_of_macos_adds(tmp_path):
    for name in ("chair/a.npy", "__MACOSX/chair/a.npy", "table/a.npy"):
        add(tmp_path / name)
    assert [file.id for file in find_point_cloud_files(tmp_path)["train"]] == ["chair/a.npy", "table/a.npy"]


def test_folder_has_another_cache_when_the_layout_is_another(tmp_path):
    for split in ("train", "test"):
        add(tmp_path / "c" / "chair" / split / "a.npy")
    assert list(load(tmp_path / "c", tmp_path)) == ["train", "test"]
    assert load(tmp_path / "c", tmp_path, layout="**/class")["train"].features["label"].names == ["test", "train"]


@pytest.mark.parametrize("change", ["time", "size", "name"])
def test_folder_has_another_cache_when_a_file_changes(cloud_folder, tmp_path, change):
    before = PointCloudFolder(data_dir=str(cloud_folder), cache_dir=str(tmp_path / "cache")).cache_dir
    path = cloud_folder / "chair" / "a.npy"
    if change == "time":
        os.utime(path, ns=(0, 1))
    elif change == "size":
        path.write_bytes(path.read_bytes() + b"0")
    else:
        path.rename(path.with_name("other.npy"))
    assert PointCloudFolder(data_dir=str(cloud_folder), cache_dir=str(tmp_path / "cache")).cache_dir != before
