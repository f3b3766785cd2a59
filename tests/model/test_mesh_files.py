"""Mesh files that are parsed by numpy alone."""

import numpy as np
import pytest
import trimesh

from jointmae_hf.model.cloud_files import read_cloud_file
from jointmae_hf.model.mesh_files import MESH_PARSERS, parse_obj, parse_off, parse_ply


# A box of 1 x 2 x 3 that is nowhere symmetric about an axis of coordinates.
SIZE = np.array([1.0, 2.0, 3.0])
SHIFT = np.array([10.0, 20.0, 30.0])

PLY = b"""ply
format ascii 1.0
comment two faces, with a color in front of their corners and a list behind
element vertex 5
property float x
property float y
property float z
element face 2
property uchar red
property list uchar int vertex_indices
property list uchar float texcoord
end_header
0 0 0
1 0 0
1 1 0
0 1 0
0 0 1
9 3 0 1 2 2 0.5 0.5
9 4 0 1 2 3 0
"""
OFF = b"OFF # of one vertex\n1 2 0\n\n0 0 0\n3 0 0 0\n4 0 0 0 0 255 0 0\n"
PLY_POINTS = b"""ply
format ascii 1.0
element vertex 2
property float z
property uchar red
property float y
property float x
end_header
3 255 2 1
6 255 5 4
"""
STL = b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nVERTEX 1 0 0\nvertex 0 1e0 0\nendloop\nendfacet\nendsolid a\n"
SQUARE = b"0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
ASCII_PLY = b"ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
FACE_PROPERTY = b"element face 1\nproperty list uchar int vertex_indices\nend_header\n"


def box():
    mesh = trimesh.creation.box(SIZE)
    mesh.apply_translation(SHIFT)
    return mesh


def write_box(path, **options):
    box().export(path, **options)
    return path


def binary_ply(order, faces=((0, 1, 2, 3),)):
    """A square whose vertices are of two types of numbers."""
    name = {"<": b"little", ">": b"big"}[order]
    header = ASCII_PLY.replace(b"ascii", b"binary_" + name + b"_endian").replace(b"float z", b"double z")
    vertices = np.zeros(4, [("x", order + "f4"), ("y", order + "f4"), ("z", order + "f8")])
    vertices["x"], vertices["y"], vertices["z"] = [0, 1, 1, 0], [0, 0, 1, 1], 0.5
    body = b"".join(bytes([len(face)]) + np.array(face, dtype=order + "i4").tobytes() for face in faces)
    return header + FACE_PROPERTY.replace(b"face 1", b"face %d" % len(faces)) + vertices.tobytes() + body


def faces_of(mesh):
    """Corners of each polygon."""
    return [corners.tolist() for corners in np.split(mesh.corners, np.cumsum(mesh.sizes)[:-1])]


@pytest.mark.parametrize("suffix", MESH_PARSERS)
def test_mesh_is_sampled_on_its_surface(tmp_path, suffix):
    points = read_cloud_file(write_box(tmp_path / f"a{suffix}"), 500)
    assert points.shape == (500, 3)
    distance = np.abs(points - SHIFT) / (SIZE / 2)
    np.testing.assert_allclose(distance.max(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("suffix", MESH_PARSERS)
def test_parser_finds_the_triangles_of_trimesh(tmp_path, suffix):
    mesh = MESH_PARSERS[suffix](write_box(tmp_path / f"a{suffix}").read_bytes())
    np.testing.assert_allclose(mesh.vertices[mesh.corners.reshape(-1, 3)], box().triangles, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"), [("a.ply", {"encoding": "ascii"}), ("a.stl", {"file_type": "stl_ascii"})]
)
def test_text_and_binary_hold_the_same_mesh(tmp_path, name, options):
    text = read_cloud_file(write_box(tmp_path / name, **options), 50)
    binary = read_cloud_file(write_box(tmp_path / f"b{name}"), 50)
    np.testing.assert_allclose(text, binary, atol=1e-4)


def test_faces_are_sampled_by_their_area(tmp_path):
    points = read_cloud_file(write_box(tmp_path / "a.off"), 20_000)
    on_face = np.abs(np.abs(points - SHIFT) / (SIZE / 2) - 1.0) < 1e-4
    np.testing.assert_allclose(on_face.mean(axis=0), np.array([6.0, 3.0, 2.0]) / 11.0, atol=0.015)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.off", b"OFF\n4 1 0\n" + SQUARE + b"4 0 1 2 3\n"),
        ("a.ply", ASCII_PLY + FACE_PROPERTY + SQUARE + b"4 0 1 2 3\n"),
        ("a.ply", binary_ply("<")),
        ("a.ply", binary_ply(">")),
    ],
)
def test_polygon_is_sampled_uniformly_by_area(tmp_path, name, content):
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


def test_samples_depend_on_the_generator_alone(tmp_path):
    path = write_box(tmp_path / "a.off")
    first, again, other = (read_cloud_file(path, 9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.0


def test_mesh_gives_the_same_points_at_each_reading(tmp_path):
    (tmp_path / "a.ply").write_bytes(binary_ply("<"))
    np.testing.assert_array_equal(read_cloud_file(tmp_path / "a.ply", 9), read_cloud_file(tmp_path / "a.ply", 9))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ply", PLY_POINTS),
        ("a.ply", PLY_POINTS.replace(b"\n", b"\r\n")),
        ("a.ply", PLY_POINTS.replace(b"end_header", b"element face 0\nproperty list uchar int corners\nend_header")),
        ("a.obj", b"# two points\nv 1 2 3 0.5 0.5 0.5\nv 4 5 6 0.5 0.5 0.5\nl 1 2\n"),
        ("a.off", b"OFF\n2 0 0\n1 2 3\n4 5 6\n"),
        ("a.off", b"OFF2 0 0\n1 2 3\n4 5 6\n"),
        ("a.off", b"COFF 2 0 0\n1 2 3 255 0 0\n4 5 6 255 0 0\n"),
    ],
)
def test_points_without_faces_are_taken_as_they_are(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read_cloud_file(tmp_path / name, 8).tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


@pytest.mark.parametrize("start", ["OFF\n", "OFF", "OFF ", "# a square\nOFF # here\n\n", "OFF\r\n"])
def test_off_counts_may_follow_the_first_word(tmp_path, start):
    (tmp_path / "a.off").write_bytes(start.encode() + b"4 1 0\n" + SQUARE + b"4 0 1 2 3\n")
    points = read_cloud_file(tmp_path / "a.off", 200)
    assert points.min() >= 0.0
    assert points[:, :2].max() <= 1.0
    assert np.abs(points[:, 0] - points[:, 1]).max() > 0.5


@pytest.mark.parametrize("word", ["COFF", "NOFF", "CNOFF", "NCOFF", "STOFF", "STCNOFF"])
def test_off_takes_coordinates_first_and_colors_of_faces_last(word):
    content = word.encode() + b"\n3 2 0\n0 0 0 9 9\n1 0 0 9 9\n0 1 0 9 9\n3 0 1 2 0.5 0.5 0.5 1\n3 2 1 0\n"
    mesh = parse_off(content)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert faces_of(mesh) == [[0, 1, 2], [2, 1, 0]]


def test_ply_finds_the_corners_among_other_columns():
    assert faces_of(parse_ply(PLY)) == [[0, 1, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("faces", [[[0, 1, 2], [2, 3, 0]], [[0, 1, 2], [0, 1, 2, 3]], [[3, 2, 1, 0], [0, 1, 2]]])
def test_binary_ply_takes_polygons_of_one_size_and_of_several(order, faces):
    assert faces_of(parse_ply(binary_ply(order, faces))) == faces


def test_binary_ply_finds_the_corners_among_other_columns_and_elements():
    header = PLY[: PLY.index(b"0 0 0\n")].replace(b"ascii", b"binary_little_endian")
    header = header.replace(b"element vertex", b"element edge 2\nproperty list uint char n\nelement vertex")
    edges = b"\x01\0\0\0a" + b"\x02\0\0\0ab"
    first = b"\x09\x03" + np.array([0, 1, 2], "<i4").tobytes() + b"\x02" + np.array([0.5, 0.5], "<f4").tobytes()
    second = b"\x09\x04" + np.array([0, 1, 2, 3], "<i4").tobytes() + b"\x00"
    vertices = np.arange(15, dtype="<f4")
    mesh = parse_ply(header + edges + vertices.tobytes() + first + second)
    assert mesh.vertices.ravel().tolist() == vertices.tolist()
    assert faces_of(mesh) == [[0, 1, 2], [0, 1, 2, 3]]


def test_obj_takes_all_objects_and_materials_together(tmp_path):
    (tmp_path / "a.obj").write_text(
        "mtllib absent.mtl\no one\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\n"
        "o two\nv 0 0 9\nv 1 0 9\nv 0 1 9\nusemtl blue\nf -3 -2 -1\n"
    )
    heights = read_cloud_file(tmp_path / "a.obj", 100)[:, 2]
    assert set(heights.tolist()) == {0.0, 9.0}


def test_obj_counts_negative_indices_back_from_their_line():
    triangle = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n"
    assert faces_of(parse_obj(triangle * 2)) == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    "face", [b"f 1 2 3", b"f 1/7 2/8 3/9", b"f 1//7 2//8 3//9", b"f 1/7/4 2 -2/1/1", b"f 1 \\\n2 3"]
)
def test_obj_ignores_texture_coordinates_and_normals(face):
    vertices = b"v 0 0 0 # corner\nv\t1 0 0\n v 0 1 0\nv 5 5 5\n"
    assert faces_of(parse_obj(vertices + face + b"  # face\nf 1 2 4 3\n")) == [[0, 1, 2], [0, 1, 3, 2]]


@pytest.mark.parametrize(
    ("face", "message"),
    [
        (b"f 0 1 2", "name vertex 0; the first vertex of this format is 1"),
        (b"f 1 2 4", "name vertex 4 and it has 3, counted from 1"),
        (b"f 1 2 -4", "name vertex 0 and it has 3, counted from 1"),
        (b"f 1 2 1.5", "name vertex 1.5 and"),
        (b"f 1 2 nan", "name vertex nan and"),
        (b"f 1 2 x", "'x'"),
        (b"f 1/1 /2 3/3 2", "'/2'"),
        (b"f", "a line of it holds 'f' alone"),
        (b"f 1 2", "none of its faces can be read"),
    ],
)
def test_obj_refuses_corners_that_are_no_vertices(tmp_path, face, message):
    (tmp_path / "bad.obj").write_bytes(b"v 0 0 0\nv 1 0 0\nv 0 1 0\n" + face + b"\n")
    with pytest.raises(ValueError, match=rf"bad\.obj` must be a complete \.obj file, got: .*{message}"):
        read_cloud_file(tmp_path / "bad.obj", 8)


def test_stl_reads_text_of_several_solids(tmp_path):
    (tmp_path / "a.stl").write_bytes(STL + STL.replace(b" 0\n", b" 9\n"))
    assert set(read_cloud_file(tmp_path / "a.stl", 100)[:, 2].tolist()) == {0.0, 9.0}


@pytest.mark.parametrize("start", [b"", b"solid facet"])
@pytest.mark.parametrize("end", [b"", b"\0"])
def test_stl_reads_binary_whatever_its_first_word(tmp_path, start, end):
    content = write_box(tmp_path / "a.stl").read_bytes()
    (tmp_path / "b.stl").write_bytes(start + content[len(start) :] + (b"" if start else end))
    points = read_cloud_file(tmp_path / "b.stl", 50)
    np.testing.assert_array_equal(points, read_cloud_file(tmp_path / "a.stl", 50))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_very_small_and_large_meshes_are_sampled(tmp_path, scale):
    mesh = trimesh.creation.box(SIZE * scale)
    (tmp_path / "a.off").write_text(trimesh.exchange.off.export_off(mesh, digits=40 if scale < 1 else 6))
    points = read_cloud_file(tmp_path / "a.off", 100) / scale
    np.testing.assert_allclose((np.abs(points) / (SIZE / 2)).max(axis=1), 1.0, atol=1e-4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "its faces have no area, 1 triangles"),
        (
            b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 nan\n3 0 1 2\n",
            r"vertex 2 has no finite float32 values but \[0.0, 1.0, nan\]",
        ),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 1e99\n3 0 1 2\n", "vertex 2 has no finite float32 values"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", "faces name vertex 3 and it has 3"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -1\n", "faces name vertex -1"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 99999999999999999999\n", r"faces name vertex 1e\+20"),
        (b"OFF\n3 1 0\n0 0 0\n1 a 0\n0 1 0\n3 0 1 2\n", "'a'"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2 0 1\n", "none of its faces can be read"),
        (b"OFF\n0 0 0\n", "at least one point, got 0"),
        (b"4 1 0\n", "instead of OFF"),
        (b"OFF\n4 1 0\n0 0 0\n", "it has 1 rows and not the 5"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", "face 0 is cut short: it has 3 numbers"),
        (b"OFF\n3 0 0\n0 0 0\n1 0\n0 1 0\n", "vertex 1 is cut short: it has 2 numbers"),
        (OFF[:-15], "face 1 is cut short: it has 2 numbers for a list of 4"),
        (OFF[:-25], "it has 2 rows and not the 3"),
        (b"OFF\n", "its header has no two counts"),
        (b"OFF\n8\n", "its header has no two counts: 'OFF 8'"),
        (b"OFF\n1 -1 0\n0 0 0\n", "its header has no two counts"),
        (b"4OFF\n1 0 0\n0 0 0 0\n", "instead of OFF"),
        (b"OFFICE\n", "instead of OFF"),
    ],
)
def test_broken_off_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "bad.off").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_cloud_file(tmp_path / "bad.off", 8)
    assert "bad.off" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLY[:-7], "face 1 is cut short"),
        (PLY[:-16], "it has 6 rows and not the 7"),
        (PLY[:60], "instead of a header from ply to end_header"),
        (b"ply\nformat ascii 1.0\n", "instead of a header"),
        (PLY.replace(b"ascii", b"binary"), "its format is binary and not one of ascii, "),
        (ASCII_PLY + FACE_PROPERTY + SQUARE, "it has 4 rows and not the 5"),
        (
            ASCII_PLY + FACE_PROPERTY + SQUARE + b"inf 0 1 2 3\n",
            "face 0 is cut short: it has 5 numbers for a list of inf",
        ),
        (ASCII_PLY.replace(b"float z", b"list uchar float z") + b"end_header\n" + SQUARE, "not one number each"),
        (PLY_POINTS.replace(b"float x", b"float w"), "its vertices have z, red, y, w and not one number each"),
        (PLY.replace(b"list uchar int", b"list float int"), "gives the length of a list as a float"),
        (
            PLY.replace(b"vertex_indices", b"corners"),
            "none of its faces can be read: its element face holds red, corners",
        ),
        (
            PLY.replace(b"element face 2", b"element tristrips 1"),
            "none of its faces can be read: its element tristrips",
        ),
        (
            b"ply\nformat ascii 1.0\nelement face 0\nproperty list uchar int vertex_index\nend_header\n",
            "called vertex",
        ),
        (binary_ply("<")[:-1], "it ends 1 bytes too early"),
        (binary_ply("<", [[0, 1, 2], [0, 1, 2, 3]])[:-1], "it ends 1 bytes too early"),
        (binary_ply("<").replace(b"uchar", b"char").replace(b"\x04\0\0\0\0", b"\xff\0\0\0\0"), "a list of it has -1"),
        (binary_ply("<").replace(b"face 1", b"face 1000000000000"), "bytes for 1000000000000 rows"),
        (b"ply\nformat binary_little_endian 1.0\nelement a 1000000000000\nend_header\n", "of 0 columns"),
    ],
)
def test_broken_ply_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.ply` must be a complete \.ply file, got: .*{message}"):
        read_cloud_file(tmp_path / "bad.ply", 8)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bad.obj", b"v 0 0 0\nv 1 1\n", r"its vertices have \[2, 3\] numbers"),
        ("bad.obj", b"v 0 0\nv 1 1\n", r"its vertices have \[2\] numbers"),
        ("bad.obj", b"v 0 0 0\nv 1 1 1 255 0 0\n", r"its vertices have \[3, 6\] numbers"),
        ("bad.obj", b"v\n", "a line of it holds 'v' alone"),
        ("bad.stl", b"", "it has 0 bytes and not the 84"),
        ("bad.stl", STL[:-11], "it has 1 whole triangles, 3 vertices and 'endfacet' at its end"),
        ("bad.stl", STL.replace(b"endfacet\n", b""), "it has 0 whole triangles, 3 vertices"),
        ("bad.stl", STL.replace(b"vertex 0 0 0\n", b""), "it has 1 whole triangles, 2 vertices"),
        ("bad.stl", STL.replace(b"vertex 0 0 0", b"vertex 0 0"), "vertex 0 is cut short: it has 2 numbers"),
    ],
)
def test_broken_obj_and_stl_are_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}` must be a complete .* file, got: .*{message}"):
        read_cloud_file(tmp_path / name, 8)


def test_coordinates_of_a_vertex_that_no_face_uses_do_not_matter(tmp_path):
    (tmp_path / "a.off").write_bytes(b"OFF\n4 1 0\n0 0 0\n1 0 0\n0 1 0\nnan inf 1e99\n3 0 1 2\n")
    assert np.isfinite(read_cloud_file(tmp_path / "a.off", 8)).all()


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_truncated_binary_mesh_is_refused_by_name(tmp_path, suffix, kept):
    path = write_box(tmp_path / f"bad{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=rf"bad\{suffix}` must be a complete {suffix} file"):
        read_cloud_file(path, 8)


@pytest.mark.parametrize(
    ("name", "options"), [("bad.off", {}), ("bad.ply", {"encoding": "ascii"}), ("bad.stl", {"file_type": "stl_ascii"})]
)
@pytest.mark.parametrize("num_lost", [4, 20, 60])
def test_truncated_text_mesh_is_refused_by_name(tmp_path, name, options, num_lost):
    path = write_box(tmp_path / name, **options)
    path.write_bytes(path.read_bytes().rstrip()[:-num_lost])
    with pytest.raises(ValueError, match=rf"{name}` must be a complete .* file.*, got: (it|face|vertex)"):
        read_cloud_file(path, 8)


def test_lines_of_text_may_be_indented_blank_or_end_in_blanks():
    rows = b"OFF\n3 1 0\n\n 0 0 0 \n\t1 0 0\n \n0 1 0\t\n\n3 0 1 2 \n"
    indented = b"  v 0 0 0\n\tv 1 0 0 \n\n \t v 0 1 0\n f 1/1 2//2\t3/3/3 \n"
    for mesh in (parse_off(rows), parse_obj(indented)):
        assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
        assert faces_of(mesh) == [[0, 1, 2]]


def test_obj_reads_faces_between_vertices_and_words_that_start_alike():
    content = b"v 0 0 0\nvn 9 9 9\nv 1 0 0\nv 0 1 0\nf 1 2 3\nfoo 1 2 3\nvt 1 1\nv 5 5 5\nf -1 2/3 1\n"
    mesh = parse_obj(content)
    assert len(mesh.vertices) == 4
    assert faces_of(mesh) == [[0, 1, 2], [3, 1, 0]]


@pytest.mark.parametrize("count", ["999999999999", "9" * 30])
@pytest.mark.parametrize(
    "content", [b"OFF\nCOUNT 1 0\n0 0 0\n", ASCII_PLY.replace(b"vertex 4", b"vertex COUNT") + b"end_header\n0 0 0\n"]
)
def test_text_that_promises_too_many_rows_is_refused_before_memory_is_reserved(content, count):
    parse = parse_off if content.startswith(b"OFF") else parse_ply
    with pytest.raises(ValueError, match=r"it has 1 rows and not the [19]"):
        parse(content.replace(b"COUNT", count.encode()))


def test_what_follows_the_rows_of_a_header_is_not_parsed():
    assert len(parse_off(b"OFF\n1 0 0\n0 0 0\nwritten by hand\n").vertices) == 1
