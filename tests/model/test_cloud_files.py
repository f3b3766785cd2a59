"""Files that the pipelines read by numpy alone."""

import numpy as np
import pytest

from jointmae_hf.model.cloud_files import CLOUD_FILE_SUFFIXES, read_cloud_file


POINTS = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.5]])
ROWS = "0 0 0\n1 0 0\n0 2 0.5\n"
SQUARE = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
ASCII_PLY = "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
FACE_PROPERTY = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"


def binary_ply(order, num_faces=1):
    name = {"<": "little", ">": "big"}[order]
    header = ASCII_PLY.replace("ascii", f"binary_{name}_endian").replace("property float z", "property double z")
    vertices = np.zeros(4, [("x", order + "f4"), ("y", order + "f4"), ("z", order + "f8")])
    vertices["x"], vertices["y"], vertices["z"] = [0, 1, 1, 0], [0, 0, 1, 1], 0.5
    face = b"\x04" + np.arange(4, dtype=order + "i4").tobytes()
    return (header + FACE_PROPERTY).encode() + vertices.tobytes() + face * num_faces


def npy_header(shape):
    """A `.npy` file of eight numbers whose header says another shape."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(64)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xyz", ROWS),
        ("a.TXT", "# x y z\n// made by hand\n\n" + ROWS),
        ("a.txt", "0,0,0,255\n1,0,0,255\n0,2,0.5,255\n"),
        ("a.pts", "3\n" + ROWS),
        ("a.pts", ROWS),
        ("a.off", "OFF\n3 0 0\n" + ROWS),
        ("a.off", "OFF3 0 0\n" + ROWS),
        ("a.ply", ASCII_PLY.replace("vertex 4", "vertex 3") + "end_header\n" + ROWS),
    ],
)
def test_text_file_is_read_as_its_points(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    np.testing.assert_array_equal(read_cloud_file(tmp_path / name, 8), POINTS)


def test_npy_file_is_read_as_it_is(tmp_path):
    np.save(tmp_path / "a.npy", POINTS.astype(np.float16))
    assert read_cloud_file(str(tmp_path / "a.npy"), 8).dtype == np.float16


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.off", ("OFF\n4 1 0\n" + SQUARE + "4 0 1 2 3\n").encode()),
        ("a.ply", (ASCII_PLY + FACE_PROPERTY + SQUARE + "4 0 1 2 3\n").encode()),
        ("a.ply", binary_ply("<")),
        ("a.ply", binary_ply(">")),
    ],
)
def test_mesh_is_sampled_uniformly_by_area(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    points = read_cloud_file(tmp_path / name, 4000)
    assert points.shape == (4000, 3)
    np.testing.assert_allclose(points.mean(axis=0)[:2], 0.5, atol=0.03)
    np.testing.assert_allclose(points.var(axis=0)[:2], 1 / 12, atol=0.01)
    assert np.ptp(points[:, 2]) == 0


def test_larger_triangles_get_more_points(tmp_path):
    vertices = "0 0 0\n3 0 0\n0 3 0\n10 0 0\n11 0 0\n10 1 0\n"
    (tmp_path / "a.off").write_text("OFF\n6 2 0\n" + vertices + "3 0 1 2\n3 3 4 5\n")
    share = (read_cloud_file(tmp_path / "a.off", 5000)[:, 0] < 5).mean()
    assert share == pytest.approx(0.9, abs=0.02)


def test_mesh_gives_the_same_points_at_each_reading(tmp_path):
    (tmp_path / "a.ply").write_bytes(binary_ply("<"))
    np.testing.assert_array_equal(read_cloud_file(tmp_path / "a.ply", 9), read_cloud_file(tmp_path / "a.ply", 9))


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.xyz", b"", "no point"),
        ("a.xyz", b"0 0\n1 1\n", "2 numbers a line"),
        ("a.xyz", b"0 0 0\n1 1\n", ""),
        ("a.pts", b"4\n0 0 0\n", "1 points and not the 4"),
        ("a.npy", b"\x93NUMPY", ""),
        ("a.off", b"4 1 0\n", "start with OFF"),
        ("a.off", b"OFF\n4 1 0\n0 0 0\n", "not 4 vertices"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", "name other vertices"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", "a face of 3 corners"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "no area"),
        ("a.ply", b"ply\nformat ascii 1.0\n", "no header"),
        ("a.ply", (ASCII_PLY + FACE_PROPERTY + SQUARE).encode(), "0 rows where 1"),
        ("a.ply", binary_ply("<")[:-1], "too early"),
        ("a.ply", b"ply\nformat binary_little_endian 1.0\nelement a 1000000000000\nend_header\n", "of 0 columns"),
        ("a.ply", binary_ply("<").replace(b"face 1", b"face 1000000000000"), "bytes for 1000000000000 rows"),
        ("a.ply", (ASCII_PLY + FACE_PROPERTY + SQUARE + "inf 0 1 2 3\n").encode(), "a list of it has inf entries"),
        ("a.ply", (ASCII_PLY.replace("float z", "list uchar float z") + "end_header\n" + SQUARE).encode(), "unpack"),
        ("a.npy", b"PK\x03\x04", "starts with b'PK"),
        ("a.npy", npy_header("(1, 4294967296)"), ""),
        ("a.npy", npy_header("(99999999999999999999, 3)"), ""),
        ("a.npy", npy_header("(8, 3"), ""),
        ("a.npy", b"\x93NUMPY\x03\x00\xff\xff\xff\xff" + bytes(64), "header has 4294967295 bytes"),
        ("a.off", b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 99999999999999999999\n", "OverflowError"),
        ("a.xyz", b"1 " * 1001, "1001 numbers a line"),
    ],
)
def test_broken_file_is_refused_by_name(tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*complete.*{reason}"):
        read_cloud_file(tmp_path / name, 8)


def test_pickled_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"x": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"a\.npy"):
        read_cloud_file(tmp_path / "a.npy", 8)


def test_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.npy"):
        read_cloud_file(tmp_path / "gone.npy", 8)


def test_other_format_names_the_reader_of_the_package(tmp_path):
    with pytest.raises(ValueError, match=r"scan\.pcd.*jointmae_hf\.data\.read_point_cloud"):
        read_cloud_file(tmp_path / "scan.pcd", 8)
    assert ".pcd" not in CLOUD_FILE_SUFFIXES
