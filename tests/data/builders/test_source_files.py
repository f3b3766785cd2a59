import ast
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import jointmae_hf
from jointmae_hf.data import ShapeNet55, loading
from jointmae_hf.data.builders import source_files
from jointmae_hf.data.builders.source_files import (
    Clouds,
    as_folder,
    check_disjoint,
    check_files,
    choose_layout,
    files_state,
    find_folder,
    first_of,
    parts_of,
    read_names,
    warn_of_counts,
    warn_of_shared,
    warn_of_unlisted,
)


PACKAGE = Path(jointmae_hf.__file__).parent


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


def test_check_files_counts_and_names_all_that_is_bad(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    names = ["empty", "folder", "link", "absent"]
    with pytest.raises(ValueError, match=r"All 4 files .* got 4 bad") as caught:
        check_files([tmp_path / name for name in names])
    for text in ("empty (empty)", "folder (not a file)", "link (missing)", ", ..."):
        assert text in str(caught.value)


def modules_used_by(module, seen=None):
    """Files in the package that a module of `data` imports, directly or by others of `data`, and its own."""
    seen = set() if seen is None else seen
    path = PACKAGE / (module.removeprefix("jointmae_hf.").replace(".", "/") + ".py")
    if path.is_file() and path not in seen:
        seen.add(path)
        parent = module.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text())) if "data" in path.parts else ():
            if isinstance(node, ast.ImportFrom):
                source = ".".join(filter(None, [parent if node.level else "", node.module]))
                for name in (source, *(f"{source}.{alias.name}" for alias in node.names)):
                    modules_used_by(name, seen)
    return sorted(path.relative_to(PACKAGE) for path in seen)


@pytest.mark.parametrize("name", loading._BUILDERS)
def test_hash_changes_with_every_module_that_a_builder_uses(name, tmp_path, monkeypatch):
    builder = loading._BUILDERS[name]
    package = Path(shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__")))
    monkeypatch.setattr(source_files, "_PACKAGE", package)
    used = modules_used_by(builder.__module__)
    assert len(used) > 4
    for path in used:
        before = source_files.hash_sources(builder.SOURCES)
        with open(package / path, "a") as file:
            file.write("# edited\n")
        assert source_files.hash_sources(builder.SOURCES) != before, path


def test_hash_leaves_out_other_modules(tmp_path, monkeypatch):
    before = source_files.hash_sources(ShapeNet55.SOURCES)
    package = Path(shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__")))
    monkeypatch.setattr(source_files, "_PACKAGE", package)
    (package / "data" / "synthetic" / "families.py").write_text("# edited")
    assert source_files.hash_sources(ShapeNet55.SOURCES) == before


def test_parts_cover_all_files_in_order():
    assert parts_of(["a", "b", "c"], 2) == [("a", "b"), ("c",)]


def test_clouds_cut_all_columns_alike():
    clouds = Clouds(np.arange(24.0).reshape(4, 2, 3), list("abcd"), [0, 1, 2, 3], synsets=list("wxyz"))
    columns = clouds.columns(1, 3)
    assert (columns["ids"], columns["labels"], columns["synsets"]) == (["b", "c"], [1, 2], ["x", "y"])
    assert columns["points"].shape == (2, 2, 3)
    assert columns["normals"] is None


def test_read_names_takes_any_line_ends_and_blank_lines(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\n\n")
    assert read_names(tmp_path / "a.txt") == ["one", "two"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at least one name, got none"),
        (b"one\none\n", "every name once, got 'one' twice"),
        (b"../one\n", r"names within the dataset, got '\.\./one'"),
        (b"a/../../one\n", "names within the dataset"),
        (b"/etc/passwd\n", "names within the dataset"),
        (b"a\\b\n", "names within the dataset"),
        (b"a\0b\n", "names within the dataset"),
        (b"\xff\xfe", "must be a list of names"),
    ],
)
def test_read_names_names_the_list_when_it_is_wrong(tmp_path, content, message):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_names(tmp_path / "a.txt")
    assert "a.txt" in str(caught.value)


def test_read_names_names_a_missing_list(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.txt` must be a list of names"):
        read_names(tmp_path / "absent.txt")


def test_check_disjoint_names_the_cloud_and_its_splits():
    check_disjoint({"train": ["a"], "test": ["b"]})
    with pytest.raises(ValueError, match="Splits must be disjoint, got 'a' in train and test"):
        check_disjoint({"train": ["a"], "test": ["b", "a"]})


def test_warn_of_unlisted_names_what_is_left_out(caplog):
    warn_of_unlisted("Cups", {"a", "b"}, {"a", "c"})
    assert "Cups: 1 files are in no list and are left out: b" in caplog.text


def test_warn_of_counts_is_silent_for_the_published_counts(caplog):
    warn_of_counts("Cups", {"train": 2}, {"train": 2})
    assert not caplog.text
    warn_of_counts("Cups", {"train": 1}, {"train": 2})
    assert "Cups: the published splits hold {'train': 2} clouds, these {'train': 1}" in caplog.text


def test_warn_of_shared_counts_and_names_clouds_in_two_splits(caplog):
    warn_of_shared("Dataset", {"train": ["a", "b"], "test": ["b", "c"]})
    assert caplog.messages == ["Dataset: 1 clouds are in two splits and stay there: b"]


def test_first_of_shows_three_and_says_that_there_are_more():
    assert first_of(["a", "b", "c"]) == "a, b, c"
    assert first_of(["a", "b", "c", "d"]) == "a, b, c, ..."
