import numpy as np
import pytest
import trimesh

from jointmae_hf.data import read_point_cloud


# A box of 1 x 2 x 3 that is nowhere symmetric about an axis of coordinates.
SIZE = np.array([1.0, 2.0, 3.0])
SHIFT = np.array([10.0, 20.0, 30.0])

PLY_POINTS = """ply
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
OBJ_POINTS = "# two points\nv 1 2 3 0.5 0.5 0.5\nv 4 5 6 0.5 0.5 0.5\n"
OFF_POINTS = "OFF\n2 0 0\n1 2 3\n4 5 6\n"
SQUARE = "4 1 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"


def box():
    mesh = trimesh.creation.box(SIZE)
    mesh.apply_translation(SHIFT)
    return mesh


def write_box(path, **options):
    box().export(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".ply", ".off", ".obj", ".stl"])
def test_mesh_is_sampled_on_its_surface(tmp_path, suffix):
    points = read_point_cloud(write_box(tmp_path / f"a{suffix}"), num_points=500)
    assert points.shape == (500, 3)
    assert points.dtype == np.float32
    distance = np.abs(points - SHIFT) / (SIZE / 2)
    np.testing.assert_allclose(distance.max(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"), [("a.ply", {"encoding": "ascii"}), ("a.stl", {"file_type": "stl_ascii"})]
)
def test_text_and_binary_hold_the_same_mesh(tmp_path, name, options):
    text = read_point_cloud(write_box(tmp_path / name, **options), num_points=50)
    binary = read_point_cloud(write_box(tmp_path / f"b{name}"), num_points=50)
    np.testing.assert_allclose(text, binary, atol=1e-4)


def test_faces_are_sampled_by_their_area(tmp_path):
    points = read_point_cloud(write_box(tmp_path / "a.off"), num_points=20_000)
    on_face = np.abs(np.abs(points - SHIFT) / (SIZE / 2) - 1.0) < 1e-4
    np.testing.assert_allclose(on_face.mean(axis=0), np.array([6.0, 3.0, 2.0]) / 11.0, atol=0.015)


def test_samples_depend_on_the_generator_alone(tmp_path):
    path = write_box(tmp_path / "a.off")
    first, again, other = (read_point_cloud(path, num_points=9, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.0


@pytest.mark.parametrize(("name", "text"), [("a.ply", PLY_POINTS), ("a.obj", OBJ_POINTS), ("a.off", OFF_POINTS)])
def test_points_without_faces_are_taken_as_they_are(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_point_cloud(tmp_path / name).tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


@pytest.mark.parametrize("start", ["OFF\n", "OFF", "OFF ", "# a square\nOFF # here\n\n", "OFF\r\n"])
def test_off_counts_may_follow_the_first_word(tmp_path, start):
    (tmp_path / "a.off").write_text(start + SQUARE)
    points = read_point_cloud(tmp_path / "a.off", num_points=200)
    assert points.min() >= 0.0
    assert points[:, :2].max() <= 1.0
    assert np.abs(points[:, 0] - points[:, 1]).max() > 0.5


def test_obj_takes_all_objects_and_materials_together(tmp_path):
    (tmp_path / "a.obj").write_text(
        "mtllib absent.mtl\no one\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl red\nf 1 2 3\n"
        "o two\nv 0 0 9\nv 1 0 9\nv 0 1 9\nusemtl blue\nf -3 -2 -1\n"
    )
    heights = read_point_cloud(tmp_path / "a.obj", num_points=100)[:, 2]
    assert set(heights.tolist()) == {0.0, 9.0}


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_very_small_and_large_meshes_are_sampled(tmp_path, scale):
    mesh = trimesh.creation.box(SIZE * scale)
    (tmp_path / "a.off").write_text(trimesh.exchange.off.export_off(mesh, digits=40 if scale < 1 else 6))
    points = read_point_cloud(tmp_path / "a.off", num_points=100) / np.float32(scale)
    np.testing.assert_allclose((np.abs(points) / (SIZE / 2)).max(axis=1), 1.0, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", "faces with an area, got 1 triangles without any"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 nan\n3 0 1 2\n", "finite float32 values"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", "index|faces name vertices"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -1\n", "index|faces name vertices"),
        ("OFF\n3 1 0\n0 0 0\n1 a 0\n0 1 0\n3 0 1 2\n", "'a'"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n2 0 1\n", "none of its faces can be read"),
        ("OFF\n0 0 0\n", "at least one point, got 0"),
    ],
)
def test_broken_mesh_is_refused_by_name(tmp_path, text, message):
    (tmp_path / "bad.off").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_point_cloud(tmp_path / "bad.off")
    assert "bad.off" in str(caught.value)


@pytest.mark.parametrize("suffix", [".ply", ".stl"])
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.99])
def test_truncated_binary_mesh_is_refused_by_name(tmp_path, suffix, kept):
    path = write_box(tmp_path / f"bad{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=rf"bad\{suffix}` must be a complete {suffix} file"):
        read_point_cloud(path)


@pytest.mark.parametrize(("name", "options"), [("bad.off", {}), ("bad.ply", {"encoding": "ascii"})])
@pytest.mark.parametrize("num_lost", [4, 20, 60])
def test_truncated_text_mesh_is_refused_by_name(tmp_path, name, options, num_lost):
    path = write_box(tmp_path / name, **options)
    path.write_bytes(path.read_bytes().rstrip()[:-num_lost])
    with pytest.raises(ValueError, match=rf"{name}` must be a complete .* file.*, got: it"):
        read_point_cloud(path)


def test_faces_under_an_unknown_name_are_not_taken_for_points(tmp_path):
    text = write_box(tmp_path / "bad.ply", encoding="ascii").read_text()
    (tmp_path / "bad.ply").write_text(text.replace("vertex_indices", "corners"))
    with pytest.raises(ValueError, match=r"bad\.ply` must be a complete \.ply file"):
        read_point_cloud(tmp_path / "bad.ply")
