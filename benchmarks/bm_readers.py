"""Files to points, compared with trimesh, meshio, pandas and numpy's own parser.

    python -m benchmarks.bm_readers

Each subject is one file: a torus of 10^6 triangles, or 1.9 million points as text. Our readers return points: those of
the file, or `num_points` drawn from the surface. The peers return what they read, and draw nothing; `trimesh, sampled`
draws as many points. Each format that a peer cannot read is left out for it. Files are in the page cache.
Needs meshio, which no extra of the package installs: pip install meshio.
"""

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from jointmae_hf.data import read_point_cloud
from jointmae_hf.model.cloud_files import read_cloud_file
from jointmae_hf.model.mesh_files import MESH_PARSERS

from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    num_triangles: int = 1_000_000
    num_text_points: int = 1_900_000
    num_points: int = 2048
    num_rounds: int = 5


def make_torus(num_triangles: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices `(num_vertices, 3)` and quads `(num_triangles / 2, 4)` of a torus."""
    rows = max(3, round((num_triangles / 4) ** 0.5))
    columns = max(3, num_triangles // 2 // rows)
    row, column = (place.ravel() for place in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    around, along = 2 * np.pi * row / rows, 2 * np.pi * column / columns
    radius = 2 + np.cos(along)
    vertices = np.stack([radius * np.cos(around), radius * np.sin(around), np.sin(along)], axis=1)
    below, beside = (row + 1) % rows, (column + 1) % columns
    corners = [row * columns + column, below * columns + column, below * columns + beside, row * columns + beside]
    return vertices.astype(np.float32), np.stack(corners, axis=1).astype(np.int32)


def split_quads(quads: np.ndarray) -> np.ndarray:
    """Return the triangles `(2 * num_quads, 3)` of quads."""
    return quads[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3)


def write_rows(file: Any, rows: np.ndarray, row_format: str) -> None:
    """Write one line for each row."""
    file.write("".join(row_format % tuple(row) for row in rows.tolist()))


def write_ply(path: Path, vertices: np.ndarray, faces: Sequence[np.ndarray], is_text: bool = False) -> None:
    """Write blocks of faces, each of polygons with equally many corners."""
    kind = "ascii" if is_text else "binary_little_endian"
    header = f"ply\nformat {kind} 1.0\nelement vertex {len(vertices)}\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz")
    header += f"element face {sum(map(len, faces))}\nproperty list uchar int vertex_indices\nend_header\n"
    if is_text:
        with open(path, "w") as file:
            file.write(header)
            write_rows(file, vertices, "%.6f %.6f %.6f\n")
            for block in faces:
                write_rows(file, block, f"{block.shape[1]}" + " %d" * block.shape[1] + "\n")
        return
    with open(path, "wb") as file:
        file.write(header.encode() + vertices.tobytes())
        for block in faces:
            rows = np.empty(len(block), [("size", "u1"), ("corners", "<i4", block.shape[1])])
            rows["size"], rows["corners"] = block.shape[1], block
            file.write(rows.tobytes())


def write_stl(path: Path, corners: np.ndarray) -> None:
    """Write a binary STL file of triangles `(num_triangles, 3, 3)`."""
    rows = np.zeros(len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["corners"] = corners
    path.write_bytes(bytes(80) + len(rows).to_bytes(4, "little") + rows.tobytes())


def write_files(folder: Path, sizes: Sizes) -> Iterator[Path]:
    """Write one file after the other; polygons change their number of corners every few faces in `mixed.ply`."""
    vertices, quads = make_torus(sizes.num_triangles)
    triangles = split_quads(quads)
    write_ply(folder / "binary.ply", vertices, [triangles])
    yield folder / "binary.ply"
    blocks = np.array_split(quads, max(1, len(quads) // 3))
    mixed = [split_quads(block) if place % 2 else block for place, block in enumerate(blocks)]
    write_ply(folder / "mixed.ply", vertices, mixed)
    yield folder / "mixed.ply"
    write_ply(folder / "text.ply", vertices, [triangles], is_text=True)
    yield folder / "text.ply"
    with open(folder / "mesh.off", "w") as file:
        file.write(f"OFF\n{len(vertices)} {len(triangles)} 0\n")
        write_rows(file, vertices, "%.6f %.6f %.6f\n")
        write_rows(file, triangles, "3 %d %d %d\n")
    yield folder / "mesh.off"
    with open(folder / "mesh.obj", "w") as file:
        write_rows(file, vertices, "v %.6f %.6f %.6f\n")
        write_rows(file, triangles + 1, "f %d %d %d\n")
    yield folder / "mesh.obj"
    write_stl(folder / "binary.stl", vertices[triangles])
    yield folder / "binary.stl"
    with open(folder / "points.xyz", "w") as file:
        write_rows(file, np.random.default_rng(0).normal(size=(sizes.num_text_points, 3)), "%.6f %.6f %.6f\n")
    yield folder / "points.xyz"


def peers_of(path: Path, num_points: int) -> dict[str, Callable[[], Any]]:
    """Return the readers of other packages; each gives its own kind of result."""
    import meshio
    import pandas
    import trimesh

    if path.suffix == ".xyz":
        return {
            "pandas, any whitespace": lambda: pandas.read_csv(path, sep=r"\s+", header=None).to_numpy(),
            "pandas, one space": lambda: pandas.read_csv(path, sep=" ", header=None).to_numpy(),
            "`numpy.loadtxt`": lambda: np.loadtxt(path),
        }
    load = partial(trimesh.load, path, process=False)
    return {
        "trimesh": load,
        "trimesh, sampled": lambda: trimesh.sample.sample_surface(load(), num_points, seed=0),
        "meshio": lambda: meshio.read(path),
    }


def can_read(reader: Callable[[], Any]) -> bool:
    """Return whether a reader takes a file; meshio exits where it does not, after printing."""
    with redirect_stdout(io.StringIO()), suppress(Exception, SystemExit):
        reader()
        return True
    return False


def measure_file(path: Path, sizes: Sizes) -> list[Measurement]:
    """Measure our readers and those of the peers that can read a file, in turns."""
    readers: dict[str, Callable[[], Any]] = {
        f"{path.name}, `read_cloud_file`": lambda: read_cloud_file(path, sizes.num_points),
        f"{path.name}, `read_point_cloud`": lambda: read_point_cloud(path, sizes.num_points),
    }
    if path.suffix in MESH_PARSERS:
        readers[f"{path.name}, parser alone"] = lambda: MESH_PARSERS[path.suffix](path.read_bytes())
    for name, reader in peers_of(path, sizes.num_points).items():
        if can_read(reader):
            readers[f"{path.name}, {name}"] = reader
    size = -(-path.stat().st_size // 1000)

    def candidate(reader: Callable[[], Any]) -> int:
        reader()
        return size

    return measure_in_turns(
        {name: partial(candidate, reader) for name, reader in readers.items()}, "kB/s", sizes.num_rounds
    )


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure one format after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return [row for path in write_files(Path(folder), sizes) for row in measure_file(path, sizes)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("readers", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
