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
"""Read point clouds from files with numpy alone: the parser of the pipelines and of `jointmae_hf.data`."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .mesh_files import MESH_PARSERS
from .surface_sampling import sample_polygons


NPY_START = b"\x93NUMPY"
LARGEST_NPY_HEADER = 10_000
"""Bytes above which numpy refuses a header, after reading it."""

MOST_COLUMNS = 1000
"""Numbers a line above which a text is no cloud."""

CLOUD_FILE_SUFFIXES = tuple(sorted([".npy", ".pts", ".txt", ".xyz", *MESH_PARSERS]))
"""Endings of the files that `read_cloud_file` understands, in lower case."""

_COMMENTS = ("#", "//")
_OTHER_LINE_ENDS = (b"\r", b"\v", b"\f", b"\x1c", b"\x1d", b"\x1e")


@contextmanager
def reader_errors(path: Path, rule: str) -> Iterator[None]:
    """Turn any error inside the `with` block into a `ValueError` that names the file; a missing package stays one.

    Args:
        path (`pathlib.Path`):
            The file that is read inside.
        rule (`str`):
            What it breaks when an error occurs, such as `"be a complete .npy file"`.
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # Parsers stumble over a broken file with whatever error comes first.
        reason = str(error) if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {error}"
        raise ValueError(f"`{path}` must {rule}, got: {reason}") from error


def check_layout(dtype: np.dtype, shape: tuple[int, ...] | None, path: Path) -> None:
    """Raise unless an array can be a cloud, before its values are read.

    Args:
        dtype (`np.dtype`):
            Type of the numbers.
        shape (`tuple[int, ...]`, *optional*):
            `None` is an HDF5 dataset without a space.
        path (`pathlib.Path`):
            Its file, for the message.

    Raises:
        ValueError: If the type or the shape is wrong.
    """
    if dtype.kind not in "fiu":
        raise ValueError(f"`{path}` must hold floats or integers, got dtype {dtype}.")
    if shape is None or len(shape) != 2 or shape[1] != 3:
        raise ValueError(f"`{path}` must hold an array of shape (num_points, 3), got {shape}.")
    if shape[0] == 0:
        raise ValueError(f"`{path}` must hold at least one point, got 0.")


def check_cloud(points: np.ndarray, path: Path) -> np.ndarray:
    """Return points in memory after checking them.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            What a parser found, of any number type. It may be a memory map.
        path (`pathlib.Path`):
            Its file, for the message.

    Returns:
        `np.ndarray`: The points, of the same type.

    Raises:
        ValueError: If the type or the shape is wrong, or a coordinate is not finite in float32.
    """
    check_layout(points.dtype, points.shape, path)
    points = np.array(points, order="C")
    with np.errstate(over="ignore"):
        as_float32 = points.astype(np.float32, copy=False)
    if not np.isfinite(as_float32).all():
        is_finite = np.isfinite(as_float32).all(axis=1)
        first = int(is_finite.argmin())
        raise ValueError(
            f"`{path}` must hold finite float32 values, got {as_float32[first].tolist()} at point {first} "
            f"({int((~is_finite).sum())} such points). Remove them."
        )
    return points


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


def parse_text(content: bytes, may_start_with_count: bool = False, path: Path | None = None) -> np.ndarray:
    """Parse a cloud from text with one point a line, numbers separated by whitespace or commas.

    The first three columns are x, y and z, unless a first line or a comment names the columns and says otherwise.

    Args:
        content (`bytes`):
            The file, in UTF-8; lines that start with `#` or `//` are comments.
        may_start_with_count (`bool`, *optional*, defaults to `False`):
            Whether the first line may be the number of points.
        path (`pathlib.Path`, *optional*):
            File of `content`, which numpy parses faster than lines in memory.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: float64 coordinates. Further columns are ignored.

    Raises:
        ValueError: If a line is not of numbers, lines differ in length, their number is not the count of the first line, or
            names do not tell which columns are x, y and z.
    """
    unified = _unify_lines(content)
    head, position = _find_head(unified, may_start_with_count)
    body = unified[position:]
    source = path if unified is content else None
    if b"#" in body or b"/" in body:
        lines = list(map(str.strip, body.decode().split("\n")))
        head.comments.extend(line.lstrip("#/") for line in lines if line.startswith(_COMMENTS))
        body, source = "\n".join(line for line in lines if not line.startswith(_COMMENTS)).encode(), None
    first = body[: body.find(b"\n") + 1 or None].decode().strip()
    num_columns = len(_split(first)) if first else 0
    columns = _choose_columns(head.names, head.comments, num_columns)
    if first and not 3 <= num_columns <= MOST_COLUMNS:
        head.check_count(body)
        raise ValueError(f"it has {num_columns} numbers a line and not 3 to {MOST_COLUMNS}")
    delimiter, skipped = "," if "," in first else None, unified.count(b"\n", 0, position)
    rows = _parse_rows(body, delimiter, head, source, skipped) if first else np.empty((0, 3))
    head.check_count(rows)
    return rows[:, columns]


class _Head(NamedTuple):
    """What stands above the points of a text: names of columns, comments and the number of points."""

    names: str | None
    comments: list[str]
    promised: str | None

    def check_count(self, points: np.ndarray | bytes) -> None:
        """Raise unless there are as many rows, or lines of text, as promised."""
        if self.promised is not None:
            num_rows = (
                sum(map(bool, map(bytes.strip, points.split(b"\n")))) if isinstance(points, bytes) else len(points)
            )
            if (self.promised.lstrip("0") or "0") != str(num_rows):
                raise ValueError(f"its first line says {self.promised[:20]} points and it has {num_rows}")


def _unify_lines(content: bytes) -> bytes:
    """Return a text in UTF-8 whose lines end in a line feed, without a byte order mark."""
    if b"\r" in content:  # a search for one byte is forty times faster than for two
        content = content.replace(b"\r\n", b"\n")
    if content.isascii() and not any(end in content for end in _OTHER_LINE_ENDS):
        return content
    return "\n".join(content.decode("utf-8-sig").splitlines()).encode()


def _find_head(content: bytes, may_start_with_count: bool) -> tuple[_Head, int]:
    """Return what stands above the points, and the position of the first of them."""
    names, comments, count = None, [], None
    stream, position = io.BytesIO(content), 0
    for raw in stream:
        line = raw.decode().strip()
        if line.startswith(_COMMENTS):
            comments.append(line.lstrip("#/"))
        elif line and names is None and count is None and not _is_number(_split(line)[0]):
            names = line
        elif may_start_with_count and count is None and line.isdecimal():
            count = line
        elif line:
            break
        position = stream.tell()
    return _Head(names, comments, count), position


def _parse_rows(body: bytes, delimiter: str | None, head: _Head, path: Path | None, skipped: int) -> np.ndarray:
    """Parse lines of numbers, all of one length: all columns, so that a line cut short is seen."""
    source = io.BytesIO(body) if path is None else path
    num_skipped = 0 if path is None else skipped
    try:
        return np.loadtxt(source, delimiter=delimiter, comments=None, skiprows=num_skipped, ndmin=2, encoding="utf-8")
    except ValueError:  # blank lines between commas, or another reason that the second attempt names by its row
        head.check_count(body)
    try:
        lines = [line for line in map(str.strip, body.decode().split("\n")) if line]
        return np.loadtxt(lines, delimiter=delimiter, comments=None, ndmin=2)
    except ValueError as error:
        reason = str(error).partition("; use")[0]
        raise ValueError(f"its lines must be numbers, all of one length: {reason}") from error


def _choose_columns(header: str | None, comments: list[str], num_columns: int) -> list[int]:
    """Return the columns of x, y and z: those that a first line or a comment names, or else the first three."""
    if header is not None:
        columns = _find_axes(_split(header), num_columns)
        if columns is None:
            raise ValueError(f"it starts with {header[:60]!r} and not with numbers or names of x, y and z")
        return columns
    found = (_find_axes(_split(comment.rpartition(":")[2]), num_columns) for comment in comments)
    return next((columns for columns in found if columns is not None), [0, 1, 2])


def _split(line: str) -> list[str]:
    """Return the fields of a line."""
    return [field.strip() for field in line.split(",")] if "," in line else line.split()


def _is_number(field: str) -> bool:
    """Return whether a field is a number."""
    try:
        float(field)
    except ValueError:
        return False
    return True


def _find_axes(names: list[str], num_columns: int) -> list[int] | None:
    """Return the columns of x, y and z in a line of names; `None` for any other line, such as a sentence."""
    names = [name.strip("\"'").lower() for name in names]
    if any(names.count(axis) != 1 for axis in "xyz"):
        return None
    columns = [names.index(axis) for axis in "xyz"]
    if len(names) == num_columns or columns == [0, 1, 2]:
        return columns
    if max(columns) - min(columns) != 2:
        return None
    if num_columns == 3:
        return [column - min(columns) for column in columns]
    raise ValueError(
        f"{len(names)} names for {num_columns} columns do not tell which are x, y and z: {' '.join(names)[:60]!r}"
    )


def read_cloud_file(path: str | Path, num_points: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Read a cloud from a `.npy`, `.xyz`, `.txt`, `.pts`, `.off`, `.ply`, `.obj` or `.stl` file.

    A mesh is sampled uniformly by area; a file of such a format that holds points alone keeps them.

    Args:
        path (`str` or `pathlib.Path`):
            The file.
        num_points (`int`):
            Points to draw from the surface of a mesh. Clouds keep their own number.
        rng (`np.random.Generator`, *optional*):
            Source of the random numbers for a mesh. Without it, `numpy.random.default_rng(0)`.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: In the units and axes of the file; float64, from a `.npy` file of its type.

    Raises:
        ValueError: If the ending is another, or the file cannot be read, is cut short or is not a valid cloud. The message
            names the file.
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
    rule = f"be a complete {suffix} file" + (" without Python objects" if suffix == ".npy" else "")
    with reader_errors(path, rule):
        if suffix == ".npy":
            points = open_npy(path)
        elif suffix in MESH_PARSERS:
            points, corners, sizes = MESH_PARSERS[suffix](path.read_bytes())
            if len(sizes):
                points = sample_polygons(
                    points, corners, sizes, num_points, np.random.default_rng(0) if rng is None else rng
                )
        else:
            points = parse_text(path.read_bytes(), suffix == ".pts", path)
    return check_cloud(points, path)
