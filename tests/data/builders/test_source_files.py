import os

import numpy as np
import pytest

from jointmae_hf.data.builders.source_files import Clouds, as_folder, choose_layout, files_state, find_folder, parts_of


def test_as_folder_refuses_none_and_what_is_no_folder(tmp_path):
    with pytest.raises(ValueError, match="`data_dir` must name the folder of the dataset, got None"):
        as_folder(None)
    with pytest.raises(ValueError, match=r"`data_dir` must be an existing folder, got .*absent"):
        as_folder(tmp_path / "absent")


def test_as_folder_says_that_an_archive_must_be_extracted(tmp_path):
    archive = tmp_path / "h5_files.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(ValueError, match="It is an archive: extract it and pass the folder"):
        as_folder(archive)


def test_find_folder_enters_the_first_that_exists(tmp_path):
    (tmp_path / "b").mkdir()
    assert find_folder(tmp_path, "a", "b") == tmp_path / "b"
    assert find_folder(tmp_path, "a") == tmp_path


def test_choose_layout_takes_the_only_one(tmp_path):
    assert choose_layout({"txt": tmp_path}, None, tmp_path) == "txt"


def test_choose_layout_names_the_option_when_there_are_several(tmp_path):
    with pytest.raises(ValueError, match=r"must hold one layout, got txt in .*, off in .*Choose by `layout='txt'`"):
        choose_layout({"txt": tmp_path, "off": tmp_path / "b"}, None, tmp_path)


def test_choose_layout_takes_the_one_asked_for(tmp_path):
    assert choose_layout({"txt": tmp_path, "off": tmp_path}, "off", tmp_path) == "off"


@pytest.mark.parametrize(("layout", "message"), [(None, "got none in"), ("off", "must be one that .* holds, none")])
def test_choose_layout_refuses_what_is_not_there(tmp_path, layout, message):
    with pytest.raises(ValueError, match=message):
        choose_layout({}, layout, tmp_path)


@pytest.mark.parametrize("change", ["time", "size", "name"])
def test_files_state_changes_with_any_file(tmp_path, change):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    before = files_state([path])
    if change == "time":
        os.utime(path, ns=(0, 1))
    elif change == "size":
        path.write_bytes(b"12")
    else:
        path = path.rename(tmp_path / "b")
    assert files_state([path]) != before


def test_files_state_counts_and_names_all_that_is_bad(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    names = ["empty", "folder", "link", "absent"]
    with pytest.raises(ValueError, match=r"All 4 files .* got 4 bad") as caught:
        files_state([tmp_path / name for name in names])
    for text in ("empty (empty)", "folder (not a file)", "link (missing)", ", ..."):
        assert text in str(caught.value)


def test_parts_cover_all_files_in_order():
    assert parts_of(["a", "b", "c"], 2) == [("a", "b"), ("c",)]


def test_clouds_cut_all_columns_alike():
    clouds = Clouds(np.arange(24.0).reshape(4, 2, 3), list("abcd"), [0, 1, 2, 3], synsets=list("wxyz"))
    columns = clouds.columns(1, 3)
    assert (columns["ids"], columns["labels"], columns["synsets"]) == (["b", "c"], [1, 2], ["x", "y"])
    assert columns["points"].shape == (2, 2, 3)
    assert columns["normals"] is None
