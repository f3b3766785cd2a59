import shutil

import numpy as np
import pytest

from jointmae_hf.data import MODELNET10_CLASSES, MODELNET40_CLASSES, DatasetError, load_point_clouds


# A pyramid with a square base in z = 0 and its top over the corner (1, 2, 0); the base is one face of four corners.
VERTICES = [(0, 0, 0), (4, 0, 0), (4, 4, 0), (0, 4, 0), (1, 2, 8)]
FACES = [(0, 1, 2, 3), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)]


def off(header, faces=FACES):
    vertices = "".join(f"{x} {y} {z}\n" for x, y, z in VERTICES)
    lines = "".join(f"{len(face)} {' '.join(map(str, face))}\n" for face in faces)
    return f"{header}{vertices}{lines}"


CLEAN, FUSED = off("OFF\n5 5 0\n"), off("OFF5 5 0\n")


@pytest.fixture
def source_dir(tmp_path):
    """The tree of ModelNet10.zip with two shapes a class, one of them with the header of many ModelNet40 files."""
    root = tmp_path / "ModelNet10"
    for name in MODELNET10_CLASSES:
        for split, number, text in (("train", "0001", FUSED), ("test", "0101", CLEAN)):
            (root / name / split).mkdir(parents=True)
            (root / name / split / f"{name}_{number}.off").write_text(text)
    (root / "README.txt").write_text("ModelNet10")
    (root / "bed" / ".DS_Store").write_bytes(b"x")
    (root / "bed" / "train" / "._bed_0001.off").write_bytes(b"x")
    (tmp_path / "__MACOSX" / "ModelNet10").mkdir(parents=True)
    return root


def load(data_dir, tmp_path, **options):
    options = {"num_classes": 10, "num_points": 500, **options}
    return load_point_clouds("modelnet40", data_dir, cache_dir=tmp_path / "cache", **options)


def test_meshes_of_all_classes_are_found(source_dir, tmp_path):
    splits = load(source_dir, tmp_path)
    assert splits["train"]["id"][:] == [f"{name}_0001" for name in MODELNET10_CLASSES]
    assert splits["test"]["label"][:] == list(range(10))


def test_meshes_of_modelnet40_have_40_labels(source_dir, tmp_path):
    root = source_dir.rename(tmp_path / "ModelNet40")
    for name in set(MODELNET40_CLASSES) - set(MODELNET10_CLASSES):
        for split, number in (("train", "0001"), ("test", "0101")):
            (root / name / split).mkdir(parents=True)
            (root / name / split / f"{name}_{number}.off").write_text(FUSED)
    splits = load(tmp_path, tmp_path, num_classes=40, num_points=4)
    assert splits["test"]["id"][:] == [f"{name}_0101" for name in MODELNET40_CLASSES]
    ten = load(tmp_path, tmp_path, num_points=4)
    assert ten["test"]["id"][:] == [f"{name}_0101" for name in MODELNET10_CLASSES]


def test_meshes_with_fused_and_clean_headers_are_the_same(source_dir, tmp_path):
    (source_dir / "bed" / "train" / "bed_0001.off").write_text(CLEAN)
    points = load(source_dir, tmp_path, split="train").with_format("numpy")["points"][:]
    (source_dir / "bed" / "train" / "bed_0001.off").write_text(FUSED)
    np.testing.assert_array_equal(load(source_dir, tmp_path, split="train").with_format("numpy")["points"][:], points)


def test_meshes_have_the_handedness_of_the_published_clouds(source_dir, tmp_path):
    # One triangle, whose corners differ in x, y and z: turned upright instead of mirrored, they would lie elsewhere.
    (source_dir / "bathtub" / "train" / "bathtub_0001.off").write_text(off("OFF\n5 1 0\n", [(0, 1, 4)]))
    points = load(source_dir, tmp_path, split="train", num_points=20_000).with_format("numpy")[0]["points"]
    corners = np.array(VERTICES, float)[[0, 1, 4]][:, [0, 2, 1]]
    corners -= corners.mean(axis=0)
    corners /= np.linalg.norm(corners, axis=1).max()
    for corner in corners:
        assert np.linalg.norm(points - corner, axis=1).min() < 0.05


def test_meshes_stand_upright(source_dir, tmp_path):
    points = load(source_dir, tmp_path, split="train", num_points=5_000).with_format("numpy")[0]["points"]
    is_base = points[:, 1] < points[:, 1].min() + 1e-3
    assert is_base.mean() > 0.1


def test_meshes_are_centered_and_scaled_to_the_unit_sphere(source_dir, tmp_path):
    for points in load(source_dir, tmp_path, split="test").with_format("numpy")["points"][:]:
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-6)
        assert np.linalg.norm(points, axis=1).max() == pytest.approx(1)


def test_meshes_are_sampled_uniformly_by_area(source_dir, tmp_path):
    points = load(source_dir, tmp_path, split="test", num_points=20_000).with_format("numpy")[0]["points"]
    corners = np.array(VERTICES, float)
    triangles = [(0, 1, 2), (0, 2, 3), *FACES[1:]]
    areas = [np.linalg.norm(np.cross(corners[b] - corners[a], corners[c] - corners[a])) / 2 for a, b, c in triangles]
    is_base = points[:, 1] < points[:, 1].min() + 1e-6
    assert is_base.mean() == pytest.approx(sum(areas[:2]) / sum(areas), abs=0.01)


def test_meshes_follow_seed_and_name_alone(source_dir, tmp_path):
    def points(**options):
        return load(source_dir, tmp_path, split="train", **options).with_format("numpy")["points"][:]

    first = points()
    np.testing.assert_array_equal(points(seed=0), first)
    assert not np.array_equal(points(seed=1), first)
    assert not np.array_equal(first[0], first[1])


def test_meshes_default_to_2048_points(source_dir, tmp_path):
    assert load(source_dir, tmp_path, split="test", num_points=None).features["points"].shape == (2048, 3)


def corrupt_mesh(text):
    return lambda root: (root / "bed" / "test" / "bed_0101.off").write_text(text)


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda root: shutil.rmtree(root / "bed"), r"the 10 classes of ModelNet10, got none of \['bed'\]"),
        (lambda root: shutil.rmtree(root / "bed" / "test"), "must be a folder of meshes, got none"),
        (lambda root: (root / "bed" / "test" / "bed_0101.off").unlink(), r"must hold meshes `\.off`, got none"),
        (lambda root: (root / "bad").mkdir(), r"folders of the classes of ModelNet, got \['bad'\]"),
        (lambda root: shutil.copy(root / "bed" / "test" / "bed_0101.off", root / "sofa" / "test"),
         r"bed_0101\.off` must be named `sofa_<number>\.off`"),
        (corrupt_mesh(""), r"bed_0101\.off \(empty\)"),
        (corrupt_mesh(CLEAN[:-12]), r"bed_0101\.off` must be a complete \.off file"),
        (corrupt_mesh(off("OFF\n5 0 0\n", [])), "must have faces to sample points from"),
        (corrupt_mesh(off("OFF\n5 1 0\n", [(0, 1, 1)])), "its faces have no area"),
        (corrupt_mesh(off("OFF\n5 1 0\n", [(0, 1, 5)])), r"bed_0101\.off` must be a complete"),
        (corrupt_mesh("solid"), r"bed_0101\.off` must be a complete"),
    ],
)  # fmt: skip
def test_meshes_name_what_is_wrong(source_dir, tmp_path, corrupt, message):
    corrupt(source_dir)
    with pytest.raises(DatasetError, match=message):
        load(source_dir, tmp_path)


def test_meshes_say_how_to_get_the_ten_classes(source_dir, tmp_path):
    with pytest.raises(DatasetError, match="For ModelNet10 set `num_classes=10`"):
        load(source_dir, tmp_path, num_classes=40)


def test_meshes_warn_of_other_files(source_dir, tmp_path, caplog):
    (source_dir / "bed" / "train" / "notes.txt").write_text("x")
    load(source_dir, tmp_path)
    assert "1 files in" in caplog.text
    assert "notes.txt" in caplog.text
