"""Readers of clouds from text: `.xyz`, `.txt` and `.pts`.

One point a line, numbers apart by white space or by commas. The first three columns are x, y and z, as these formats have
it, unless a line of names says which are; further columns, such as normals or colours, are left aside.
"""

import warnings
from pathlib import Path

import numpy as np

from .validation import check_points, reader_errors


_COMMENTS = ("#", "//")
_MOST_COLUMNS = 1000


def _split(line: str) -> list[str]:
    """Fields of one line."""
    return [field.strip() for field in line.split(",")] if "," in line else line.split()


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _coordinate_columns(names: list[str]) -> list[int] | None:
    """Columns of x, y and z in a line of names; `None` if it does not name each once."""
    names = [name.strip("\"'").lower() for name in names]
    return [names.index(axis) for axis in "xyz"] if all(names.count(axis) == 1 for axis in "xyz") else None


def _take_header(lines: list[str], path: Path) -> tuple[list[str], list[int]]:
    """Lines of numbers, and the columns of x, y and z.

    A comment that names as many columns as there are, such as `//X Y Z R G B`, counts as a line of names.
    """
    comments = [line.lstrip("#/") for line in lines if line.startswith(_COMMENTS)]
    lines = [line for line in lines if not line.startswith(_COMMENTS)]
    if lines and not _is_number(_split(lines[0])[0]):
        columns = _coordinate_columns(_split(lines[0]))
        if columns is None:
            raise ValueError(f"`{path}` must start with numbers or with names of x, y and z, got {lines[0][:60]!r}.")
        return lines[1:], columns
    num_columns = len(_split(lines[0])) if lines else 0
    for names in map(_split, comments):
        columns = _coordinate_columns(names)
        if columns is not None and len(names) == num_columns:
            return lines, columns
    return lines, [0, 1, 2]


def _read_lines(path: Path) -> list[str]:
    """Lines of a text file that are not blank, without white space around them."""
    with reader_errors(path, "be a readable text file in UTF-8"):
        text = path.read_text(encoding="utf-8-sig")
    return [line for line in map(str.strip, text.splitlines()) if line]


def _parse(lines: list[str], columns: list[int], path: Path) -> np.ndarray:
    """Coordinates from lines of numbers, each with the same number of columns."""
    if not lines:
        raise ValueError(f"`{path}` must hold at least one point, got 0.")
    num_columns = len(_split(lines[0]))
    if num_columns > _MOST_COLUMNS:
        raise ValueError(f"`{path}` must hold at most {_MOST_COLUMNS} numbers a line, got {num_columns}.")
    with reader_errors(path, "hold lines of numbers, all of one length"), warnings.catch_warnings():
        warnings.simplefilter("error")
        # All columns are parsed, so that a line cut short is seen.
        rows = np.loadtxt(lines, delimiter="," if "," in lines[0] else None, comments=None, ndmin=2)
    if rows.shape[1] <= max(columns):
        raise ValueError(f"`{path}` must hold at least three numbers a line, got {rows.shape[1]}.")
    return check_points(rows[:, columns], path)


def read_text(path: Path) -> np.ndarray:
    """Read a cloud from a `.xyz` or `.txt` file.

    Args:
        path (`pathlib.Path`):
            Text file; lines that start with `#` or `//` are comments.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`.

    Raises:
        ValueError: If a line is not of numbers, lines differ in length, or a value is not finite.
    """
    lines, columns = _take_header(_read_lines(path), path)
    return _parse(lines, columns, path)


def read_pts(path: Path) -> np.ndarray:
    """Read a cloud from a `.pts` file, whose first line may be the number of points.

    Args:
        path (`pathlib.Path`):
            Text file.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`.

    Raises:
        ValueError: As for `read_text`, or if the number of points is another than the first line says.
    """
    lines, columns = _take_header(_read_lines(path), path)
    if lines and lines[0].isdecimal():
        count, lines = lines[0], lines[1:]
        if (count.lstrip("0") or "0") != str(len(lines)):
            raise ValueError(f"`{path}` must hold the {count[:20]} points that its first line says, got {len(lines)}.")
    return _parse(lines, columns, path)
