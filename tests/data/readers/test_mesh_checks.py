import pytest

from jointmae_hf.data.readers.mesh_checks import declares_faces


PLY = b"""ply
format ascii 1.0
element vertex 1
property float x
property float y
property float z
element face 2
property uchar red
property list uchar int vertex_indices
end_header
0 0 0
9 3 0 0 0
9 4 0 0 0 0
"""
OFF = b"OFF # of one vertex\n1 2 0\n\n0 0 0\n3 0 0 0\n4 0 0 0 0 255 0 0\n"
OBJ = b"v 0 0 0\nv 1 1 1\nvn 0 0\nf 1 2 1\n"


@pytest.mark.parametrize(("content", "file_type"), [(PLY, "ply"), (OFF, "off"), (OBJ, "obj"), (b"", "stl")])
def test_whole_mesh_declares_faces(content, file_type):
    assert declares_faces(content, file_type)


@pytest.mark.parametrize(
    ("content", "file_type"),
    [
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nelement face 0\nend_header\n1\n", "ply"),
        (b"COFF 1 0 0\n0 0 0 255 0 0\n", "off"),
        (b"v 0 0 0\nl 1 1\n", "obj"),
        (b"", "obj"),
    ],
)
def test_points_declare_no_faces(content, file_type):
    assert not declares_faces(content, file_type)


@pytest.mark.parametrize(
    ("content", "file_type", "message"),
    [
        (PLY[:-3], "ply", "its last row is cut short: '9 4 0 0 0'"),
        (PLY[:-12], "ply", "it has 2 rows and not the 3 that its header says"),
        (PLY[:60], "ply", "instead of a header from ply to end_header"),
        (OFF[:-15], "off", "its last row is cut short: '4 0'"),
        (OFF[:-25], "off", "it has 2 rows and not the 3"),
        (b"OFF\n", "off", "its header has no two counts"),
        (b"OFF\n8\n", "off", "its header has no two counts: b'OFF 8'"),
        (b"OFF\n1 -1 0\n0 0 0\n", "off", "its header has no two counts"),
        (b"4OFF\n1 0 0\n0 0 0 0\n", "off", "instead of OFF"),
        (b"OFFICE\n", "off", "instead of OFF"),
        (b"v 0 0 0\nv 1 1\n", "obj", r"its vertices have \[2, 3\] numbers"),
        (b"v 0 0\nv 1 1\n", "obj", r"its vertices have \[2\] numbers"),
        (b"v 0 0 0\nv 1 1 1 255 0 0\n", "obj", r"its vertices have \[3, 6\] numbers"),
    ],
)
def test_broken_text_is_refused(content, file_type, message):
    with pytest.raises(ValueError, match=message):
        declares_faces(content, file_type)
