"""A folder that cannot be written is reported before any work."""

import pytest

from jointmae_hf.data.writable_folder import check_writable_folder


def test_folder_is_created_and_left_empty(tmp_path):
    check_writable_folder("cache_dir", tmp_path / "new" / "folder", "Choose another.")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


def test_file_in_its_place_is_an_error_that_names_argument_and_folder(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(
        ValueError, match=r"`output_dir` must be a folder that can be written, got .*taken .*Pass another"
    ):
        check_writable_folder("output_dir", tmp_path / "taken", "Pass another.")
