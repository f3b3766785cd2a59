"""Read the HDF5 files of published datasets: what a file holds is compared with what it must hold before it is read."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .validation import check_expansion, reader_errors


# The largest file of the datasets read here has 11,416 rows.
_MOST_ROWS = 100_000
# The compression of HDF5 (deflate) reaches 1,032 to one.
_MOST_BYTES_PER_STORED_BYTE = 1_100
HDF5_RULE = "be a complete HDF5 file"


@dataclass(frozen=True)
class Hdf5Column:
    """One array of a file, a row per cloud.

    Args:
        name (`str`):
            Key of the array.
        shape (`tuple[int, ...]`):
            Shape of a row. `()` also admits rows of shape `(1,)`, as labels are stored by some.
        kinds (`str`, *optional*, defaults to `"f"`):
            Admitted kinds of `numpy` types: `"f"` for floats, `"iu"` for integers.
        is_required (`bool`, *optional*, defaults to `True`):
            Whether the file must have the array.
    """

    name: str
    shape: tuple[int, ...]
    kinds: str = "f"
    is_required: bool = True


@contextmanager
def opened_hdf5(path: Path) -> Iterator[Any]:
    """Open an HDF5 file for reading in a `with` block.

    Args:
        path (`pathlib.Path`):
            File.

    Yields:
        `h5py.File`: The file.

    Raises:
        ImportError: If h5py is not installed.
        ValueError: If it is no complete HDF5 file; the message names it.
    """
    try:
        import h5py
    except ImportError as error:
        raise ImportError('HDF5 files need h5py: pip install "jointmae_hf[data]"') from error
    with reader_errors(path, HDF5_RULE):
        # Read-only and network file systems often cannot lock.
        file = h5py.File(path, "r", locking="best-effort")
    with file:
        yield file


class Hdf5Facts(NamedTuple):
    """What a dataset says of itself before it is read.

    Args:
        dtype (`np.dtype`):
            Type of its numbers.
        shape (`tuple[int, ...]`, *optional*):
            `None` if it has no space.
        num_bytes (`int`):
            Bytes in memory that reading it takes: those of its values, or of a chunk if that is larger.
        num_stored_bytes (`int`):
            Bytes of the file that hold its values.
        is_elsewhere (`bool`):
            Whether its values are in other files.
    """

    dtype: np.dtype
    shape: tuple[int, ...] | None
    num_bytes: int
    num_stored_bytes: int
    is_elsewhere: bool


def describe_hdf5(dataset: Any, path: Path) -> Hdf5Facts:
    """Return what a dataset says of itself; a damaged file may fail to answer.

    Args:
        dataset (`h5py.Dataset`):
            The dataset.
        path (`pathlib.Path`):
            Its file, for the message.

    Returns:
        `Hdf5Facts`: Type, shape and sizes.

    Raises:
        ValueError: If it does not answer; the message names the file.
    """
    with reader_errors(path, HDF5_RULE):
        num_bytes = max(dataset.nbytes, math.prod(dataset.chunks or ()) * dataset.dtype.itemsize)
        is_elsewhere = bool(dataset.external) or dataset.is_virtual
        return Hdf5Facts(dataset.dtype, dataset.shape, num_bytes, dataset.id.get_storage_size(), is_elsewhere)


def _checked_dataset(file: Any, column: Hdf5Column, path: Path) -> Any:
    """Return the array of a column after comparing its type; `None` if it is optional and missing."""
    import h5py

    # `name in file` would follow links out of it.
    names = list(file)
    if column.name not in names:
        if column.is_required:
            raise ValueError(f"`{path}` must have the key `{column.name}`, got {sorted(names, key=str)}.")
        return None
    with reader_errors(path, HDF5_RULE):
        dataset = file[column.name] if isinstance(file.get(column.name, getlink=True), h5py.HardLink) else None
    facts = describe_hdf5(dataset, path) if isinstance(dataset, h5py.Dataset) else None
    if facts is None or facts.is_elsewhere:
        raise ValueError(f"`{path}` must hold `{column.name}` itself as an array, got a group or a link elsewhere.")
    shape: tuple[int, ...] = facts.shape or ()
    is_label = column.shape == () and shape[1:] == (1,)
    if facts.dtype.kind not in column.kinds or len(shape) == 0 or not (shape[1:] == column.shape or is_label):
        expected = str(("num_clouds", *column.shape)).replace("'", "")
        raise ValueError(
            f"`{path}` must hold `{column.name}` of shape {expected} and kind {column.kinds!r}, got {shape} of "
            f"{facts.dtype}."
        )
    if not 0 < shape[0] <= _MOST_ROWS:
        raise ValueError(f"`{path}` must hold 1 to {_MOST_ROWS} clouds, got {shape[0]} in `{column.name}`.")
    # Chunks that were never written read as zeros.
    if facts.num_stored_bytes * _MOST_BYTES_PER_STORED_BYTE < facts.num_bytes:
        raise ValueError(
            f"`{path}` must hold the values of `{column.name}`, got an array that was not written in full."
        )
    if "f" in column.kinds:
        check_expansion(facts.num_bytes, facts.num_stored_bytes, path)
    return dataset


def _checked_datasets(file: Any, columns: Sequence[Hdf5Column], path: Path) -> dict[str, Any]:
    """Return the arrays of some columns, all with the same number of rows."""
    with reader_errors(path, HDF5_RULE):
        list(file)
    datasets = {column.name: _checked_dataset(file, column, path) for column in columns}
    datasets = {name: dataset for name, dataset in datasets.items() if dataset is not None}
    rows = {name: dataset.shape[0] for name, dataset in datasets.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"`{path}` must hold as many rows in every array, got {rows}.")
    return datasets


def check_hdf5(path: Path, columns: Sequence[Hdf5Column]) -> int:
    """Check that a file holds some arrays, without reading them.

    Args:
        path (`pathlib.Path`):
            File.
        columns (`Sequence[Hdf5Column]`):
            What it must hold.

    Returns:
        `int`: Number of clouds.

    Raises:
        ImportError: If h5py is not installed.
        ValueError: If the file cannot be opened, or a key is missing, links elsewhere, or has another shape or type.
    """
    with opened_hdf5(path) as file:
        datasets = _checked_datasets(file, columns, path)
        return int(next(iter(datasets.values())).shape[0])


def read_hdf5(path: Path, columns: Sequence[Hdf5Column]) -> dict[str, np.ndarray]:
    """Read some arrays of a file.

    Args:
        path (`pathlib.Path`):
            File.
        columns (`Sequence[Hdf5Column]`):
            What to read.

    Returns:
        `dict[str, np.ndarray]`: Array of each column that is there, of shape `(num_clouds, *column.shape)`.

    Raises:
        ImportError: If h5py is not installed.
        ValueError: As for `check_hdf5`, or if the values cannot be read.
    """
    with opened_hdf5(path) as file:
        datasets = _checked_datasets(file, columns, path)
        with reader_errors(path, HDF5_RULE):
            arrays = {name: dataset[()] for name, dataset in datasets.items()}
    shapes = {column.name: column.shape for column in columns}
    return {name: array.reshape(len(array), *shapes[name]) for name, array in arrays.items()}
