import numpy as np
import pytest

from jointmae_hf.data import read_point_cloud
from jointmae_hf.data.readers.pcd import decompress_lzf


POINTS = np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8.5]], np.float32)
XYZ = {"FIELDS": "x y z", "SIZE": "4 4 4", "TYPE": "F F F", "COUNT": "1 1 1"}


def write(path, body, data="ascii", **changes):
    entries = {"VERSION": "0.7", **XYZ, "WIDTH": "3", "HEIGHT": "1", "VIEWPOINT": "0 0 0 1 0 0 0", "POINTS": "3"}
    entries |= {**changes, "DATA": data}
    lines = [f"{key} {value}" for key, value in entries.items() if value is not None]
    header = "# .PCD v0.7 - Point Cloud Data file format\n" + "\n".join(lines) + "\n"
    path.write_bytes(header.encode() + (body if isinstance(body, bytes) else body.encode()))
    return path


def literal_runs(content):
    """LZF without a copy: runs of at most 32 bytes."""
    runs = [content[start : start + 32] for start in range(0, len(content), 32)]
    return b"".join(bytes([len(run) - 1]) + run for run in runs)


def compressed_body(columns):
    content = b"".join(column.tobytes() for column in columns)
    packed = literal_runs(content)
    return np.array([len(packed), len(content)], "<u4").tobytes() + packed


def test_ascii_is_read(tmp_path):
    path = write(tmp_path / "a.pcd", "0 1 2\n3 4 5\n6 7 8.5\n")
    np.testing.assert_array_equal(read_point_cloud(path), POINTS)


def test_ascii_takes_coordinates_by_their_names(tmp_path):
    fields = {"FIELDS": "rgb z y x n", "SIZE": "4 4 4 4 4", "TYPE": "U F F F F", "COUNT": "1 1 1 1 2"}
    path = write(tmp_path / "a.pcd", "99 2 1 0 7 7\n99 5 4 3 7 7\n99 8.5 7 6 7 7\n", **fields)
    np.testing.assert_array_equal(read_point_cloud(path), POINTS)


def test_count_may_be_left_out(tmp_path):
    path = write(tmp_path / "a.pcd", "0 1 2\n3 4 5\n6 7 8.5\n", COUNT=None)
    np.testing.assert_array_equal(read_point_cloud(path), POINTS)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i2", "<u1"])
def test_binary_is_read_for_every_number_type(tmp_path, dtype):
    kind, size = dtype[1].upper(), int(dtype[2])
    fields = {"FIELDS": "_ x y z _", "SIZE": f"1 {size} {size} {size} 4", "TYPE": f"U {kind} {kind} {kind} F"}
    names = [("a", "u1"), ("x", dtype), ("y", dtype), ("z", dtype), ("b", "<f4", (2,))]
    records = np.zeros(3, names)
    for axis, name in enumerate("xyz"):
        records[name] = POINTS[:, axis]
    path = write(tmp_path / "a.pcd", records.tobytes(), "binary", **fields, COUNT="1 1 1 1 2")
    np.testing.assert_array_equal(read_point_cloud(path), POINTS.astype(dtype))


def test_binary_compressed_is_read_field_by_field(tmp_path):
    fields = {"FIELDS": "x rgb y z", "SIZE": "4 4 4 4", "TYPE": "F U F F", "COUNT": "1 2 1 1"}
    columns = [POINTS[:, 0], np.zeros((3, 2), np.uint32), POINTS[:, 1], POINTS[:, 2]]
    path = write(tmp_path / "a.pcd", compressed_body(columns), "binary_compressed", **fields)
    np.testing.assert_array_equal(read_point_cloud(path), POINTS)


@pytest.mark.parametrize(
    ("body", "changes", "message"),
    [
        ("0 1 2\n3 4 5\n", {}, "it has 2 points and not the 3 that its header says"),
        ("0 1 2\n3 4 5\n6 7\n", {}, "columns changed"),
        ("0 1\n3 4\n6 7\n", {}, "its points have 2 numbers and not 3"),
        ("", {"POINTS": "0"}, "at least one point, got 0"),
        ("", {"POINTS": "-1"}, "it has -1 points"),
        ("", {"POINTS": None}, "its header has no POINTS"),
        ("", {"FIELDS": "x y w"}, "and not x, y and z once each"),
        ("", {"FIELDS": "x y z x", "SIZE": "4 4 4 4", "TYPE": "F F F F", "COUNT": "1 1 1 1"}, "once each"),
        ("", {"COUNT": "1 1 2"}, "once each"),
        ("", {"SIZE": "4 4"}, "complete .pcd file"),
        ("", {"SIZE": "4 4 3"}, "complete .pcd file"),
        ("", {"TYPE": "F F Q"}, "KeyError: 'Q'"),
        ("", {"data": "zip"}, "its data are 'zip' instead of ascii, binary, binary_compressed"),
        (POINTS.tobytes()[:-1], {"data": "binary"}, "it has 35 bytes of points and not the 36"),
        (b"\1\0\0", {"data": "binary_compressed"}, "it has 3 bytes of points and not at least 8"),
        (compressed_body([POINTS])[:-1], {"data": "binary_compressed"}, "compressed bytes and not the"),
        (compressed_body([POINTS[:2]]), {"data": "binary_compressed"}, r"it has 24 bytes of points and not 3 \* 12"),
        ("nan nan nan\n3 4 5\n6 7 8\n", {}, "finite float32 values"),
    ],
)
def test_broken_file_is_refused_by_name(tmp_path, body, changes, message):
    path = write(tmp_path / "bad.pcd", body, **changes)
    with pytest.raises(ValueError, match=message) as caught:
        read_point_cloud(path)
    assert "bad.pcd" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"ply\n", b"\xff\xfe\n" * 9, b"VERSION 0.7\n" * 10000])
def test_file_without_a_header_is_refused_by_name(tmp_path, content):
    (tmp_path / "bad.pcd").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.pcd` must be a complete \.pcd file"):
        read_point_cloud(tmp_path / "bad.pcd")


def test_decompress_lzf_copies_far_and_long():
    start = bytes(range(256)) * 2
    copy = bytes([0xE0 | 1, 10 - 9 + 8, 0xFF])  # 18 bytes from 512 bytes back
    assert decompress_lzf(literal_runs(start) + copy, 530) == start + start[:18]


def test_decompress_lzf_repeats_what_it_is_writing():
    assert decompress_lzf(bytes([0, 7, 0xE0, 200, 0]), 210) == bytes([7]) * 210


@pytest.mark.parametrize("stream", [bytes([0]), bytes([32]), bytes([0, 7, 0xE0]), bytes([0, 7, 32, 9]), bytes([9, 7])])
def test_decompress_lzf_refuses_a_broken_stream(stream):
    with pytest.raises(ValueError, match="its compressed points"):
        decompress_lzf(stream, 4)


def test_decompress_lzf_ends_when_a_stream_gives_too_much():
    with pytest.raises(ValueError, match="compressed points give"):
        decompress_lzf(bytes([0, 7]) + bytes([0xE0, 255, 0]) * 1000, 100)
