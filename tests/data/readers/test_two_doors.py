"""One file, two doors: what a pipeline reads and what `read_point_cloud` returns."""

import numpy as np
import pytest

from jointmae_hf import JointMAEFeatureExtractor, JointMAEModel
from jointmae_hf.data import read_point_cloud
from jointmae_hf.model.cloud_files import CLOUD_FILE_SUFFIXES
from jointmae_hf.model.pipeline_jointmae import JointMAEPointCloudFeatureExtractionPipeline, NumberedCloud


NUM_POINTS = 64
ROWS = b"0 0 0\n1 0 0\n1 1 0\n0 1 0.5\n2 3 4.25\n"
COLORED_ROWS = ROWS.replace(b"\n", b" 255 0 128\n")
FACES = b"3 0 1 2\n3 0 2 3\n"
MIXED_FACES = b"4 0 1 2 3\n3 0 1 4\n"
AXES = b"property float x\nproperty float y\nproperty float z\n"
LISTS = b"property list uchar int vertex_indices\n"
OBJ = b"".join(b"v " + row + b"\n" for row in ROWS.splitlines())
FACET = b"facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 1 1 0\nendloop\nendfacet\n"


def ply(byte_order="", faces=()):
    """A PLY file of the vertices of `ROWS`; text without a byte order."""
    kind = {"": b"ascii", "<": b"binary_little_endian", ">": b"binary_big_endian"}[byte_order]
    header = b"ply\nformat " + kind + b" 1.0\nelement vertex 5\n" + AXES
    header += b"element face %d\n" % len(faces) + LISTS if faces else b""
    if not byte_order:
        return header + b"end_header\n" + ROWS + b"".join(b"%d %b\n" % (len(f), b"%d " * len(f) % f) for f in faces)
    vertices = np.array([row.split() for row in ROWS.splitlines()], dtype=float).astype(byte_order + "f4")
    lists = b"".join(bytes([len(face)]) + np.array(face, byte_order + "i4").tobytes() for face in faces)
    return header + b"end_header\n" + vertices.tobytes() + lists


def npy(dtype, order="C", shape=(5, 3)):
    header = f"{{'descr': '{np.dtype(dtype).str}', 'fortran_order': {order == 'F'}, 'shape': {shape}, }}".ljust(117)
    array = np.array([row.split() for row in ROWS.splitlines()], dtype=float).astype(dtype)
    return b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + b"\n" + array.tobytes(order)


def stl():
    triangles = np.zeros(2, [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    triangles["corners"] = np.random.default_rng(0).normal(size=(2, 3, 3))
    return bytes(80) + b"\x02\0\0\0" + triangles.tobytes()


TRIANGLES = ((0, 1, 2), (0, 2, 3))
MIXED = ((0, 1, 2, 3), (0, 1, 4))
CLOUDS = {
    "plain.xyz": ROWS,
    "windows.xyz": ROWS.replace(b"\n", b"\r\n"),
    "byte_order_mark.xyz": b"\xef\xbb\xbf" + ROWS,
    "comments.xyz": b"# made by hand\n" + ROWS + b"// end\n",
    "commas.txt": ROWS.replace(b" ", b","),
    "names.txt": b"x,y,z,r,g,b\n" + COLORED_ROWS.replace(b" ", b","),
    "cloud_compare.txt": b"//X Y Z R G B\n" + COLORED_ROWS,
    "colors_first.txt": b"//R G B X Y Z\n" + b"".join(b"9 8 7 " + row + b"\n" for row in ROWS.splitlines()),
    "count.pts": b"5\n" + COLORED_ROWS,
    "no_count.pts": ROWS,
    "float32.npy": npy("<f4"),
    "float64.npy": npy("<f8"),
    "big_endian.npy": npy(">f8"),
    "fortran.npy": npy("<f4", "F"),
    "half.npy": npy("<f2"),
    "integers.npy": npy("<i4"),
    "points.off": b"OFF\n5 0 0\n" + ROWS,
    "colors.off": b"COFF\n5 0 0\n" + COLORED_ROWS,
    "points.obj": OBJ,
    "ascii.ply": ply(),
    "little.ply": ply("<"),
    "big.ply": ply(">"),
}
MESHES = {
    "mesh.off": b"OFF\n5 2 0\n" + ROWS + FACES,
    "first_line.off": b"OFF5 2 0\n" + ROWS + FACES,
    "mixed.off": b"OFF\n5 2 0\n" + ROWS + MIXED_FACES,
    "face_colors.off": b"OFF\n5 2 0\n" + ROWS + MIXED_FACES.replace(b"\n", b" 0.5 0.5 0.5\n"),
    "concave.off": b"OFF\n5 1 0\n0 0 0\n4 0 0\n4 4 0\n2 0.5 0\n0 4 0\n5 0 1 2 3 4\n",
    "mesh.obj": OBJ + b"f 1 2 3\nf -5/1/1 3//2 4\n",
    "polygons.obj": OBJ + b"f 1 2 3 4\nf 1 2 5\n",
    "binary.stl": stl(),
    "text.stl": b"solid a\n" + FACET + b"endsolid a\n",
    **{
        f"triangles_{name}.ply": ply(order, TRIANGLES)
        for name, order in (("ascii", ""), ("little", "<"), ("big", ">"))
    },
    **{f"mixed_{name}.ply": ply(order, MIXED) for name, order in (("ascii", ""), ("little", "<"), ("big", ">"))},
}
BROKEN = {
    "empty.xyz": b"",
    "two_columns.xyz": b"0 0\n",
    "ragged.xyz": b"0 0 0\n1 1\n",
    "word.txt": b"0 0 0\n1 a 1\n",
    "names.txt": b"a b c\n0 0 0\n",
    "scalar_field.txt": b"//R G B X Y Z Scalar field\n1 2 3 4 5 6 7\n",
    "not_finite.xyz": b"0 0 nan\n",
    "too_large.xyz": b"0 0 1e99\n",
    "count.pts": b"4\n" + ROWS,
    "short.npy": npy("<f4")[:-1],
    "shape.npy": npy("<f4", shape=(15,)),
    "complex.npy": npy("<c16"),
    "zip.npy": b"PK\x03\x04",
    "cut.off": b"OFF\n5 2 0\n" + ROWS + FACES[:-3],
    "index.off": b"OFF\n5 1 0\n" + ROWS + b"3 0 1 5\n",
    "edge.off": b"OFF\n5 1 0\n" + ROWS + b"2 0 1\n",
    "flat.off": b"OFF\n5 1 0\n" + ROWS + b"3 0 1 1\n",
    "word.off": b"4OFF\n1 0 0\n0 0 0 0\n",
    "none.off": b"OFF\n0 0 0\n",
    "zero.obj": OBJ + b"f 0 1 2\n",
    "index.obj": OBJ + b"f 1 2 6\n",
    "cut.stl": stl()[:-1],
    "cut_text.stl": b"solid a\n" + FACET,
    "cut_ascii.ply": ply("", TRIANGLES)[:-4],
    "cut_little.ply": ply("<", TRIANGLES)[:-1],
    "cut_big.ply": ply(">", MIXED)[:-1],
    "strips.ply": ply("", TRIANGLES).replace(b"element face", b"element tristrips"),
    "corners.ply": ply("", TRIANGLES).replace(b"vertex_indices", b"corners"),
    "no_header.ply": b"ply\n",
}


@pytest.fixture(scope="module")
def read_through_pipeline(build_tiny_config):
    """What a pipeline has read from a file, in the units and axes of the file."""
    pipeline = JointMAEPointCloudFeatureExtractionPipeline(
        model=JointMAEModel(build_tiny_config()), feature_extractor=JointMAEFeatureExtractor(num_points=NUM_POINTS)
    )
    return lambda path: pipeline.preprocess(NumberedCloud(0, path))["clouds"].source


def write(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


def test_every_shared_format_is_tried_whole_and_broken():
    for files in (CLOUDS | MESHES, BROKEN):
        assert {name[name.index(".") :] for name in files} == set(CLOUD_FILE_SUFFIXES)


@pytest.mark.parametrize("name", CLOUDS | MESHES)
def test_both_doors_read_the_same_points(tmp_path, read_through_pipeline, name):
    path = write(tmp_path, name, (CLOUDS | MESHES)[name])
    points = read_point_cloud(path, NUM_POINTS)
    np.testing.assert_array_equal(read_through_pipeline(path).astype(np.float32), points)
    assert len(points) == (5 if name in CLOUDS else NUM_POINTS)


@pytest.mark.parametrize("name", sorted(CLOUDS.keys() - {"integers.npy"}))
def test_every_way_to_write_a_cloud_gives_its_points(tmp_path, name):
    points = read_point_cloud(write(tmp_path, name, CLOUDS[name]))
    assert points.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5], [2, 3, 4.25]]


def test_every_way_to_write_a_mesh_gives_its_points(tmp_path):
    names = [[name for name in MESHES if name.startswith(start)] for start in ("triangles", "mixed")]
    for same in (
        ["mesh.off", "first_line.off", "mesh.obj", *names[0]],
        ["face_colors.off", "polygons.obj", *names[1]],
    ):
        clouds = [read_point_cloud(write(tmp_path, name, MESHES[name])) for name in same]
        for cloud in clouds[1:]:
            np.testing.assert_array_equal(cloud, clouds[0])


@pytest.mark.parametrize("name", BROKEN)
def test_both_doors_refuse_with_the_same_words(tmp_path, read_through_pipeline, name):
    path = write(tmp_path, name, BROKEN[name])
    with pytest.raises(ValueError, match="must") as refused:
        read_point_cloud(path, NUM_POINTS)
    with pytest.raises(ValueError, match="must") as refused_by_pipeline:
        read_through_pipeline(path)
    assert str(refused_by_pipeline.value) == f"`inputs[0]` must be a readable file. {refused.value}"
    assert name in str(refused.value)


def test_map_coordinates_pass_where_nothing_is_rounded(tmp_path, read_through_pipeline):
    """The pipeline centers a cloud in float64; `read_point_cloud` returns float32, which would blur it."""
    path = write(tmp_path, "map.xyz", b"500000.1 5000000.1 0\n500000.2 5000000.2 0\n")
    assert read_through_pipeline(path).tolist() == [[500000.1, 5000000.1, 0], [500000.2, 5000000.2, 0]]
    with pytest.raises(ValueError, match=r"map\.xyz` must hold coordinates that float32 keeps"):
        read_point_cloud(path)
