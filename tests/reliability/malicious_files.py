"""Files made to harm those who read them: code, links to other files, promises of terabytes, bombs."""

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import torch


SECRET = 12345.678
"""A coordinate in a file that no other file may lead to."""
TERA = 10**12
ZEROS = np.zeros((6_000_000, 3), np.float32)
"""69 MiB that compress to almost nothing."""


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.target),)


def npy_header(shape: str, descr: str = "'<f4'") -> bytes:
    """A `.npy` file of 24 bytes that says another shape."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(24)


def npz_with(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def array_files(folder: Path, target: Path) -> dict[str, bytes]:
    np.savez_compressed(folder / "bomb.npz", points=ZEROS)
    objects = io.BytesIO()
    np.save(objects, np.array([[Code(target)] * 3], dtype=object), allow_pickle=True)
    return {
        "terabytes.npy": npy_header(f"({TERA}, 3)"),
        "overflow.npy": npy_header(f"({1 << 62}, 3)"),
        "objects.npy": objects.getvalue(),
        "code.npy": pickle.dumps(Code(target)),
        "nested_header.npy": npy_header("(" * 100 + "3" + ",)" * 100),
        "objects.npz": npz_with("points.npy", objects.getvalue()),
        "code.npz": pickle.dumps(Code(target)),
        "terabytes.npz": npz_with("points.npy", npy_header(f"({1 << 40}, 3)")),
        "traversal.npz": npz_with("../../escaped.npy", b"\x93NUMPY"),
    }


def hdf5_files(folder: Path, secret: Path) -> dict[str, bytes]:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(secret.with_suffix(".h5"), "points", (4, 3))
    with h5py.File(folder / "external_link.h5", "w") as file:
        file["points"] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "points")
    with h5py.File(folder / "soft_link.h5", "w") as file:
        file["points"] = h5py.SoftLink("/nowhere")
    with h5py.File(folder / "external_values.h5", "w") as file:
        file.create_dataset("points", (4, 3), "f4", external=[(str(secret.with_suffix(".bin")), 0, 48)])
    with h5py.File(folder / "virtual.h5", "w") as file:
        file.create_virtual_dataset("points", layout)
    with h5py.File(folder / "terabytes.h5", "w") as file:
        file.create_dataset("points", (1 << 40, 3), "f4", chunks=(1000, 3))[:1000] = 1
    with h5py.File(folder / "wide_chunk.h5", "w") as file:
        file.create_dataset(
            "points", (10, 3), "f4", chunks=(len(ZEROS), 3), maxshape=(None, 3), compression="gzip", data=ZEROS[:10]
        )
    with h5py.File(folder / "bomb.h5", "w") as file:
        file.create_dataset("points", data=ZEROS, chunks=(1 << 20, 3), compression="gzip")
    return {}


def table_files(folder: Path) -> dict[str, bytes]:
    columns = {name: pa.array(np.zeros(3_000_000, np.float32)) for name in "xyz"}
    pq.write_table(pa.table(columns), folder / "bomb.parquet")
    texts, lists, dates = pa.array(["1"]), pa.array([[1.0]]), pa.array([0], pa.date32())
    dictionary, bits = pa.array(["1"]).dictionary_encode(), pa.array([True])
    wrong = {"texts": texts, "lists": lists, "dates": dates, "dictionary": dictionary, "booleans": bits}
    for name, column in wrong.items():
        pq.write_table(pa.table(dict.fromkeys("xyz", column)), folder / f"{name}.parquet")
    feather.write_feather(pa.table({name: [1.0] for name in "xyz"}), str(folder / "arrow.parquet"))
    return {}


def mesh_files() -> dict[str, bytes]:
    axes = b"property float x\nproperty float y\nproperty float z\n"
    faces = b"element face %d\nproperty list uchar int vertex_indices\nend_header\n"
    header = b"ply\nformat %s 1.0\nelement vertex %d\n" + axes + faces
    corners = b"0 0 0\n1 0 0\n0 1 0\n"
    points = np.eye(3, dtype="<f4").tobytes()
    little = b"binary_little_endian"
    return {
        "vertices.ply": header % (b"ascii", TERA, 1) + corners + b"3 0 1 2\n",
        "faces.ply": header % (b"ascii", 3, TERA) + corners + b"3 0 1 2\n",
        "binary_vertices.ply": header % (little, TERA, 1) + points,
        "binary_faces.ply": header % (little, 3, TERA) + points + b"\x03" + bytes(12),
        "long_list.ply": header.replace(b"uchar", b"int") % (little, 3, 1) + points + b"\xff\xff\xff\x7f" + bytes(12),
        "no_column.ply": b"ply\nformat " + little + b" 1.0\nelement nothing %d\nend_header\n" % TERA,
        "vertices.off": b"OFF\n%d 1 0\n" % TERA + corners + b"3 0 1 2\n",
        "corners.off": b"OFF\n3 1 0\n" + corners + b"%d 0 1 2\n" % TERA,
        "index.off": b"OFF\n3 1 0\n" + corners + b"3 0 1 %d\n" % TERA,
        "index.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 %d\n" % TERA,
        "faces.obj": b"v 0 0 0\n" * 3 + b"f 1 2 -%d\n" % TERA,
        "triangles.stl": bytes(80) + b"\xff\xff\xff\xff" + bytes(50),
    }


def pcd_files() -> dict[str, bytes]:
    header = b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nPOINTS %d\nDATA "
    most = (1 << 32) - 4
    return {
        "points.pcd": header % TERA + b"ascii\n0 0 0\n",
        "binary.pcd": header % TERA + b"binary\n" + bytes(12),
        "compressed.pcd": header % (most // 12) + b"binary_compressed\n\x05\0\0\0\xfc\xff\xff\xff" + b"\0\0\xe0\xff\0",
        "count.pcd": (header % 1).replace(b"COUNT 1 1 1", b"COUNT %d 1 1" % TERA) + b"ascii\n0 0 0\n",
    }


def text_files() -> dict[str, bytes]:
    line = b"1 " * 1_000_000 + b"\n"
    return {
        "columns.xyz": line,
        "columns.txt": line.replace(b" ", b","),
        "columns.pts": b"1\n" + line,
        "count.pts": b"9" * 100_000 + b"\n1 2 3\n",
        "zeros.xyz": bytes(5_000_000),
    }


def archives(folder: Path) -> dict[str, bytes]:
    """Archives that lead out of their folder, and one that is a bomb."""
    for name in ("archive.tar", "archive.tgz"):
        with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as archive:
            for path in ("../escaped.npy", "/tmp/escaped.npy", "a/../../escaped.npy"):
                archive.addfile(tarfile.TarInfo(path), io.BytesIO())
            link = tarfile.TarInfo("link.npy")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    with zipfile.ZipFile(folder / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../escaped.npy", b"")
        archive.writestr("bomb.npy", ZEROS.tobytes())
    return {}


def checkpoints(folder: Path, target: Path) -> dict[str, bytes]:
    torch.save({"base_model": {"a": Code(target)}}, folder / "code.pth")
    torch.save({"base_model": {"a": torch.from_numpy(ZEROS)}}, folder / "whole.pth")
    with (
        zipfile.ZipFile(folder / "whole.pth") as whole,
        zipfile.ZipFile(folder / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in whole.namelist():
            bomb.writestr(member, whole.read(member))
    (folder / "whole.pth").unlink()
    return {"pickle.pth": pickle.dumps(Code(target)), "length.pth": b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little")}


def pickles(target: Path) -> dict[str, bytes]:
    def frame(length: int) -> bytes:
        return b"\x95" + length.to_bytes(8, "little")

    hidden = b"cos\nsystem\n(Vmkdir %b\ntR" % str(target).encode()
    return {
        "code.pkl": pickle.dumps([np.zeros((4, 3)), Code(target)]),
        "length.pkl": b"\x80\x04\x8e" + (1 << 40).to_bytes(8, "little") + b"abc.",
        "bytearray.pkl": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"abc.",
        "hidden.pkl": b"\x80\x04"
        + frame(14)
        + frame(len(hidden))
        + b"B"
        + len(hidden).to_bytes(4, "little")
        + hidden
        + b".",
    }


def write_malicious_files(folder: Path, target: Path) -> list[Path]:
    """Write all files; those with code in them create `target` where they are run."""
    secret = folder.parent / "secret"
    points = np.full((4, 3), SECRET, np.float32)
    secret.with_suffix(".bin").write_bytes(points.tobytes())
    with h5py.File(secret.with_suffix(".h5"), "w") as file:
        file["points"] = points
    files = array_files(folder, target) | hdf5_files(folder, secret) | table_files(folder) | mesh_files() | pcd_files()
    files |= text_files() | archives(folder) | checkpoints(folder, target) | pickles(target)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "pipe.xyz")
    (folder / "device.xyz").symlink_to("/dev/zero")
    (folder / "folder.npy").mkdir()
    return sorted(folder.iterdir())
