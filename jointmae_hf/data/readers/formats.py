"""Reading a cloud from a file, whose format its ending tells.

Independent of `datasets`, whose builders replace `open` and `os.path` in the module that they are defined in.
"""

from pathlib import Path

import numpy as np

from .arrays import read_h5, read_npy, read_npz, read_parquet
from .meshes import read_mesh
from .pcd import read_pcd
from .text import read_pts, read_text


_READERS = {
    ".npy": read_npy,
    ".parquet": read_parquet,
    ".pcd": read_pcd,
    ".pts": read_pts,
    ".txt": read_text,
    ".xyz": read_text,
}
_KEYED_READERS = {".h5": read_h5, ".npz": read_npz}
_MESH_SUFFIXES = (".obj", ".off", ".ply", ".stl")

POINT_CLOUD_SUFFIXES: tuple[str, ...] = tuple(sorted([*_READERS, *_KEYED_READERS, *_MESH_SUFFIXES]))
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
    if suffix in _MESH_SUFFIXES:
        return read_mesh(path, num_points, np.random.default_rng(0) if rng is None else rng)
    if suffix in _KEYED_READERS:
        return _KEYED_READERS[suffix](path, points_key)
    return _READERS[suffix](path)
