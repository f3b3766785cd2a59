"""The readers that `fuzzing.py` gives corrupted files to, each with whole files to start from."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from jointmae_hf.data import read_point_cloud
from jointmae_hf.data.builders.modelnet40_layouts import ModelNet40Pickles
from jointmae_hf.data.builders.modelnet_few_shot import FewShotPickle
from jointmae_hf.data.builders.source_files import read_names
from jointmae_hf.data.readers.hdf5 import Hdf5Column, read_hdf5
from jointmae_hf.data.readers.pcd import decompress_lzf
from jointmae_hf.data.readers.safe_pickle import read_safe_pickle
from jointmae_hf.data.readers.text import read_numbers
from jointmae_hf.hub.point_mae_checkpoint import read_point_mae
from jointmae_hf.model.cloud_files import read_cloud_file


POINTS = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
ROWS = "".join(f"{x:.3f} {y:.3f} {z:.3f}\n" for x, y, z in POINTS).encode()
CORNERS = b"0 0 0\n1 0 0\n1 1 0\n0 1 0.5\n"
AXES = b"property float x\nproperty float y\nproperty float z\n"
FACES = b"element face 2\nproperty list uchar int vertex_indices\n"
COLUMNS = [Hdf5Column("data", (8, 3)), Hdf5Column("label", (), kinds="iu"), Hdf5Column("mask", (8,), "iu", False)]


@dataclass(frozen=True)
class Target:
    """A reader, the ending and the whole files to corrupt, what it may raise, and what is wrong with its result."""

    suffix: str
    make_seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], Any]
    complaint: Callable[[Any], str | None]
    errors: tuple[type[Exception], ...] = (ValueError,)


def no_points(result: Any) -> str | None:
    """What `read_cloud_file` promises: numbers that are finite in float32, at least one point."""
    is_cloud = isinstance(result, np.ndarray) and result.dtype.kind in "fiu" and result.ndim == 2
    is_cloud = is_cloud and result.shape[1] == 3 and len(result) > 0
    is_cloud = is_cloud and bool(np.isfinite(result.astype(np.float32)).all())
    return None if is_cloud else f"returned {type(result).__name__} {getattr(result, 'shape', '')}"


def no_cloud(result: Any) -> str | None:
    """What `read_point_cloud` promises: float32 as well."""
    return no_points(result) or (None if result.dtype == np.float32 else f"returned {result.dtype}")


def nothing_wrong(result: Any) -> None:
    """Anything goes."""


def ply(header: bytes, body: bytes, kind: bytes = b"ascii") -> bytes:
    return b"ply\nformat " + kind + b" 1.0\n" + header + b"end_header\n" + body


def ply_files(_: Path) -> list[bytes]:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]])
    files = [
        ply(b"element vertex 8\n" + AXES, ROWS),
        ply(b"element vertex 4\n" + AXES + FACES, CORNERS + b"3 0 1 2\n3 0 2 3\n"),
    ]
    for order, kind in (("<", b"binary_little_endian"), (">", b"binary_big_endian")):
        faces = b"".join(b"\x03" + np.array(face, order + "i4").tobytes() for face in ([0, 1, 2], [0, 2, 3]))
        body = vertices.astype(order + "f4").tobytes()
        files.append(ply(b"element vertex 4\n" + AXES + FACES, body + faces, kind))
        mixed = b"\x04" + np.arange(4, dtype=order + "i4").tobytes() + faces[:13]
        files.append(ply(b"element vertex 4\n" + AXES + FACES, body + mixed, kind))
    return files


def off_files(_: Path) -> list[bytes]:
    mesh = b"4 2 0\n" + CORNERS + b"3 0 1 2\n3 0 2 3\n"
    notch = b"5 1 0\n0 0 0\n4 0 0\n4 4 0\n2 0.5 0\n0 4 0\n5 0 1 2 3 4\n"
    comb = b"8 1 0\n0 0 0\n6 0 0\n6 4 0\n5 1 0\n4 4 0\n3 1 0\n2 4 0\n0 4 0\n8 0 1 2 3 4 5 6 7\n"
    return [b"OFF\n" + mesh, b"OFF" + mesh, b"OFF\n8 0 0\n" + ROWS, b"OFF\n" + notch, b"OFF\n" + comb]


def text_files(_: Path) -> list[bytes]:
    return [ROWS, b"# made by hand\n" + ROWS, b"//X Y Z\n" + ROWS, b"x,y,z\n" + ROWS.replace(b" ", b",")]


def pts_files(_: Path) -> list[bytes]:
    return [ROWS, b"8\n" + ROWS]


def obj_files(_: Path) -> list[bytes]:
    vertices = b"".join(b"v " + line + b"\n" for line in CORNERS.splitlines())
    return [
        vertices + b"vn 0 0 1\nf 1 2 3\nf 1//1 3//1 4//1\n",
        vertices + b"f 1 2 3 4\nmtllib a.mtl\nusemtl b\n",
        vertices + b"f -4 -3 -2\n" + vertices + b"f -4/1 -2/1 -1/1\n",
    ]


def stl_files(_: Path) -> list[bytes]:
    triangles = np.zeros(2, [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    triangles["corners"] = np.random.default_rng(0).normal(size=(2, 3, 3))
    facet = b"facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 1 1 0\nendloop\nendfacet\n"
    return [bytes(80) + b"\x02\0\0\0" + triangles.tobytes(), b"solid a\n" + facet + b"endsolid a\n"]


def pcd_files(_: Path) -> list[bytes]:
    header = (
        b"VERSION 0.7\nFIELDS x y z i\nSIZE 4 4 4 2\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 8\nHEIGHT 1\nPOINTS 8\nDATA "
    )
    records = np.zeros(8, [("p", "<f4", 3), ("i", "<u2")])
    records["p"] = POINTS
    columns = POINTS.T.tobytes() + bytes(16)
    runs = b"".join(bytes([len(run) - 1]) + run for run in (columns[i : i + 32] for i in range(0, len(columns), 32)))
    sizes = np.array([len(runs), len(columns)], "<u4").tobytes()
    text = ROWS.replace(b"\n", b" 7\n")
    return [
        header + b"ascii\n" + text,
        header + b"binary\n" + records.tobytes(),
        header + b"binary_compressed\n" + sizes + runs,
    ]


def lzf_streams(_: Path) -> list[bytes]:
    return [bytes([31]) + bytes(range(32)) + bytes([0xE0, 200, 0, 64, 1, 64, 7])]


def saved(write: Callable[[io.BytesIO], None]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def npy_files(_: Path) -> list[bytes]:
    arrays = [POINTS, np.asfortranarray(POINTS).astype(">f8"), (POINTS * 99).astype(np.int16)]
    return [saved(lambda file, array=array: np.save(file, array)) for array in arrays]


def npz_files(_: Path) -> list[bytes]:
    return [
        saved(lambda file: np.savez(file, points=POINTS, labels=np.arange(3))),
        saved(lambda file: np.savez_compressed(file, POINTS)),
    ]


def h5_files(folder: Path) -> list[bytes]:
    files = []
    for number, options in enumerate(({}, {"compression": "gzip", "chunks": (4, 3)})):
        with h5py.File(folder / f"{number}.h5", "w") as file:
            file.create_dataset("points", data=POINTS, **options)
            file.create_group("a")["labels"] = np.arange(3)
        files.append((folder / f"{number}.h5").read_bytes())
    return files


def dataset_h5_files(folder: Path) -> list[bytes]:
    with h5py.File(folder / "dataset.h5", "w") as file:
        file.create_dataset("data", data=np.stack([POINTS] * 4), compression="gzip")
        file.create_dataset("label", data=np.arange(4).reshape(4, 1).astype(np.uint8), compression="gzip")
        file.create_dataset("mask", data=np.zeros((4, 8), np.int32))
    return [(folder / "dataset.h5").read_bytes()]


def parquet_files(_: Path) -> list[bytes]:
    table = pa.table({"x": POINTS[:, 0], "label": ["a"] * 8, "y": POINTS[:, 1], "z": POINTS[:, 2]})
    return [
        saved(lambda file: pq.write_table(table, file, compression="none")),
        saved(lambda file: pq.write_table(table, file, compression="snappy", use_dictionary=False)),
    ]


def number_files(_: Path) -> list[bytes]:
    return [ROWS, ROWS.replace(b" ", b"\t")]


def name_lists(_: Path) -> list[bytes]:
    return [b"chair_0001\nchair_0002\n", b"shape_data/02691156/a\nshape_data/02691156/b\n"]


def pickles(_: Path) -> list[bytes]:
    value = {
        "train": [(POINTS, 0, np.int64(3)), [POINTS[::-1], np.array([1])]],
        "b": (b"\xff", "e", None, 1.5, 1 << 70),
    }
    return [pickle.dumps(value, protocol) for protocol in range(6)]


def few_shot_pickles(_: Path) -> list[bytes]:
    counts = {"train": 1, "test": 20}
    items = {split: [(POINTS, label, label) for label in range(2)] * count for split, count in counts.items()}
    return [pickle.dumps(items, protocol) for protocol in (2, 4)]


def cache_pickles(_: Path) -> list[bytes]:
    cloud = np.zeros((8192, 3), np.float16)
    return [pickle.dumps([[cloud], [np.array([label])]], protocol) for protocol in (2, 4) for label in (0, 1)]


def checkpoints(_: Path) -> list[bytes]:
    state = {"base_model": {"module.a.weight": torch.ones(2, 3)}, "epoch": 3, "metrics": {"acc": np.float64(0.5)}}
    return [
        saved(lambda file: torch.save(state, file)),
        saved(lambda file: torch.save(state, file, _use_new_zipfile_serialization=False)),
    ]


def cloud(suffix: str, make_seeds: Callable[[Path], list[bytes]]) -> Target:
    return Target(suffix, make_seeds, lambda path: read_point_cloud(path, 16), no_cloud)


def plain(suffix: str, make_seeds: Callable[[Path], list[bytes]]) -> Target:
    return Target(suffix, make_seeds, lambda path: read_cloud_file(path, 16), no_points)


TARGETS = {
    "read_cloud_file .npy": plain(".npy", npy_files),
    "read_cloud_file .xyz": plain(".xyz", text_files),
    "read_cloud_file .pts": plain(".pts", pts_files),
    "read_cloud_file .off": plain(".off", off_files),
    "read_cloud_file .ply": plain(".ply", ply_files),
    "read_cloud_file .obj": plain(".obj", obj_files),
    "read_cloud_file .stl": plain(".stl", stl_files),
    "read_point_cloud .npy": cloud(".npy", npy_files),
    "read_point_cloud .npz": cloud(".npz", npz_files),
    "read_point_cloud .h5": cloud(".h5", h5_files),
    "read_point_cloud .parquet": cloud(".parquet", parquet_files),
    "read_point_cloud .pcd": cloud(".pcd", pcd_files),
    "read_point_cloud .xyz": cloud(".xyz", text_files),
    "read_point_cloud .pts": cloud(".pts", pts_files),
    "read_point_cloud .ply": cloud(".ply", ply_files),
    "read_point_cloud .off": cloud(".off", off_files),
    "read_point_cloud .obj": cloud(".obj", obj_files),
    "read_point_cloud .stl": cloud(".stl", stl_files),
    "decompress_lzf": Target("", lzf_streams, lambda path: decompress_lzf(path.read_bytes(), 249), nothing_wrong),
    "read_numbers": Target(".txt", number_files, lambda path: read_numbers(path, 3), nothing_wrong),
    "read_names": Target(".txt", name_lists, read_names, nothing_wrong),
    "read_hdf5": Target(".h5", dataset_h5_files, lambda path: read_hdf5(path, COLUMNS), nothing_wrong),
    "read_safe_pickle": Target(".pkl", pickles, lambda path: read_safe_pickle(path, 1 << 20), nothing_wrong),
    "ModelNet40Pickles": Target(
        ".dat",
        cache_pickles,
        lambda path: ModelNet40Pickles({"train": [path]}, [], 40).read(path),
        nothing_wrong,
    ),
    "FewShotPickle": Target(
        ".pkl", few_shot_pickles, lambda path: FewShotPickle({}, [path], 2, 1).class_names(), nothing_wrong
    ),
    "read_point_mae": Target(".pth", checkpoints, read_point_mae, nothing_wrong),
}
"""Every reader of files from outside, by name."""
