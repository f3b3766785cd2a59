"""Files that the pipelines and `jointmae_hf.data` read by numpy alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jointmae_hf.model.cloud_files import CLOUD_FILE_SUFFIXES, check_cloud, read_cloud_file, reader_errors


POINTS = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def read(tmp_path, content, name="bad.xyz"):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_cloud_file(tmp_path / name, 8).tolist()


def npy_header(shape):
    """A `.npy` file of eight numbers whose header says another shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)


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
        "# x y z\n// made by hand\n\n0 1 2\n3 4 5\n",
        "0,1,2,255\n3,4,5,255\n",
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
@pytest.mark.parametrize("suffix", [".xyz", ".TXT"])
def test_text_is_read_as_its_points(tmp_path, text, suffix):
    assert read(tmp_path, text, f"a{suffix}") == POINTS


@pytest.mark.parametrize(
    "text",
    [
        "//R G B X Y Z\n9 8 7 0 1 2\n9 8 7 3 4 5\n",
        "R G B X Y Z\n9 8 7 0 1 2\n9 8 7 3 4 5\n",
        "# columns: label x y z\n9 0 1 2\n9 3 4 5\n",
        "# columns z y x\n2 1 0\n5 4 3\n",
        "//X Y Z R G B Scalar field\n0 1 2 9 9 9 7\n3 4 5 9 9 9 7\n",
        "# z up, x right, y front\n0 1 2 9\n3 4 5 9\n",
        "# up z right x front y\n0 1 2 9\n3 4 5 9\n",
    ],
)
def test_names_of_columns_decide_and_sentences_do_not(tmp_path, text):
    assert read(tmp_path, text) == POINTS


@pytest.mark.parametrize(
    "text",
    [
        "//R G B X Y Z Scalar field\n9 8 7 0 1 2 6\n",
        "R G B X Y Z Scalar field\n9 8 7 0 1 2 6\n",
        "# label of scan x y z\n7 0 1 2\n",
    ],
)
def test_names_that_do_not_fit_the_columns_are_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"bad\.xyz.* names for \d columns do not tell which are x, y and z"):
        read(tmp_path, text)


def test_text_of_one_point_is_read(tmp_path):
    assert read(tmp_path, "0 1 2") == [[0.0, 1.0, 2.0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one point, got 0"),
        ("# nothing\n", "at least one point, got 0"),
        ("x y z\n", "at least one point, got 0"),
        ("0 1\n2 3\n", "complete .xyz file, got: it has 2 numbers a line and not 3 to 1000"),
        ("0 1 2 3\n4 5 6\n", "its lines must be numbers, all of one length: .*changed from 4 to 3 at row 2$"),
        ("0 1 2\n3 4", "its lines must be numbers, all of one length"),
        ("0 1 2\n3 a 5\n", "its lines must be numbers, all of one length: .*'a'"),
        ("0,1,2\n3 4 5\n", "its lines must be numbers"),
        ("0,1 2,3 4,5\n", "its lines must be numbers"),
        ("C 0 1 2\n", "it starts with 'C 0 1 2' and not with numbers or names of x, y and z"),
        ("a b c\n0 1 2\n", "names of x, y and z"),
        ("x y z x\n0 1 2 3\n", "names of x, y and z"),
        ("2\n0 1 2\n3 4 5\n", "it has 1 numbers a line"),
        ("0 1 nan\n", "finite float32 values"),
        ("0 1 1e99\n", "finite float32 values"),
        (b"\x93NUMPY\x01\x00", "complete .xyz file, got: 'utf-8' codec"),
    ],
)
def test_text_that_is_no_cloud_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, text)
    assert "bad.xyz" in str(caught.value)


def test_text_of_a_million_columns_is_refused(tmp_path):
    with pytest.raises(ValueError, match="it has 1000000 numbers a line and not 3 to 1000"):
        read(tmp_path, "1 " * 1_000_000)


@pytest.mark.parametrize(
    "text",
    [
        "2\n0 1 2\n3 4 5\n",
        "0 1 2\n3 4 5\n",
        "2\r\n0 1 2 -1500 9 9 9\r\n3 4 5 -1500 9 9 9",
        "//X Y Z\n2\n0 1 2\n3 4 5\n",
        "//label X Y Z\n2\n7 0 1 2\n7 3 4 5\n",
        "x y z\n2\n0 1 2\n3 4 5\n",
    ],
)
def test_pts_takes_a_line_with_the_count_or_none(tmp_path, text):
    assert read(tmp_path, text, "a.pts") == POINTS


@pytest.mark.parametrize("count", [1, 3])
def test_pts_refuses_another_count(tmp_path, count):
    with pytest.raises(ValueError, match=rf"bad\.pts.*its first line says {count} points and it has 2"):
        read(tmp_path, f"{count}\n0 1 2\n3 4 5\n", "bad.pts")


def test_pts_names_the_file_whatever_the_length_of_its_count(tmp_path):
    with pytest.raises(ValueError, match=r"bad\.pts.*its first line says 9{20} points and it has 1"):
        read(tmp_path, "9" * 5000 + "\n0 1 2\n", "bad.pts")


def test_pts_refuses_a_count_alone(tmp_path):
    with pytest.raises(ValueError, match="at least one point, got 0"):
        read(tmp_path, "0\n", "bad.pts")


def test_text_keeps_what_savetxt_wrote(tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 6))
    np.savetxt(tmp_path / "a.txt", points, fmt="%.6f", delimiter=",")
    np.testing.assert_allclose(read_cloud_file(tmp_path / "a.txt", 8), points[:, :3], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4", "int32"])
def test_npy_is_read_as_it_is(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.array(POINTS).astype(dtype))
    points = read_cloud_file(str(tmp_path / "a.npy"), 8)
    assert points.dtype == dtype
    assert type(points) is np.ndarray
    assert points.tolist() == POINTS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\x93NUMPY", ""),
        (b"PK\x03\x04", "starts with b'PK"),
        (npy_header("(1, 4294967296)"), ""),
        (npy_header("(99999999999999999999, 3)"), ""),
        (npy_header("(8, 3"), ""),
        (b"\x93NUMPY\x03\x00\xff\xff\xff\xff" + bytes(64), "header has 4294967295 bytes"),
    ],
)
def test_broken_npy_is_refused_by_name(tmp_path, content, reason):
    with pytest.raises(ValueError, match=rf"bad\.npy` must be a complete \.npy file .*{reason}"):
        read(tmp_path, content, "bad.npy")


def test_pickled_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy` must be a complete \.npy file without Python objects"):
        read_cloud_file(tmp_path / "a.npy", 8)


def test_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.npy"):
        read_cloud_file(tmp_path / "gone.npy", 8)


def test_other_format_names_the_reader_of_the_package(tmp_path):
    with pytest.raises(ValueError, match=r"scan\.pcd.*jointmae_hf\.data\.read_point_cloud"):
        read_cloud_file(tmp_path / "scan.pcd", 8)
    assert ".pcd" not in CLOUD_FILE_SUFFIXES


def test_reader_errors_turns_any_error_into_one_that_names_the_file():
    with (
        pytest.raises(ValueError, match=r"`a\.ply` must be whole, got: KeyError: 'x'"),
        reader_errors(Path("a.ply"), "be whole"),
    ):
        raise KeyError("x")


def test_reader_errors_leaves_a_missing_package_alone():
    with pytest.raises(ImportError, match="install it"), reader_errors(Path("a.ply"), "be whole"):
        raise ImportError("install it")


def test_check_cloud_returns_rows_in_order_and_in_memory():
    points = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    result = check_cloud(points, Path("a.npy"))
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, points)
    np.testing.assert_array_equal(result, points)


def test_files_are_read_without_trimesh(tmp_path):
    (tmp_path / "a.stl").write_bytes(
        bytes(80) + b"\x01\0\0\0" + bytes(12) + np.eye(3, dtype="<f4").tobytes() + b"\0\0"
    )
    code = "import sys; from jointmae_hf.model.cloud_files import read_cloud_file; read_cloud_file(sys.argv[1], 8); "
    command = [sys.executable, "-c", code + "assert 'trimesh' not in sys.modules", str(tmp_path / "a.stl")]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("ends", ["\r", "\r\n", "\v", "\x1c", "\u2028", "\n \n", " \n\t"])
def test_text_with_other_ends_of_lines_is_read(tmp_path, ends):
    for text in ("0 1 2\n3 4 5\n", "0,1,2\n3,4,5\n"):
        assert read(tmp_path, text.replace("\n", ends)) == POINTS


def test_comment_behind_the_points_may_name_the_columns(tmp_path):
    assert read(tmp_path, "2 1 0\n5 4 3\n# z y x\n") == POINTS
