import numpy as np
import pytest

from jointmae_hf.data import read_point_cloud


POINTS = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def read(tmp_path, text, name="bad.xyz"):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_point_cloud(tmp_path / name).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "0 1 2\n3 4 5\n",
        "0 1 2\n3 4 5",
        "0 1 2\r\n3 4 5\r\n",
        "  0\t1  2 \n\n3 4 5\n\n",
        "0,1,2\n3, 4, 5\n",
        "\ufeff0 1 2\n3 4 5\n",
        "0 1 2e0\n+3 4 0.5e1\n",
        "# made by hand\n0 1 2\n// between\n3 4 5\n",
        "0.000000,1.000000,2.000000,0.1,0.2,0.3\n3.0,4.0,5.0,0.1,0.2,0.3\n",
        "0 1 2 0.1 0.2 0.3 48.000000\n3 4 5 0.1 0.2 0.3 48.000000\n",
        "x y z\n0 1 2\n3 4 5\n",
        '"X","Y","Z","red"\n0,1,2,255\n3,4,5,255\n',
        "z,label,y,x\n2,7,1,0\n5,7,4,3\n",
        "//X Y Z R G B\n0 1 2 9 9 9\n3 4 5 9 9 9\n",
        "# label x y z\n7 0 1 2\n7 3 4 5\n",
        "# x y z\n0 1 2 9\n3 4 5 9\n",
    ],
)
@pytest.mark.parametrize("suffix", [".xyz", ".txt"])
def test_read_text_finds_the_coordinates(tmp_path, text, suffix):
    assert read(tmp_path, text, f"a{suffix}") == POINTS


def test_read_text_reads_one_point(tmp_path):
    assert read(tmp_path, "0 1 2") == [[0.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one point, got 0"),
        ("# nothing\n", "at least one point, got 0"),
        ("x y z\n", "at least one point, got 0"),
        ("0 1\n2 3\n", "at least three numbers a line, got 2"),
        ("0 1 2 3\n4 5 6\n", "lines of numbers, all of one length, got: .*changed"),
        ("0 1 2\n3 4", "lines of numbers, all of one length"),
        ("0 1 2\n3 a 5\n", "lines of numbers, all of one length, got: .*'a'"),
        ("0,1,2\n3 4 5\n", "lines of numbers"),
        ("0,1 2,3 4,5\n", "lines of numbers"),
        ("C 0 1 2\n", "start with numbers or with names of x, y and z, got 'C 0 1 2'"),
        ("a b c\n0 1 2\n", "names of x, y and z"),
        ("x y z x\n0 1 2 3\n", "names of x, y and z"),
        ("2\n0 1 2\n3 4 5\n", "lines of numbers"),
        ("0 1 nan\n", "finite float32 values"),
        ("0 1 1e99\n", "finite float32 values"),
        (b"\x93NUMPY\x01\x00", "readable text file in UTF-8"),
    ],
)
def test_read_text_names_file_rule_and_value_when_a_line_is_wrong(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, text)
    assert "bad.xyz" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["2\n0 1 2\n3 4 5\n", "0 1 2\n3 4 5\n", "2\r\n0 1 2 -1500 9 9 9\r\n3 4 5 -1500 9 9 9"]
)
def test_read_pts_takes_a_line_with_the_count_or_none(tmp_path, text):
    assert read(tmp_path, text, "a.pts") == POINTS


@pytest.mark.parametrize("count", [1, 3])
def test_read_pts_refuses_another_count(tmp_path, count):
    with pytest.raises(ValueError, match=rf"bad\.pts` must hold the {count} points that its first line says, got 2"):
        read(tmp_path, f"{count}\n0 1 2\n3 4 5\n", "bad.pts")


def test_read_pts_names_the_file_whatever_the_length_of_its_count(tmp_path):
    with pytest.raises(ValueError, match=r"bad\.pts` must hold the 9{20} points that its first line says, got 1"):
        read(tmp_path, "9" * 5000 + "\n0 1 2\n", "bad.pts")


def test_read_text_refuses_a_million_columns(tmp_path):
    with pytest.raises(ValueError, match="at most 1000 numbers a line, got 1000000"):
        read(tmp_path, "1 " * 1_000_000)


def test_read_pts_refuses_a_count_alone(tmp_path):
    with pytest.raises(ValueError, match="at least one point, got 0"):
        read(tmp_path, "0\n", "bad.pts")


def test_read_text_keeps_what_savetxt_wrote(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 6))
    np.savetxt(tmp_path / "a.txt", points, fmt="%.6f", delimiter=",")
    np.testing.assert_allclose(read_point_cloud(tmp_path / "a.txt"), points[:, :3], atol=1e-6)
