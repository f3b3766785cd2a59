"""Read the Point Cloud Library's `.pcd` files, version 0.7: ascii, binary and binary_compressed.

Source: "The PCD (Point Cloud Data) file format" in the library's documentation. The pose of the sensor, `VIEWPOINT`, is
not applied: points are stored in the world's frame or in the sensor's, and the file does not state which.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .validation import check_points, reader_errors


_TYPES = {"F": "f", "I": "i", "U": "u"}
_LONGEST_HEADER = 64 << 10


@dataclass(frozen=True)
class _Header:
    """What the header of a file says about its body.

    Args:
        dtype (`np.dtype`):
            One point; coordinates are its fields `x`, `y` and `z`, any other field has its position as its name.
        num_points (`int`):
            Number of points.
        encoding (`str`):
            `ascii`, `binary` or `binary_compressed`.
        body_start (`int`):
            Position of the first byte after the header.
    """

    dtype: np.dtype
    num_points: int
    encoding: str
    body_start: int


def read_pcd(path: Path) -> np.ndarray:
    """Read a cloud from a `.pcd` file.

    Args:
        path (`pathlib.Path`):
            File with fields `x`, `y` and `z`; others are ignored.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`, also of an organized cloud. Its points without a measurement
        are NaN and so refused.

    Raises:
        ValueError: If the file is cut short, its header is not understood, or a coordinate is not finite.
    """
    with reader_errors(path, "be a complete .pcd file"):
        content = path.read_bytes()
        header = _parse_header(content[:_LONGEST_HEADER])
        points = _READERS[header.encoding](content[header.body_start :], header)
    return check_points(points, path)


def _parse_header(start: bytes) -> _Header:
    """Parse the lines up to and including `DATA`."""
    entries: dict[str, list[str]] = {}
    position = 0
    while "DATA" not in entries:
        line, newline, _ = start[position:].partition(b"\n")
        if not newline:
            raise ValueError("its header has no line `DATA`")
        position += len(line) + 1
        key, *values = line.decode("ascii").split() or ["#"]
        if not key.startswith("#"):
            entries[key] = values
    missing = {"FIELDS", "SIZE", "TYPE", "POINTS"} - entries.keys()
    if missing:
        raise ValueError(f"its header has no {', '.join(sorted(missing))}")
    encoding = " ".join(entries["DATA"])
    if encoding not in _READERS:
        raise ValueError(f"its data are {encoding!r} instead of {', '.join(_READERS)}")
    num_points = int(entries["POINTS"][0])
    if num_points < 0:
        raise ValueError(f"it has {num_points} points")
    return _Header(_point_type(entries), num_points, encoding, position)


def _point_type(entries: dict[str, list[str]]) -> np.dtype:
    """Return the layout of one point, in the order of the fields."""
    names = entries["FIELDS"]
    counts = [int(count) for count in entries.get("COUNT", ["1"] * len(names))]
    fields: list[tuple[str, str, tuple[int, ...]]] = []
    for position, (name, size, kind, count) in enumerate(
        zip(names, entries["SIZE"], entries["TYPE"], counts, strict=True)
    ):
        is_coordinate = name in "xyz" and count == 1
        fields.append((name if is_coordinate else f"{position}", f"<{_TYPES[kind]}{int(size)}", (count,)))
    if sorted(name for name, _, _ in fields if name in "xyz") != ["x", "y", "z"]:
        raise ValueError(f"its fields are {names} and not x, y and z once each")
    return np.dtype(fields)


def _stack(records: np.ndarray) -> np.ndarray:
    """Return coordinates `(num_points, 3)` from records of whole points."""
    return np.concatenate([records[axis] for axis in "xyz"], axis=1)


def _read_ascii(body: bytes, header: _Header) -> np.ndarray:
    """Read one point a line, numbers separated by spaces; an unsigned color may be written as a float."""
    lines = [line for line in body.decode("ascii").splitlines() if line.strip()]
    if len(lines) != header.num_points:
        raise ValueError(f"it has {len(lines)} points and not the {header.num_points} that its header says")
    widths = [header.dtype[name].shape[0] for name in header.dtype.names or ()]
    starts = dict(zip(header.dtype.names or (), np.cumsum([0, *widths]), strict=False))
    rows = np.loadtxt(lines, comments=None, ndmin=2) if lines else np.empty((0, sum(widths)))
    if rows.shape[1] != sum(widths):
        raise ValueError(f"its points have {rows.shape[1]} numbers and not {sum(widths)}")
    return rows[:, [starts[axis] for axis in "xyz"]]


def _read_binary(body: bytes, header: _Header) -> np.ndarray:
    """Read all fields of one point after the other."""
    size = header.num_points * header.dtype.itemsize
    if len(body) < size:
        raise ValueError(f"it has {len(body)} bytes of points and not the {size} that its header says")
    return _stack(np.frombuffer(body, header.dtype, header.num_points))


def _read_compressed(body: bytes, header: _Header) -> np.ndarray:
    """Read one field of all points after the other, compressed together; two sizes stand in front."""
    if len(body) < 8:
        raise ValueError(f"it has {len(body)} bytes of points and not at least 8")
    compressed_size, size = np.frombuffer(body, "<u4", 2).tolist()
    if size != header.num_points * header.dtype.itemsize:
        raise ValueError(f"it has {size} bytes of points and not {header.num_points} * {header.dtype.itemsize}")
    if len(body) < 8 + compressed_size:
        raise ValueError(f"it has {len(body) - 8} compressed bytes and not the {compressed_size} that it says")
    values = decompress_lzf(body[8 : 8 + compressed_size], size)
    columns, start = {}, 0
    for name in header.dtype.names or ():
        field = header.dtype[name]
        columns[name] = np.frombuffer(values, field.base, header.num_points * field.shape[0], start)
        start += header.num_points * field.itemsize
    return np.stack([columns[axis] for axis in "xyz"], axis=1)


_READERS = {"ascii": _read_ascii, "binary": _read_binary, "binary_compressed": _read_compressed}


def decompress_lzf(compressed: bytes, size: int) -> bytes:
    """Undo LZF compression: runs of new bytes, and copies of earlier ones that may overlap what they write.

    Args:
        compressed (`bytes`):
            The stream. A first byte below 32 announces that many new bytes and one more; any other has the length of a
            copy, less two, in its upper three bits (7: the next byte is added) and the upper part of how far back it lies.
        size (`int`):
            Number of bytes that come out.

    Returns:
        `bytes`: The original.

    Raises:
        ValueError: If the stream is cut short, reaches back before its start, or gives another number of bytes.

    Example:
        >>> decompress_lzf(bytes([1, 97, 98, 64, 1]), 6)
        b'ababab'
    """
    result = bytearray()
    position = 0
    while position < len(compressed) and len(result) <= size:
        control = compressed[position]
        position += 1
        if control < 32:
            result += compressed[position : position + control + 1]
            position += control + 1
            continue
        length = (control >> 5) + 2
        if position + (length == 9) >= len(compressed):
            raise ValueError(f"its compressed points end within a copy at byte {position}")
        if length == 9:
            length += compressed[position]
            position += 1
        distance = ((control & 31) << 8 | compressed[position]) + 1
        position += 1
        if distance > len(result):
            raise ValueError(f"its compressed points reach back by {distance} bytes at byte {len(result)}")
        pattern = result[-distance:][:length]
        result += (pattern * (length // len(pattern) + 1))[:length]
    if position != len(compressed) or len(result) != size:
        raise ValueError(f"its compressed points give {len(result)} bytes and not {size}")
    return bytes(result)
