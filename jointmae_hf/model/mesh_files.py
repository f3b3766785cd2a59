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
"""Parse `.off`, `.ply`, `.obj` and `.stl` files with numpy alone."""

import io
import re
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np


PLY_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
"""numpy's name of each number type of the PLY format."""

_PLY_BYTE_ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
_BYTE_ORDERS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}
_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_NO_INDICES = np.empty(0, dtype=np.int64)


class Mesh(NamedTuple):
    """Vertices and polygons of a file; one without polygons holds points alone.

    Args:
        vertices (`np.ndarray` of shape `(num_vertices, 3)`):
            float64 coordinates, in the units and axes of the file.
        corners (`np.ndarray` of shape `(num_corners,)`):
            Indices of vertices, the polygons one after the other.
        sizes (`np.ndarray` of shape `(num_polygons,)`):
            Number of corners of each polygon.
    """

    vertices: np.ndarray
    corners: np.ndarray
    sizes: np.ndarray


class _Property(NamedTuple):
    """A column of a PLY element: its name, its type, and the type of the lengths if it holds lists."""

    name: str
    kind: str
    length_kind: str | None


class _Element(NamedTuple):
    """An element of a PLY file."""

    name: str
    num_rows: int
    properties: list[_Property]

    def find_corners(self) -> int | None:
        """Return the place of the column that holds the corners of faces."""
        places = [
            place
            for place, column in enumerate(self.properties)
            if column.name.startswith("vertex_ind") and column.length_kind
        ]
        return places[0] if places and self.name == "face" else None


class _Table(NamedTuple):
    """Numbers of some lines of text, one line after the other, and where each line starts."""

    numbers: np.ndarray
    starts: np.ndarray
    widths: np.ndarray


def _build_mesh(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray, first_index: int = 0) -> Mesh:
    """Return what was parsed, after checking that all corners are vertices; files count from `first_index`."""
    is_vertex = (corners >= 0) & (corners < len(vertices))
    if corners.dtype.kind == "f":
        is_vertex &= corners == np.floor(corners)
    if not is_vertex.all():
        wrong = corners[is_vertex.argmin()] + first_index
        raise ValueError(f"its faces name vertex {wrong:g} and it has {len(vertices)}, counted from {first_index}")
    return Mesh(vertices, corners.astype(np.int64), sizes)


class _TextRows:
    """Lines of numbers, taken from a text one after the other; blank lines do not count."""

    def __init__(self, text: bytes):
        text = text.strip()
        if re.search(rb"\n\s*\n", text):
            text = b"\n".join(line for line in text.split(b"\n") if line.strip())
        self.num_rows = text.count(b"\n") + bool(text)
        self.num_taken = 0
        self.stream = io.BytesIO(text)

    def require(self, num_rows: int, rule: str = "") -> None:
        """Raise unless that many lines are left, before memory is reserved for them."""
        if self.num_taken + num_rows > self.num_rows:
            raise ValueError(
                f"it has {self.num_rows} rows and not the {self.num_taken + num_rows}{rule} that its header says"
            )

    def take(self, num_rows: int) -> _Table:
        """Parse the next lines, which may differ in length; `require` comes first."""
        if num_rows == 0:
            return _Table(np.empty(0), _NO_INDICES, _NO_INDICES)
        self.num_taken += num_rows
        start = self.stream.tell()
        try:
            rows = np.loadtxt(islice(self.stream, num_rows), comments=None, ndmin=2)
            numbers, widths = rows.ravel(), np.full(num_rows, rows.shape[1])
        except ValueError:  # lines of several lengths, or no numbers, which float names
            self.stream.seek(start)
            numbers, widths = self._take_unequal(num_rows)
        return _Table(numbers, np.cumsum(widths) - widths, widths)

    def _take_unequal(self, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Parse the next lines of several lengths; return their numbers, and how many each has."""
        numbers, widths = array("d"), array("q")
        for line in islice(self.stream, num_rows):
            fields = line.decode("latin-1").split()
            numbers.extend(map(float, fields))
            widths.append(len(fields))
        return np.frombuffer(numbers), np.frombuffer(widths, dtype=np.int64)

    def skip(self, num_rows: int) -> None:
        """Skip the next lines."""
        self.num_taken += num_rows
        deque(islice(self.stream, num_rows), maxlen=0)


def _unify_lines(content: bytes, comments: bool = False) -> bytes:
    """Return a text whose lines end in a line feed; `comments` cuts off what follows a `#`."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return re.sub(b"#[^\n]*", b"", content) if comments and b"#" in content else content


class _Words:
    """Lines of a text that start with a word, found for all lines at once."""

    def __init__(self, text: bytes):
        self.characters = np.frombuffer(
            bytearray(text + b"\n" * 9), dtype=np.uint8
        )  # so that a word may end behind it
        breaks = np.flatnonzero(self.characters[: len(text) + 1] == ord("\n"))
        self.ends = breaks + 1
        self.starts = np.concatenate([[0], self.ends[:-1]])
        self.words = self.starts.copy()
        indented = np.arange(len(self.words))
        while len(indented):
            first = self.characters[self.words[indented]]
            indented = indented[(first == ord(" ")) | (first == ord("\t"))]
            self.words[indented] += 1

    def find(self, word: bytes) -> np.ndarray:
        """Return which lines start with a word."""
        is_found = self.characters[self.words + len(word)] <= ord(" ")
        for place, character in enumerate(word):
            is_found &= self.characters[self.words + place] == character
        return is_found

    def take(self, word: bytes, are_taken: np.ndarray) -> bytes:
        """Return the lines that start with a word, without it."""
        places = self.words[are_taken, None] + np.arange(len(word))
        self.characters[places] = ord(" ")
        return self.characters[: self.ends[-1]][np.repeat(are_taken, self.ends - self.starts)].tobytes()


def _take_columns(table: _Table, columns: Sequence[int]) -> np.ndarray:
    """Return some columns `(num_vertices, num_columns)` of numbers; further numbers of a line are ignored."""
    _check_rows("vertex", table.widths > max(columns), table.widths)
    return table.numbers[table.starts[:, None] + np.array(columns)]


def _take_lists(table: _Table, are_lists: Sequence[bool], column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of one column of lists, row by row, and the lengths, which stand in front of the lists."""
    position, ends = table.starts, table.starts + table.widths
    values, lengths = _NO_INDICES, _NO_INDICES
    for place, is_list in enumerate(are_lists):
        _check_rows("face", position < ends, table.widths)
        length: np.ndarray | int = 1
        if is_list:
            given = table.numbers[position]
            is_length = (given >= 0) & (given <= table.widths) & (given == np.floor(given))
            _check_rows("face", is_length, table.widths, given)
            length = given.astype(np.int64)
            position = position + 1
        if place == column:
            values, lengths = position, np.broadcast_to(length, len(position))
        position = position + length
    _check_rows("face", position <= ends, table.widths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return table.numbers[np.repeat(values, lengths) + within], lengths


def _check_rows(name: str, are_whole: np.ndarray, widths: np.ndarray, lengths: np.ndarray | None = None) -> None:
    """Raise for the first row that is not whole."""
    if not are_whole.all():
        row = int(are_whole.argmin())
        content = "" if lengths is None else f" for a list of {lengths[row]:g}"
        raise ValueError(f"{name} {row} is cut short: it has {widths[row]} numbers{content}")


def _parse_ply_header(header: str) -> tuple[str | None, list[_Element]]:
    """Return the byte order of a PLY file, `None` for text, and its elements."""
    file_format = None
    elements: list[_Element] = []
    for fields in map(str.split, header.split("\n")):
        if fields[:1] == ["format"]:
            file_format = fields[1]
        elif fields[:1] == ["element"]:
            elements.append(_Element(fields[1], int(fields[2]), []))
        elif fields[:2] == ["property", "list"]:
            elements[-1].properties.append(_Property(fields[4], PLY_TYPES[fields[3]], PLY_TYPES[fields[2]]))
        elif fields[:1] == ["property"]:
            elements[-1].properties.append(_Property(fields[2], PLY_TYPES[fields[1]], None))
    if file_format not in _PLY_BYTE_ORDERS:
        raise ValueError(f"its format is {file_format} and not one of {', '.join(_PLY_BYTE_ORDERS)}")
    for element in elements:
        _check_element(element)
    return _PLY_BYTE_ORDERS[file_format], elements


def _check_element(element: _Element) -> None:
    """Raise for an element that can be no part of a file, or that holds a surface in a way that is not read."""
    name, num_rows, properties = element
    # Rows without a column take no place in the file: it could promise any number of them.
    if num_rows < 0 or not properties:
        raise ValueError(f"its element {name} has {num_rows} rows of {len(properties)} columns")
    if any((column.length_kind or "i4")[0] == "f" for column in properties):
        raise ValueError(f"its element {name} gives the length of a list as a float")
    if num_rows and (name == "tristrips" or (name == "face" and element.find_corners() is None)):
        names = ", ".join(column.name for column in properties)
        raise ValueError(
            f"none of its faces can be read: its element {name} holds {names} and no lists vertex_indices"
        )


def _find_axes(element: _Element) -> list[int]:
    """Return the places of the columns x, y and z of vertices."""
    names = [column.name for column in element.properties]
    if any(names.count(axis) != 1 for axis in "xyz") or any(column.length_kind for column in element.properties):
        raise ValueError(f"its vertices have {', '.join(names)} and not one number each for x, y and z")
    return [names.index(axis) for axis in "xyz"]


class _PlyText:
    """Body of a PLY file as text: one row a line."""

    def __init__(self, body: bytes):
        self.rows = _TextRows(_unify_lines(body))

    def skip(self, element: _Element) -> None:
        """Skip the rows of an element."""
        self.rows.require(element.num_rows, " or more")
        self.rows.skip(element.num_rows)

    def read_columns(self, element: _Element, columns: list[int]) -> np.ndarray:
        """Return some columns `(num_rows, num_columns)` of an element without lists."""
        self.rows.require(element.num_rows, " or more")
        table = self.rows.take(element.num_rows)
        _check_rows("vertex", table.widths >= len(element.properties), table.widths)
        return _take_columns(table, columns)

    def read_lists(self, element: _Element) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of the faces, one face after the other, and how many each has."""
        are_lists = [column.length_kind is not None for column in element.properties]
        self.rows.require(element.num_rows, " or more")
        return _take_lists(self.rows.take(element.num_rows), are_lists, element.find_corners() or 0)


class _PlyBinary:
    """Body of a binary PLY file: numbers without anything between them."""

    def __init__(self, body: bytes, byte_order: str):
        self.body = body
        self.byte_order = byte_order
        self.position = 0

    def skip(self, element: _Element) -> None:
        """Skip the rows of an element."""
        self.read_lists(element)

    def read_columns(self, element: _Element, columns: list[int]) -> np.ndarray:
        """Return some columns `(num_rows, num_columns)` of an element without lists."""
        rows = self._take(element, [1] * len(element.properties))
        return np.stack([rows[f"{place}"].astype(np.float64) for place in columns], axis=1)

    def read_lists(self, element: _Element) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of the faces, one face after the other, and how many each has."""
        column = element.find_corners() or 0
        smallest = self._row_type(element, [0 if column.length_kind else 1 for column in element.properties]).itemsize
        num_left = len(self.body) - self.position
        if element.num_rows * smallest > num_left:
            raise ValueError(f"it has {num_left} bytes for {element.num_rows} rows of {smallest} or more")
        if element.num_rows == 0:
            return _NO_INDICES, _NO_INDICES
        rows = self._take_equal_rows(element)
        if rows is not None:
            corners = rows[f"{column}"].reshape(element.num_rows, -1)
            return corners.ravel(), np.full(element.num_rows, corners.shape[1])
        kind = np.dtype(self.byte_order + element.properties[column].kind)
        spans = [self._walk_row(element)[column] for _ in range(element.num_rows)]
        values = b"".join(self.body[start : start + length * kind.itemsize] for start, length in spans)
        return np.frombuffer(values, kind), np.array([length for _, length in spans], dtype=np.int64)

    def _take_equal_rows(self, element: _Element) -> np.ndarray | None:
        """Take all rows of an element at once, if its lists have one length, as in a mesh of triangles alone."""
        start = self.position
        lengths = [length for _, length in self._walk_row(element)]
        self.position = start
        if start + element.num_rows * self._row_type(element, lengths).itemsize > len(self.body):
            return None
        rows = self._take(element, lengths)
        places = [place for place, column in enumerate(element.properties) if column.length_kind]
        if all((rows[f"length {place}"] == lengths[place]).all() for place in places):
            return rows
        self.position = start
        return None

    def _walk_row(self, element: _Element) -> list[tuple[int, int]]:
        """Skip one row, and return where each of its columns starts and how many values it has."""
        spans = []
        for _, kind, length_kind in element.properties:
            length = 1
            if length_kind:
                field = self.body[self.position : self.position + int(length_kind[1])]
                length = int.from_bytes(field, _BYTE_ORDERS[self.byte_order], signed=length_kind[0] == "i")
                self.position += int(length_kind[1])
            spans.append((self.position, length))
            self.position += length * int(kind[1])
            if length < 0:
                raise ValueError(f"a list of it has {length} entries")
            if self.position > len(self.body):
                raise ValueError(f"it ends {self.position - len(self.body)} bytes too early")
        return spans

    def _row_type(self, element: _Element, lengths: list[int]) -> np.dtype:
        """Return the type of a row whose columns have these numbers of values."""
        fields: list[tuple[str, str, tuple[int, ...]]] = []
        for place, (column, length) in enumerate(zip(element.properties, lengths, strict=True)):
            if column.length_kind:
                fields.append((f"length {place}", self.byte_order + column.length_kind, ()))
            fields.append((f"{place}", self.byte_order + column.kind, (length,) if column.length_kind else ()))
        return np.dtype(fields)

    def _take(self, element: _Element, lengths: list[int]) -> np.ndarray:
        """Take all rows of an element whose columns have these numbers of values."""
        dtype = self._row_type(element, lengths)
        end = self.position + element.num_rows * dtype.itemsize
        if end > len(self.body):
            raise ValueError(f"it ends {end - len(self.body)} bytes too early")
        rows = np.frombuffer(self.body, dtype, element.num_rows, self.position)
        self.position = end
        return rows


def parse_off(content: bytes) -> Mesh:
    """Parse an OFF file; the counts may stand after the word OFF, as in files of ModelNet.

    Args:
        content (`bytes`):
            The file.

    Returns:
        `Mesh`: Its mesh. Normals, colors and texture coordinates are ignored.

    Raises:
        ValueError: If it is not an OFF file, or is cut short.
    """
    text = _unify_lines(content, comments=True).strip()
    header = re.match(rb"(ST)?(C?N?|NC)OFF(?=[\s\d]|\Z)", text)
    if header is None:
        raise ValueError(f"it starts with {content[:20]!r} instead of OFF")
    counts = re.compile(rb"\s*(\d+)[ \t]+(\d+)(?=\s|\Z)[^\n]*").match(text, header.end())
    if counts is None:
        start = " ".join(text.decode("latin-1").split("\n")[:2])
        raise ValueError(f"its header has no two counts: {start[:60]!r}")
    num_vertices, num_faces = map(int, counts.groups())
    rows = _TextRows(text[counts.end() :])
    rows.require(num_vertices + num_faces)
    vertices = _take_columns(rows.take(num_vertices), range(3))
    return _build_mesh(vertices, *_take_lists(rows.take(num_faces), [True], 0))


def parse_ply(content: bytes) -> Mesh:
    """Parse a PLY file, text or binary of either byte order.

    Args:
        content (`bytes`):
            The file.

    Returns:
        `Mesh`: Its mesh.

    Raises:
        ValueError: If it is not a PLY file, is cut short, or holds triangle strips or faces under an unknown name.
    """
    end = re.search(rb"^end_header[ \t]*(\r?\n|\Z)", content, flags=re.MULTILINE)
    if not content.startswith(b"ply") or end is None:
        raise ValueError(f"it starts with {content[:20]!r} instead of a header from ply to end_header")
    byte_order, elements = _parse_ply_header(content[: end.start()].decode("latin-1"))
    body = content[end.end() :]
    source = _PlyText(body) if byte_order is None else _PlyBinary(body, byte_order)
    vertices, faces = None, (_NO_INDICES, _NO_INDICES)
    for element in elements:
        if element.name == "vertex":
            vertices = source.read_columns(element, _find_axes(element))
        elif element.find_corners() is not None:
            faces = source.read_lists(element)
        else:
            source.skip(element)
    if vertices is None:
        raise ValueError("it has no element called vertex")
    return _build_mesh(vertices, *faces)


def parse_obj(content: bytes) -> Mesh:
    """Parse the vertices and faces of a Wavefront OBJ file, all objects and materials together.

    Args:
        content (`bytes`):
            The file.

    Returns:
        `Mesh`: Its mesh. Negative indices count back from the line that they stand in.

    Raises:
        ValueError: If vertices have different numbers of coordinates, or a face names a vertex that is not there.
    """
    lines = _Words(_unify_lines(content, comments=True).replace(b"\\\n", b" "))
    are_vertices, are_faces = lines.find(b"v"), lines.find(b"f")
    table = _parse_lines(lines.take(b"v", are_vertices), are_vertices, "v")
    widths = np.unique(table.widths).tolist()
    if len(widths) > 1 or min(widths, default=3) < 3:
        raise ValueError(f"its vertices have {widths} numbers and not the same, at least three")
    faces = lines.take(b"f", are_faces)
    corners, _, sizes = _parse_lines(_cut_slashes(faces) if b"/" in faces else faces, are_faces, "f")
    if (corners == 0).any():
        raise ValueError("its faces name vertex 0; the first vertex of this format is 1")
    if (corners < 0).any():
        num_above = np.cumsum(are_vertices)[are_faces]
        corners = np.where(corners < 0, corners + np.repeat(num_above, sizes), corners - 1)
    else:
        corners = corners - 1
    return _build_mesh(_take_columns(table, range(3)), corners, sizes, first_index=1)


def _parse_lines(text: bytes, are_taken: np.ndarray, word: str) -> _Table:
    """Parse lines of numbers whose first word was taken away."""
    num_rows = int(np.count_nonzero(are_taken))
    rows = _TextRows(text)
    if rows.num_rows < num_rows:
        raise ValueError(f"a line of it holds {word!r} alone")
    return rows.take(num_rows)


def _cut_slashes(text: bytes) -> bytes:
    """Blank what follows a `/` in each field: texture coordinates and normals. A `/` in front of a field stays."""
    characters = np.frombuffer(bytearray(text), dtype=np.uint8)
    is_blank = characters <= ord(" ")
    starts = np.flatnonzero(is_blank[:-1] & ~is_blank[1:]) + 1  # a blank took the place of the word
    ends = np.flatnonzero(~is_blank[:-1] & is_blank[1:]) + 1
    slashes = np.append(np.flatnonzero(characters == ord("/")), len(text))
    cuts = slashes[np.searchsorted(slashes, starts)]
    cuts = np.where(cuts > starts, np.minimum(cuts, ends), ends)
    steps = np.zeros(len(text), dtype=np.int8)
    steps[cuts] += 1
    steps[ends] -= 1
    characters[np.cumsum(steps, dtype=np.int8) > 0] = ord(" ")
    return characters.tobytes()


def parse_stl(content: bytes) -> Mesh:
    """Parse an STL file, text or binary.

    Args:
        content (`bytes`):
            The file.

    Returns:
        `Mesh`: Its triangles, none of which share vertices.

    Raises:
        ValueError: If it is cut short.
    """
    num_triangles = int.from_bytes(content[80:84], "little")
    size = 84 + num_triangles * _STL_TRIANGLE.itemsize
    # Binary files may start with the word solid as well.
    if content.lstrip()[:5].lower() == b"solid" and len(content) != size:
        vertices = _parse_stl_text(content)
    elif len(content) < size:
        raise ValueError(f"it has {len(content)} bytes and not the {max(size, 84)} that its header says")
    else:
        triangles = np.frombuffer(content, _STL_TRIANGLE, num_triangles, 84)
        vertices = triangles["corners"].reshape(-1, 3).astype(np.float64)
    return _build_mesh(vertices, np.arange(len(vertices)), np.full(len(vertices) // 3, 3))


def _parse_stl_text(content: bytes) -> np.ndarray:
    """Return the corners of the triangles, three by three."""
    text = _unify_lines(content.lower()).strip()
    lines = _Words(text)
    are_vertices = lines.find(b"vertex")
    num_vertices, num_triangles = np.count_nonzero(are_vertices), np.count_nonzero(lines.find(b"endfacet"))
    last = text.rpartition(b"\n")[2].strip().decode("latin-1")
    if num_vertices != 3 * num_triangles or not last.startswith("endsolid"):
        raise ValueError(
            f"it has {num_triangles} whole triangles, {num_vertices} vertices and {last[:60]!r} at its end"
        )
    return _take_columns(_parse_lines(lines.take(b"vertex", are_vertices), are_vertices, "vertex"), range(3))


MESH_PARSERS: dict[str, Callable[[bytes], Mesh]] = {
    ".obj": parse_obj,
    ".off": parse_off,
    ".ply": parse_ply,
    ".stl": parse_stl,
}
"""Parser of each format, by the ending of its files."""
