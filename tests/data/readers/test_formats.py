import os
import sys

import numpy as np
import pytest

from jointmae_hf.data import POINT_CLOUD_SUFFIXES, read_point_cloud
from jointmae_hf.model.cloud_files import read_cloud_file


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int8", "uint16", "int64"])
def test_read_npy_returns_float32_for_every_number_type(tmp_path, dtype):
    points = np.arange(12).reshape(4, 3).astype(dtype)
    np.save(tmp_path / "a.npy", points)
    result = read_point_cloud(tmp_path / "a.npy")
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, points)


def test_read_npy_reads_fortran_order(tmp_path):
    points = np.asfortranarray(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    np.save(tmp_path / "a.npy", points)
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.npy"), points)


def test_read_point_cloud_takes_upper_case_endings(tmp_path):
    with open(tmp_path / "A.NPY", "wb") as file:
        np.save(file, np.ones((2, 3)))
    assert read_point_cloud(str(tmp_path / "A.NPY")).shape == (2, 3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"shape \(num_points, 3\), got \(3,\)"),
        (np.zeros((2, 4, 3)), r"got \(2, 4, 3\)"),
        (np.zeros((3, 4)), r"got \(3, 4\)"),
        (np.zeros((0, 3)), "at least one point, got 0"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), r"finite float32 values, got \[0.0, nan, 0.0\] at point 1"),
        (np.array([[0, 0, np.inf]]), "inf] at point 0"),
        (np.array([[0, 0, 1e300]]), "inf] at point 0"),
        (np.zeros((2, 3), bool), "floats or integers, got dtype bool"),
        (np.zeros((2, 3), complex), "got dtype complex128"),
        (np.array([["a", "b", "c"]]), "got dtype <U1"),
        (np.array([[1, None, 2]], dtype=object), "without Python objects"),
    ],
)
def test_read_npy_names_file_rule_and_value_when_the_array_is_wrong(tmp_path, array, message):
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=message) as caught:
        read_point_cloud(tmp_path / "bad.npy")
    assert "bad.npy" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x93NUM", b"0 0 0\n1 1 1\n", b"PK\x03\x04zip", b"\x80\x04pickle"])
def test_read_npy_names_the_file_when_it_is_not_npy(tmp_path, content):
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npy` must be a complete \.npy file .* got: it starts with"):
        read_point_cloud(tmp_path / "bad.npy")


@pytest.mark.parametrize("kept", [20, 100, -1])
def test_read_npy_names_the_file_when_it_is_truncated(tmp_path, kept):
    path = tmp_path / "bad.npy"
    np.save(path, np.ones((10, 3)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"bad\.npy` must be a complete \.npy file"):
        read_point_cloud(path)


def test_read_npy_names_the_file_when_it_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match=r"absent\.npy` must be a complete"):
        read_point_cloud(tmp_path / "absent.npy")


def test_read_point_cloud_lists_the_endings_when_it_does_not_know_one(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in one of \.h5, \.npy.*, got .*a\.docx"):
        read_point_cloud(tmp_path / "a.docx")


def test_read_point_cloud_refuses_no_points(tmp_path):
    with pytest.raises(ValueError, match="`num_points` must be at least 1, got 0"):
        read_point_cloud(tmp_path / "a.off", num_points=0)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", [read_point_cloud, lambda path: read_cloud_file(path, 8)])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, read, make):
    make(tmp_path / "bad.xyz")
    with pytest.raises(ValueError, match=r"bad\.xyz` must be a regular file, got a folder or a device"):
        read(tmp_path / "bad.xyz")


@pytest.mark.parametrize("suffix", POINT_CLOUD_SUFFIXES)
def test_every_reader_names_the_file_when_it_is_empty(tmp_path, suffix):
    (tmp_path / f"bad{suffix}").write_bytes(b"")
    with pytest.raises(ValueError, match=rf"bad\{suffix}` must"):
        read_point_cloud(tmp_path / f"bad{suffix}")


@pytest.mark.parametrize("suffix", POINT_CLOUD_SUFFIXES)
def test_every_reader_names_the_file_when_it_holds_noise(tmp_path, suffix):
    (tmp_path / f"bad{suffix}").write_bytes(np.random.default_rng(0).bytes(500))
    with pytest.raises(ValueError, match=rf"bad\{suffix}` must"):
        read_point_cloud(tmp_path / f"bad{suffix}")


def test_reader_names_the_extra_when_its_package_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"")
    with pytest.raises(ImportError, match=r'h5py: pip install "jointmae_hf\[data\]"'):
        read_point_cloud(tmp_path / "a.h5")
