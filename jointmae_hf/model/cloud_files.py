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

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def parse_text(text: str, may_start_with_count: bool = False) -> np.ndarray:
    """Parse a cloud from text with one point a line, numbers separated by whitespace or commas.

    The first three columns are x, y and z, unless a first line or a comment names the columns and says otherwise.

    Args:
        text (`str`):
            The text; lines that start with `#` or `//` are comments.
        may_start_with_count (`bool`, *optional*, defaults to `False`):
            Whether the first line may be the number of points.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: float64 coordinates. Further columns are ignored.

    Raises:
        ValueError: If a line is not of numbers, lines differ in length, their number is not the count of the first line, or
            names do not tell which columns are x, y and z.
    """
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    comments = []
    if any(start in text for start in _COMMENTS):
        comments = [line.lstrip("#/") for line in lines if line.startswith(_COMMENTS)]
        lines = [line for line in lines if not line.startswith(_COMMENTS)]
    header = lines.pop(0) if lines and not _is_number(_split(lines[0])[0]) else None
    if may_start_with_count and lines and lines[0].isdecimal():
        count = lines.pop(0)
        if (count.lstrip("0") or "0") != str(len(lines)):
            raise ValueError(f"its first line says {count[:20]} points and it has {len(lines)}")
    num_columns = len(_split(lines[0])) if lines else 0
    columns = _choose_columns(header, comments, num_columns)
    if not lines:
        return np.empty((0, 3))
    if not 3 <= num_columns <= MOST_COLUMNS:
        raise ValueError(f"it has {num_columns} numbers a line and not 3 to {MOST_COLUMNS}")
    try:  # All columns are parsed, so that a line cut short is seen.
        rows = np.loadtxt(lines, delimiter="," if "," in lines[0] else None, comments=None, ndmin=2)
    except ValueError as error:
        reason = str(error).partition("; use")[0]
        raise ValueError(f"its lines must be numbers, all of one length: {reason}") from error
    return rows[:, columns]


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
            points = parse_text(path.read_text(encoding="utf-8-sig"), may_start_with_count=suffix == ".pts")
    return check_cloud(points, path)
