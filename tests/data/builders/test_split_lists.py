import pytest

from jointmae_hf.data.builders.split_lists import (
    check_disjoint,
    first_of,
    read_names,
    warn_of_counts,
    warn_of_shared,
    warn_of_unlisted,
)


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
