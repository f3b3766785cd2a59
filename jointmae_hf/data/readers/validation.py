"""What every reader of point cloud files shares: the rules of a cloud, and errors that name the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


# In parts of the extent; 2,048 points on a surface are about thirty times as far apart.
_LARGEST_ROUNDING = 1e-3
# Coordinates as measured hardly compress; a file of zeros that a few bytes describe is made to fill the memory.
_LARGEST_EXPANSION = 100
_HARMLESS_BYTES = 64 << 20


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


def check_expansion(num_bytes: int, num_stored_bytes: int, path: Path) -> None:
    """Raise if a compressed array becomes far larger than what is stored of it, before it is read.

    Args:
        num_bytes (`int`):
            Bytes of the array in memory.
        num_stored_bytes (`int`):
            Bytes of the file that hold it.
        path (`pathlib.Path`):
            Its file, for the message.

    Raises:
        ValueError: If it has more than 64 MiB and more than a hundred times the bytes that are stored.
    """
    if num_bytes > max(_HARMLESS_BYTES, _LARGEST_EXPANSION * num_stored_bytes):
        raise ValueError(
            f"`{path}` must not expand to more than {_LARGEST_EXPANSION} times what it stores, got {num_bytes} bytes from "
            f"{num_stored_bytes}. If you trust it, store its points without compression."
        )


def check_points(points: np.ndarray, path: Path) -> np.ndarray:
    """Return points as float32 after checking them.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            What a reader found, of any number type. It may be a memory map.
        path (`pathlib.Path`):
            Its file, for the message.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`, in memory.

    Raises:
        ValueError: If the type, the shape or a value is wrong, or float32 cannot keep the shape; the message names the
            file.
    """
    check_layout(points.dtype, points.shape, path)
    given = points
    with np.errstate(over="ignore"):
        points = np.array(given, dtype=np.float32, order="C")
    is_finite = np.isfinite(points).all(axis=1)
    if not is_finite.all():
        first = int(is_finite.argmin())
        raise ValueError(
            f"`{path}` must hold finite float32 values, got {points[first].tolist()} at point {first} "
            f"({int((~is_finite).sum())} such points). Remove them."
        )
    if given.dtype.itemsize > points.dtype.itemsize:
        _check_rounding(given, points, path)
    return points


def _check_rounding(given: np.ndarray, points: np.ndarray, path: Path) -> None:
    """Raise if float32 would blur the shape, as it does with map coordinates of millions of metres."""
    error = float(np.abs(points - given).max())
    extent = float((given.max(axis=0) - given.min(axis=0)).max())
    if 0.0 < _LARGEST_ROUNDING * extent < error:
        raise ValueError(
            f"`{path}` must hold coordinates that float32 keeps, got rounding errors of {error:.2g} in a cloud of extent "
            f"{extent:.2g}. Subtract an origin near the cloud first."
        )
