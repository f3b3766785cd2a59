import numpy as np
import pytest

from jointmae_hf.data.readers.text import read_numbers


def read(tmp_path, text, **options):
    (tmp_path / "a.txt").write_text(text)
    return read_numbers(tmp_path / "a.txt", **options)


def test_read_numbers_returns_float32(tmp_path):
    numbers = read(tmp_path, "0.500000,-1.000000\n2.000000,3.000000\n", num_columns=2, delimiter=",")
    assert numbers.dtype == np.float32
    assert numbers.tolist() == [[0.5, -1.0], [2.0, 3.0]]


def test_read_numbers_takes_windows_line_ends(tmp_path):
    assert read(tmp_path, "1 2\r\n3 4\r\n", num_columns=2).tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2\n3\n", "hold lines of 2 numbers, got"),
        ("1 2\n3 a\n", "hold lines of 2 numbers, got"),
        ("1 2 3\n4 5 6\n", "hold lines of 2 numbers, got 3"),
        ("1,2\n", "hold lines of 2 numbers, got"),
        ("# 1 2\n", "hold lines of 2 numbers, got"),
        ("\n", "hold lines of 2 numbers, got"),
        ("1 2\n", "hold 3 lines, got 1"),
    ],
)
def test_read_numbers_names_file_and_rule(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"a\.txt` must {message}"):
        read(tmp_path, text, num_columns=2, num_rows=3)


def test_read_numbers_names_a_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.txt` must hold"):
        read_numbers(tmp_path / "absent.txt", 2)
