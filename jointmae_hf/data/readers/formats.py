"""Read a cloud from a file, whose ending names its format.

Independent of `datasets`, whose builders replace `open` and `os.path` in the module that they are defined in.
"""

from pathlib import Path

import numpy as np

from jointmae_hf.model.cloud_files import CLOUD_FILE_SUFFIXES, read_cloud_file

from .arrays import read_h5, read_npz, read_parquet
from .pcd import read_pcd
from .validation import check_points


_READERS = {".parquet": read_parquet, ".pcd": read_pcd}
_KEYED_READERS = {".h5": read_h5, ".npz": read_npz}

POINT_CLOUD_SUFFIXES: tuple[str, ...] = tuple(sorted([*_READERS, *_KEYED_READERS, *CLOUD_FILE_SUFFIXES]))
"""Endings of the files that `read_point_cloud` understands, in lower case."""


def read_point_cloud(
    path: str | Path, num_points: int = 2048, points_key: str | None = None, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Read a cloud from a file.

    Args:
        path (`str` or `pathlib.Path`):
            File with one of the endings in `POINT_CLOUD_SUFFIXES`, in upper or lower case.
        num_points (`int`, *optional*, defaults to 2048):
            Points to draw from the surface of a mesh. Clouds keep their own number.
        points_key (`str`, *optional*):
            Name of the array in `.npz` and `.h5` files. Without it, `"points"`, or else the only array of the file.
        rng (`np.random.Generator`, *optional*):
            Source of the random numbers for a mesh. Without it, `numpy.random.default_rng(0)`.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`, in the units and axes of the file.

    Raises:
        ImportError: If the format needs a package that is not installed.
        ValueError: If `num_points` is not positive, the ending is unknown or the file is not a valid cloud; the message
            names the file.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if num_points < 1:
        raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
    if suffix not in POINT_CLOUD_SUFFIXES:
        raise ValueError(f"`path` must end in one of {', '.join(POINT_CLOUD_SUFFIXES)}, got {path}.")
    if path.exists() and not path.is_file():
        raise ValueError(f"`{path}` must be a regular file, got a folder or a device.")  # a pipe never ends
    if suffix in CLOUD_FILE_SUFFIXES:
        return check_points(read_cloud_file(path, num_points, rng), path)
    if suffix in _KEYED_READERS:
        return _KEYED_READERS[suffix](path, points_key)
    return _READERS[suffix](path)
