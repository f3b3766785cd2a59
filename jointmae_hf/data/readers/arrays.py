"""Read clouds from arrays and tables: `.npz`, `.h5` and `.parquet`."""

import math
from pathlib import Path
from typing import IO, Any

import numpy as np

from .hdf5 import HDF5_RULE, describe_hdf5, opened_hdf5
from .validation import check_expansion, check_layout, check_points, reader_errors


_ZIP_START = b"PK"


def _check_start(path: Path, expected: bytes) -> None:
    """Raise unless the file starts as its format does; numpy would go by the content in place of the ending."""
    with open(path, "rb") as file:
        start = file.read(len(expected))
    if start != expected:
        raise ValueError(f"it starts with {start!r} instead of {expected!r}")


def _check_header(file: IO[bytes], num_bytes: int) -> None:
    """Raise if the header of an array promises more than its file has, for which numpy would reserve memory."""
    version = np.lib.format.read_magic(file)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise ValueError(f"its format is {version} and not {', '.join(map(str, headers))}")
    shape, _, dtype = headers[version](file)
    if math.prod(shape) * dtype.itemsize > num_bytes:
        raise ValueError(f"its array of shape {shape} does not fit {num_bytes} bytes")


def _choose_array(names: list[str], points_key: str | None, path: Path) -> str:
    """Return the name of the array that was asked for; by default `points`, or else the only array."""
    wanted = "points" if points_key is None else points_key
    if wanted in names:
        return wanted
    if points_key is None and len(names) == 1:
        return names[0]
    rule = "an array called `points`, or one array alone" if points_key is None else f"an array called `{wanted}`"
    raise ValueError(f"`{path}` must hold {rule}, got {sorted(names)}. Set `points_key`.")


def read_npz(path: Path, points_key: str | None = None) -> np.ndarray:
    """Read a cloud from a `.npz` file. Pickled objects are never loaded.

    Args:
        path (`pathlib.Path`):
            File with an array of shape `(num_points, 3)`.
        points_key (`str`, *optional*):
            Name of the array. Without it, `"points"`, or else the only array of the file.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`.

    Raises:
        ValueError: If the file cannot be read, the array is not there, or is not of finite points of that shape.
    """
    rule = "be a complete .npz file without Python objects"
    with reader_errors(path, rule):
        _check_start(path, _ZIP_START)
        archive = np.load(path, allow_pickle=False)
    with archive:
        name = _choose_array(archive.files, points_key, path)
        member = next(info for info in archive.zip.infolist() if info.filename in (name, f"{name}.npy"))
        check_expansion(member.file_size, member.compress_size, path)
        with reader_errors(path, rule):
            with archive.zip.open(member) as file:
                _check_header(file, member.file_size)
            stored = archive[name]
    return check_points(stored, path)


def read_h5(path: Path, points_key: str | None = None) -> np.ndarray:
    """Read a cloud from an HDF5 file. Links, which may lead to other files, are not followed.

    Args:
        path (`pathlib.Path`):
            File with a dataset of shape `(num_points, 3)`.
        points_key (`str`, *optional*):
            Path of the dataset, such as `"scan/points"`. Without it, `"points"`, or else the only dataset of the file.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`.

    Raises:
        ImportError: If h5py is not installed.
        ValueError: If the file cannot be read, the dataset is not there or stored elsewhere, or is not of finite points
            of that shape.
    """
    with opened_hdf5(path) as file:
        with reader_errors(path, HDF5_RULE):
            datasets = _hdf5_datasets(file)
        dataset = datasets[_choose_array(list(datasets), points_key, path)]
        facts = describe_hdf5(dataset, path)
        if facts.is_elsewhere:
            raise ValueError(f"`{path}` must hold its points itself, got a link of `{dataset.name}` to other files.")
        check_layout(facts.dtype, facts.shape, path)
        if facts.num_stored_bytes == 0:
            raise ValueError(f"`{path}` must hold the values of `{dataset.name}`, got none: they were never written.")
        check_expansion(facts.num_bytes, facts.num_stored_bytes, path)
        with reader_errors(path, HDF5_RULE):
            stored = dataset[()]
    return check_points(stored, path)


def _hdf5_datasets(group: Any, prefix: str = "", above: frozenset[int] = frozenset()) -> dict[str, Any]:
    """Return all datasets below a group by path, through hard links alone; `above` are the groups on the way."""
    import h5py

    address = h5py.h5o.get_info(group.id).addr
    found: dict[str, Any] = {}
    for name in group if address not in above else ():
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            found |= _hdf5_datasets(item, f"{prefix}{name}/", above | {address})
        elif isinstance(item, h5py.Dataset):
            found[f"{prefix}{name}"] = item
    return found


def read_parquet(path: Path) -> np.ndarray:
    """Read a cloud from a Parquet table of one point a row.

    Args:
        path (`pathlib.Path`):
            File with number columns `x`, `y` and `z`, or `X`, `Y` and `Z`, without nulls; others are ignored.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`.

    Raises:
        ValueError: If the file cannot be read, a column is missing or holds something else, or a value is not finite.
    """
    import pyarrow.parquet as pq

    rule = "be a complete Parquet file"
    with reader_errors(path, rule), pq.ParquetFile(path) as file:
        names, num_rows = file.schema_arrow.names, file.metadata.num_rows
    chosen = [axis if axis in names else axis.upper() for axis in "xyz"]
    if any(names.count(name) != 1 for name in chosen):
        raise ValueError(
            f"`{path}` must have the columns `x`, `y` and `z`, one point a row, got {names}. "
            "A table of one cloud a row is read by `datasets.load_dataset`."
        )
    check_expansion(num_rows * len(chosen) * np.dtype(np.float64).itemsize, path.stat().st_size, path)
    with reader_errors(path, rule):
        table = pq.ParquetFile(path).read(columns=chosen)
    if any(column.null_count for column in table.columns):
        raise ValueError(f"`{path}` must have no nulls in `x`, `y` and `z`, got {table.num_rows} rows with some.")
    return check_points(np.stack([column.to_numpy() for column in table.columns], axis=1), path)
