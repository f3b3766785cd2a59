"""Read the text files of published datasets: tables of numbers of a known width."""

import warnings
from pathlib import Path

import numpy as np

from .validation import reader_errors


def read_numbers(
    path: Path, num_columns: int, num_rows: int | None = None, delimiter: str | None = None
) -> np.ndarray:
    """Read a table of numbers.

    Args:
        path (`pathlib.Path`):
            Text file without a header.
        num_columns (`int`):
            Numbers of every line.
        num_rows (`int`, *optional*):
            Lines. Any number but zero without it.
        delimiter (`str`, *optional*):
            What separates numbers; whitespace without it.

    Returns:
        `np.ndarray`: float32 of shape `(num_rows, num_columns)`.

    Raises:
        ValueError: If the file cannot be read or has another size, as when it was cut off.
    """
    with reader_errors(path, f"hold lines of {num_columns} numbers"), warnings.catch_warnings():
        warnings.simplefilter("error")
        numbers = np.loadtxt(path, dtype=np.float32, delimiter=delimiter, comments=None, ndmin=2)
    if numbers.shape[1] != num_columns:
        raise ValueError(f"`{path}` must hold lines of {num_columns} numbers, got {numbers.shape[1]}.")
    if num_rows is not None and len(numbers) != num_rows:
        raise ValueError(f"`{path}` must hold {num_rows} lines, got {len(numbers)}.")
    return numbers
