import os

import numpy as np
import pytest

from jointmae_hf.data import load_point_clouds
from jointmae_hf.data.builders.folder_files import class_names_of, find_point_cloud_files, folder_state


def add(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.zeros((2, 3), np.float32))


def test_find_lists_one_split_when_no_folder_is_named_after_a_split(cloud_folder):
    splits = find_point_cloud_files(cloud_folder)
    assert [file.id for file in splits["train"]] == [
        "chair/a.npy", "chair/b.npy", "table/a.npy", "table/deep/chair/c.npy"
    ]  # fmt: skip
    assert list(splits) == ["train"]


def test_class_is_the_folder_that_holds_the_file(cloud_folder):
    splits = find_point_cloud_files(cloud_folder)
    assert [file.class_name for file in splits["train"]] == ["chair", "chair", "table", "chair"]
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


def test_find_refuses_both_names_of_the_validation_split(tmp_path):
    add(tmp_path / "val" / "a.npy")
    add(tmp_path / "validation" / "a.npy")
    with pytest.raises(ValueError, match="`val` or `validation`, got both"):
        find_point_cloud_files(tmp_path)


@pytest.mark.parametrize("stray", ["valid/a.npy", "a.npy"])
def test_find_refuses_what_lies_beside_the_splits(tmp_path, stray):
    add(tmp_path / "train" / "a.npy")
    add(tmp_path / stray)
    with pytest.raises(ValueError, match="nothing beside its splits"):
        find_point_cloud_files(tmp_path)


def test_find_refuses_classes_for_some_files_only(cloud_folder):
    add(cloud_folder / "lost.npy")
    with pytest.raises(ValueError, match=r"class folders or none, got 1 of 5 outside, such as lost\.npy"):
        find_point_cloud_files(cloud_folder)


@pytest.mark.parametrize("change", ["time", "size", "name"])
def test_folder_state_changes_with_any_file(cloud_folder, change):
    before = folder_state(find_point_cloud_files(cloud_folder))
    path = cloud_folder / "chair" / "a.npy"
    if change == "time":
        os.utime(path, ns=(0, 1))
    elif change == "size":
        path.write_bytes(path.read_bytes() + b"0")
    else:
        path.rename(path.with_name("other.npy"))
    assert folder_state(find_point_cloud_files(cloud_folder)) != before
