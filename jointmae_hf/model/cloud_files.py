# Copyright 2026 The jointmae_hf authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Reading a cloud from a file by numpy alone, for users who have the checkpoint and not the package."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np


PLY_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
"""numpy's name of each number type of the PLY format."""

NPY_START = b"\x93NUMPY"
LARGEST_NPY_HEADER = 10_000
"""Bytes above which numpy takes no header, after reading it."""

MOST_COLUMNS = 1000
"""Numbers a line above which a text is no cloud."""


def open_npy(path: Path) -> np.ndarray:
    """Map a `.npy` file into memory, after checks that numpy does not make; Python objects are never loaded.

    Args:
        path (`pathlib.Path`):
            The file.

    Returns:
        `np.ndarray`: Its array, read-only and still on disk: the size that the header promises is checked before anything
        is allocated.

    Raises:
        ValueError: If the file starts as another format does, or its header is too long. numpy raises other errors.
    """
    with open(path, "rb") as file:
        start = file.read(12)
    if not start.startswith(NPY_START):  # numpy would go by the content in place of the ending
        raise ValueError(f"it starts with {start[:6]!r} instead of {NPY_START!r}")
    header_size = int.from_bytes(start[8:10] if start[6:7] == b"\x01" else start[8:12], "little")
    if header_size > LARGEST_NPY_HEADER:
        raise ValueError(f"its header has {header_size} bytes and not at most {LARGEST_NPY_HEADER}")
    return np.load(path, mmap_mode="r", allow_pickle=False)


def read_cloud_file(path: str | Path, num_points: int) -> np.ndarray:
    """Read a cloud from a `.npy`, `.xyz`, `.txt`, `.pts`, `.off` or `.ply` file.

    Text holds one point a line, x, y and z first, after lines of comment that start with `#` or `//`; `.pts` may begin
    with the number of points. A mesh is sampled uniformly by area, with the seed 0; a file of such a format that holds
    points alone keeps them.

    Args:
        path (`str` or `pathlib.Path`):
            The file.
        num_points (`int`):
            Points to draw from the surface of a mesh. Clouds keep their own number.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: In the units and axes of the file. A `.npy` file is returned as it is.

    Raises:
        ValueError: If the ending is another, or the file cannot be read or is cut short. The message names the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in CLOUD_FILE_SUFFIXES:
        raise ValueError(
            f"`path` must end in one of {', '.join(CLOUD_FILE_SUFFIXES)}, got {path.name}. For other formats install "
            "jointmae_hf and pass `reader=jointmae_hf.data.read_point_cloud`."
        )
    if path.exists() and not path.is_file():
        raise ValueError(f"`{path}` must be a regular file, got a folder or a device.")  # a pipe never ends
    try:
        if suffix == ".npy":
            return np.array(open_npy(path))
        if suffix in (".off", ".ply"):
            vertices, polygons = (_read_off if suffix == ".off" else _read_ply)(path.read_bytes())
            return _sample_surface(vertices, polygons, num_points) if polygons else vertices
        return _read_text(path.read_text(encoding="utf-8-sig"), may_start_with_count=suffix == ".pts")
    except Exception as error:  # Parsers stumble over a broken file with whatever error comes first.
        reason = str(error) if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"
        raise ValueError(f"`{path}` must be a complete {suffix} file of a cloud, got: {reason}") from error


CLOUD_FILE_SUFFIXES = (".npy", ".off", ".ply", ".pts", ".txt", ".xyz")
"""Endings of the files that `read_cloud_file` understands, in lower case."""


def _read_text(text: str, may_start_with_count: bool) -> np.ndarray:
    """Points of a text with one point a line."""
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith(("#", "//"))]
    count = None
    if may_start_with_count and lines and lines[0].isdecimal():
        count, lines = int(lines[0]), lines[1:]
    if not lines:
        raise ValueError("it holds no point")
    if count is not None and count != len(lines):
        raise ValueError(f"it has {len(lines)} points and not the {count} of its first line")
    delimiter = "," if "," in lines[0] else None
    num_columns = len(lines[0].split(delimiter))
    if not 3 <= num_columns <= MOST_COLUMNS:
        raise ValueError(f"it has {num_columns} numbers a line and not 3 to {MOST_COLUMNS}")
    return np.loadtxt(lines, delimiter=delimiter, comments=None, ndmin=2)[:, :3].copy()


def _read_off(content: bytes) -> tuple[np.ndarray, list[list[int]]]:
    """Vertices and polygons of an OFF file; the counts may stand behind the word OFF, as in ModelNet's files."""
    lines = [line.split(b"#")[0].strip() for line in content.splitlines()]
    lines = [line for line in lines if line]
    if not lines or not lines[0].startswith((b"OFF", b"COFF", b"NOFF")):
        raise ValueError("it does not start with OFF")
    rest = lines[0].partition(b"OFF")[2].strip()
    rows = [rest, *lines[1:]] if rest else lines[1:]
    num_vertices, num_faces = (int(count) for count in rows[0].split()[:2])
    if min(num_vertices, num_faces) < 0 or len(rows) < 1 + num_vertices + num_faces:
        raise ValueError(f"it has {len(rows) - 1} rows and not {num_vertices} vertices and {num_faces} faces")
    vertices = np.array([row.split()[:3] for row in rows[1 : 1 + num_vertices]], dtype=np.float64)
    faces = [[int(field) for field in row.split()] for row in rows[1 + num_vertices : 1 + num_vertices + num_faces]]
    return vertices.reshape(-1, 3), [_polygon(face) for face in faces]


def _polygon(numbers: Sequence[int]) -> list[int]:
    """Corners of a face from its row: their number, the corners, then maybe colours."""
    if len(numbers) < 1 + numbers[0]:
        raise ValueError(f"a face of {numbers[0]} corners names {len(numbers) - 1}")
    return list(numbers[1 : 1 + numbers[0]])


def _read_ply(content: bytes) -> tuple[np.ndarray, list[list[int]]]:
    """Vertices and polygons of a PLY file, text or binary of either byte order."""
    header, end, body = content.partition(b"end_header")
    if not content.startswith(b"ply") or not end:
        raise ValueError("it has no header from ply to end_header")
    body = body[body.index(b"\n") + 1 :]
    file_format, elements = _read_ply_header(header)
    if file_format == "ascii":
        source: _PlyText | _PlyBinary = _PlyText(body)
    else:
        source = _PlyBinary(body, ">" if file_format == "binary_big_endian" else "<")
    vertices, polygons = None, []
    for name, count, properties in elements:
        columns, types = [column for column, *_ in properties], [kinds for _, *kinds in properties]
        if name == "vertex":
            rows = source.read_table(count, [kind for (kind,) in types])
            vertices = rows[:, [columns.index(axis) for axis in "xyz"]]
        else:
            corners = [place for place, column in enumerate(columns) if column.startswith("vertex_ind")]
            lists = source.read_column(count, types, corners[0] if corners else 0)
            if name == "face" and corners:
                polygons = [[int(corner) for corner in row] for row in lists]
    if vertices is None:
        raise ValueError("it has no element called vertex")
    return vertices, polygons


def _read_ply_header(header: bytes) -> tuple[str, list[tuple[str, int, list[list[str]]]]]:
    """Format, and for each element its name, its number of rows and its properties: a name, then one type or two."""
    file_format = "ascii"
    elements: list[tuple[str, int, list[list[str]]]] = []
    for fields in (line.split() for line in header.decode("ascii", errors="replace").splitlines()):
        if fields[:1] == ["format"]:
            file_format = fields[1]
        elif fields[:1] == ["element"]:
            elements.append((fields[1], int(fields[2]), []))
        elif fields[:2] == ["property", "list"]:
            elements[-1][2].append([fields[4], PLY_TYPES[fields[2]], PLY_TYPES[fields[3]]])
        elif fields[:1] == ["property"]:
            elements[-1][2].append([fields[2], PLY_TYPES[fields[1]]])
    for name, count, properties in elements:
        # Rows without a column take no place in the file: it could promise any number of them.
        if count < 0 or not properties:
            raise ValueError(f"its element {name} has {count} rows of {len(properties)} columns")
    return file_format, elements


def _list_length(number: float) -> int:
    """Length of a list in a row, which the file may give as any kind of number."""
    if not 0 <= number < np.inf or number != int(number):
        raise ValueError(f"a list of it has {number} entries")
    return int(number)


class _PlyText:
    """Body of a PLY file as text: one row a line."""

    def __init__(self, body: bytes):
        self.rows = [line.split() for line in body.splitlines() if line.strip()]

    def _take(self, count: int) -> list[list[bytes]]:
        if len(self.rows) < count:
            raise ValueError(f"it has {len(self.rows)} rows where {count} should follow")
        taken, self.rows = self.rows[:count], self.rows[count:]
        return taken

    def read_table(self, count: int, types: list[str]) -> np.ndarray:
        """Rows without lists, `(count, num_columns)`."""
        return np.array(self._take(count), dtype=np.float64).reshape(count, len(types))

    def read_column(self, count: int, types: list[list[str]], column: int) -> list[list[float]]:
        """Rows with lists: for each row the values in one column."""
        return [self._values([float(field) for field in fields], types, column) for fields in self._take(count)]

    @staticmethod
    def _values(numbers: list[float], types: list[list[str]], column: int) -> list[float]:
        """Values in one column of a row; a list stands behind its length."""
        start, values = 0, []
        for place, kinds in enumerate(types):
            is_list = len(kinds) == 2
            length = _list_length(numbers[start]) if is_list else 1
            start += is_list
            if len(numbers) < start + length:
                raise ValueError("a row of it is cut short")
            if place == column:
                values = numbers[start : start + length]
            start += length
        return values


class _PlyBinary:
    """Body of a binary PLY file: numbers without anything between them."""

    def __init__(self, body: bytes, byte_order: str):
        self.body = body
        self.byte_order = byte_order
        self.position = 0

    def _take(self, count: int, dtype: np.dtype) -> np.ndarray:
        if self.position + count * dtype.itemsize > len(self.body):
            raise ValueError(f"it ends {self.position + count * dtype.itemsize - len(self.body)} bytes too early")
        taken = np.frombuffer(self.body, dtype, count, self.position)
        self.position += count * dtype.itemsize
        return taken

    def read_table(self, count: int, types: list[str]) -> np.ndarray:
        """Rows without lists, `(count, num_columns)`."""
        rows = self._take(count, np.dtype([(str(place), self.byte_order + kind) for place, kind in enumerate(types)]))
        return np.stack([rows[str(place)].astype(np.float64) for place in range(len(types))], axis=1)

    def read_column(self, count: int, types: list[list[str]], column: int) -> list[list[float]]:
        """Rows with lists: for each row the values in one column."""
        dtypes = [[np.dtype(self.byte_order + kind) for kind in kinds] for kinds in types]
        smallest = sum(kinds[0].itemsize for kinds in dtypes)  # with empty lists
        if self.position + count * smallest > len(self.body):
            raise ValueError(f"it has {len(self.body) - self.position} bytes for {count} rows of {smallest} or more")
        rows = []
        for _ in range(count):
            for place, kinds in enumerate(dtypes):
                length = _list_length(self._take(1, kinds[0])[0]) if len(kinds) == 2 else 1
                values = self._take(length, kinds[-1])
                if place == column:
                    rows.append(values.tolist())
        return rows


def _sample_surface(vertices: np.ndarray, polygons: list[list[int]], num_points: int) -> np.ndarray:
    """Points drawn uniformly by area from polygons that are cut into triangles around their first corner."""
    fans = [(face[0], *pair) for face in polygons for pair in pairwise(face[1:])]
    corners = np.array(fans, dtype=np.int64).reshape(-1, 3)
    if len(corners) == 0 or corners.min() < 0 or corners.max() >= len(vertices):
        raise ValueError(f"its faces name other vertices than its {len(vertices)}, or none")
    first, second, third = (vertices[corners[:, place]] for place in range(3))
    if not np.isfinite(first + second + third).all():
        raise ValueError("a corner of its faces is NaN or infinite")
    extent = np.abs(vertices).max() or 1.0  # squares of areas neither vanish nor overflow in units of the mesh
    areas = np.linalg.norm(np.cross((second - first) / extent, (third - first) / extent), axis=1)
    if areas.sum() == 0:
        raise ValueError(f"its {len(corners)} triangles have no area")
    generator = np.random.default_rng(0)
    chosen = generator.choice(len(corners), size=num_points, p=areas / areas.sum())
    weights = generator.random((num_points, 2, 1))
    weights = np.where(weights.sum(axis=1, keepdims=True) > 1, 1 - weights, weights)  # the other half of the square
    first, second, third = first[chosen], second[chosen], third[chosen]
    return first + weights[:, 0] * (second - first) + weights[:, 1] * (third - first)
