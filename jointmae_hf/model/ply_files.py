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
"""Vertices and faces of a PLY file, text or binary of either byte order, with numpy alone."""

import re
from typing import Literal, NamedTuple

import numpy as np

from .text_rows import NO_INDICES, TextRows, check_rows, take_columns, take_lists, unify_lines


PLY_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"},
    **{"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"},
}
"""numpy's name of each number type of the PLY format."""

_PLY_BYTE_ORDERS = {"ascii": None, "binary_little_endian": "<", "binary_big_endian": ">"}
_BYTE_ORDERS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}


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
        self.rows = TextRows(unify_lines(body))

    def skip(self, element: _Element) -> None:
        """Skip the rows of an element."""
        self.rows.require(element.num_rows, " or more")
        self.rows.skip(element.num_rows)

    def read_columns(self, element: _Element, columns: list[int]) -> np.ndarray:
        """Return some columns `(num_rows, num_columns)` of an element without lists."""
        self.rows.require(element.num_rows, " or more")
        table = self.rows.take(element.num_rows)
        check_rows("vertex", table.widths >= len(element.properties), table.widths)
        return take_columns(table, columns)

    def read_lists(self, element: _Element) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of the faces, one face after the other, and how many each has."""
        are_lists = [column.length_kind is not None for column in element.properties]
        self.rows.require(element.num_rows, " or more")
        return take_lists(self.rows.take(element.num_rows), are_lists, element.find_corners() or 0)


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
            return NO_INDICES, NO_INDICES
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


def read_ply(content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices, corners and sizes of the faces as in `Mesh`, before the corners are checked."""
    end = re.search(rb"^end_header[ \t]*(\r?\n|\Z)", content, flags=re.MULTILINE)
    if not content.startswith(b"ply") or end is None:
        raise ValueError(f"it starts with {content[:20]!r} instead of a header from ply to end_header")
    byte_order, elements = _parse_ply_header(content[: end.start()].decode("latin-1"))
    body = content[end.end() :]
    source = _PlyText(body) if byte_order is None else _PlyBinary(body, byte_order)
    vertices, faces = None, (NO_INDICES, NO_INDICES)
    for element in elements:
        if element.name == "vertex":
            vertices = source.read_columns(element, _find_axes(element))
        elif element.find_corners() is not None:
            faces = source.read_lists(element)
        else:
            source.skip(element)
    if vertices is None:
        raise ValueError("it has no element called vertex")
    return vertices, *faces
