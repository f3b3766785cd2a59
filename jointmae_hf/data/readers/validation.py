"""What every reader of point cloud files shares: the rules of a cloud, and errors that name the file."""

from pathlib import Path

import numpy as np

from jointmae_hf.model.cloud_files import check_cloud, check_layout, reader_errors


__all__ = ["check_expansion", "check_layout", "check_points", "reader_errors"]

# In parts of the extent; 2,048 points on a surface are about thirty times as far apart.
_LARGEST_ROUNDING = 1e-3
# Coordinates as measured hardly compress; a file of zeros that a few bytes describe is made to fill the memory.
_LARGEST_EXPANSION = 100
_HARMLESS_BYTES = 64 << 20


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
    given = check_cloud(points, path)
    points = given.astype(np.float32, copy=False)
    if given.dtype.itemsize >= 4 and given.dtype != points.dtype:
        # Integers of 64 bits are more exact than float64.
        _check_rounding(given.astype(np.longdouble if given.dtype.kind in "iu" else np.float64), points, path)
    return points


def _check_rounding(given: np.ndarray, points: np.ndarray, path: Path) -> None:
    """Raise if float32 would blur the shape, as it does with map coordinates of millions of meters."""
    error = float(np.abs(points - given).max())
    extent = max(float(np.ptp(column)) for column in given.T)
    if 0.0 < _LARGEST_ROUNDING * extent < error:
        raise ValueError(
            f"`{path}` must hold coordinates that float32 keeps, got rounding errors of {error:.2g} in a cloud of extent "
            f"{extent:.2g}. Subtract an origin near the cloud first."
        )
