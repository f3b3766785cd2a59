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

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .ply_files import read_ply
from .text_rows import Table, TextRows, Words, take_columns, take_lists, unify_lines


_STL_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


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


def _build_mesh(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray, first_index: int = 0) -> Mesh:
    """Return what was parsed, after checking that all corners are vertices; files count from `first_index`."""
    is_vertex = (corners >= 0) & (corners < len(vertices))
    if corners.dtype.kind == "f":
        is_vertex &= corners == np.floor(corners)
    if not is_vertex.all():
        wrong = corners[is_vertex.argmin()] + first_index
        raise ValueError(f"its faces name vertex {wrong:g} and it has {len(vertices)}, counted from {first_index}")
    return Mesh(vertices, corners.astype(np.int64), sizes)


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
    text = unify_lines(content, comments=True).strip()
    header = re.match(rb"(ST)?(C?N?|NC)OFF(?=[\s\d]|\Z)", text)
    if header is None:
        raise ValueError(f"it starts with {content[:20]!r} instead of OFF")
    counts = re.compile(rb"\s*(\d+)[ \t]+(\d+)(?=\s|\Z)[^\n]*").match(text, header.end())
    if counts is None:
        start = " ".join(text.decode("latin-1").split("\n")[:2])
        raise ValueError(f"its header has no two counts: {start[:60]!r}")
    num_vertices, num_faces = map(int, counts.groups())
    rows = TextRows(text[counts.end() :])
    rows.require(num_vertices + num_faces)
    vertices = take_columns(rows.take(num_vertices), range(3))
    return _build_mesh(vertices, *take_lists(rows.take(num_faces), [True], 0))


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
    return _build_mesh(*read_ply(content))


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
    lines = Words(unify_lines(content, comments=True).replace(b"\\\n", b" "))
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
    return _build_mesh(take_columns(table, range(3)), corners, sizes, first_index=1)


def _parse_lines(text: bytes, are_taken: np.ndarray, word: str) -> Table:
    """Parse lines of numbers whose first word was taken away."""
    num_rows = int(np.count_nonzero(are_taken))
    rows = TextRows(text)
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
    text = unify_lines(content.lower()).strip()
    lines = Words(text)
    are_vertices = lines.find(b"vertex")
    num_vertices, num_triangles = np.count_nonzero(are_vertices), np.count_nonzero(lines.find(b"endfacet"))
    last = text.rpartition(b"\n")[2].strip().decode("latin-1")
    if num_vertices != 3 * num_triangles or not last.startswith("endsolid"):
        raise ValueError(
            f"it has {num_triangles} whole triangles, {num_vertices} vertices and {last[:60]!r} at its end"
        )
    return take_columns(_parse_lines(lines.take(b"vertex", are_vertices), are_vertices, "vertex"), range(3))


MESH_PARSERS: dict[str, Callable[[bytes], Mesh]] = {
    ".obj": parse_obj,
    ".off": parse_off,
    ".ply": parse_ply,
    ".stl": parse_stl,
}
"""Parser of each format, by the ending of its files."""
