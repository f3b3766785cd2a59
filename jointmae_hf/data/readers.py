"""Readers of point cloud files: one function per format, each returns float32 points or says what is wrong.

Independent of `datasets`, whose builders replace `open` and `os.path` in the module that they are defined in.
"""

from pathlib import Path

import numpy as np


_NPY_START = b"\x93NUMPY"


def _check_points(points: np.ndarray, path: Path) -> np.ndarray:
    """Return `points` as float32, or raise a `ValueError` that names the file."""
    if points.dtype.kind not in "fiu":
        raise ValueError(f"`{path}` must hold floats or integers, got dtype {points.dtype}.")
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"`{path}` must hold an array of shape (num_points, 3), got {points.shape}.")
    if len(points) == 0:
        raise ValueError(f"`{path}` must hold at least one point, got 0.")
    with np.errstate(over="ignore"):
        points = np.array(points, dtype=np.float32)
    is_finite = np.isfinite(points).all(axis=1)
    if not is_finite.all():
        first = int(is_finite.argmin())
        raise ValueError(
            f"`{path}` must hold finite float32 values, got {points[first].tolist()} at point {first} "
            f"({int((~is_finite).sum())} such points). Remove them."
        )
    return points


def read_npy(path: Path) -> np.ndarray:
    """Read a cloud from a `.npy` file. Pickled objects are never loaded.

    Args:
        path (`pathlib.Path`):
            File with one float or integer array of shape `(num_points, 3)`.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`, in memory.

    Raises:
        ValueError: If the file cannot be read, or does not hold finite points of that shape.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(len(_NPY_START))
        if start != _NPY_START:
            raise ValueError(f"it starts with {start!r} instead of {_NPY_START!r}")
        # A memory map checks the size that the header promises before anything is allocated.
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"`{path}` must be a complete .npy file without Python objects, got: {error}") from error
    return _check_points(stored, path)


_READERS = {".npy": read_npy}

POINT_CLOUD_SUFFIXES: tuple[str, ...] = tuple(_READERS)
"""Endings of the files that `read_point_cloud` understands, in lower case."""


def read_point_cloud(path: str | Path) -> np.ndarray:
    """Read a cloud from a file, whose format its ending tells.

    Args:
        path (`str` or `pathlib.Path`):
            File with one of the endings in `POINT_CLOUD_SUFFIXES`, in upper or lower case.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`, in the units and axes of the file.

    Raises:
        ValueError: If the ending is unknown or the file is not a valid cloud; the message names the file.
    """
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        raise ValueError(f"`path` must end in one of {', '.join(POINT_CLOUD_SUFFIXES)}, got {path}.")
    return _READERS[path.suffix.lower()](path)
