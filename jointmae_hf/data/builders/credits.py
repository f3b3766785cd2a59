"""The table of licenses and credits of a `folder` dataset: a CSV file with one line for each point cloud file."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from .source_files import first_of


logger = logging.getLogger(__name__)

CREDIT_COLUMNS = {"name": ("name", "file", "file_name"), "license": ("license", "licence"), "credit": ("credit",)}
"""Columns of the table, each with the headings that it may have; further columns are ignored."""


def read_credits(path: str | Path, names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Read the license and the credit of every file.

    Args:
        path (`str` or `pathlib.Path`):
            CSV file in UTF-8 with the headings of `CREDIT_COLUMNS`.
        names (`Sequence[str]`):
            Files of the dataset, as paths below its folder. The table names them with or without their ending.

    Returns:
        `dict[str, tuple[str, str]]`: License and credit by name; a credit may be empty.

    Raises:
        ValueError: If the table cannot be read, lacks a column, has two lines of one name, or has no line or no license for
            some of the files; the message names them.
    """
    rows = _read_rows(Path(path))
    found = {name: rows.get(name, rows.get(PurePosixPath(name).with_suffix("").as_posix())) for name in names}
    missing = [name for name, row in found.items() if row is None]
    if missing:
        raise ValueError(
            f"`credits_file` must have a line for each of {len(names)} files, got none in {path} for {len(missing)}: "
            f"{first_of(missing)}. Add them."
        )
    without_license = [name for name, row in found.items() if row is not None and not row[0]]
    if without_license:
        raise ValueError(
            f"`credits_file` must name a license for each file, got none in {path} for {len(without_license)}: "
            f"{first_of(without_license)}. Add them."
        )
    known = {*names, *(PurePosixPath(name).with_suffix("").as_posix() for name in names)}
    unused = [name for name in rows if name not in known]
    if unused:
        logger.warning("Ignored %d lines of %s that name no file: %s", len(unused), path, first_of(unused))
    return {name: row for name, row in found.items() if row is not None}


def _read_rows(path: Path) -> dict[str, tuple[str, str]]:
    """Return license and credit by the name of each line."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            lines, headings = list(reader), list(reader.fieldnames or [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"`credits_file` must be a CSV file in UTF-8, got {path}: {error}") from error
    columns = {name: [heading for heading in headings if heading in known] for name, known in CREDIT_COLUMNS.items()}
    for name, found in columns.items():
        if len(found) != 1:
            raise ValueError(
                f"`credits_file` must have the columns name, license and credit, got {headings} in {path}, where {len(found)} "
                f"are the {name}. Name one of them {name}."
            )
    rows: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=2):
        if None in line:
            raise ValueError(
                f"`credits_file` must have {len(headings)} values in each line, got more in entry {number} of {path}. Put "
                "values with commas in quotation marks."
            )
        # A line may be too short; the Markdown of a card has no line breaks within an item, a name all that its file has.
        name, terms, credit = (line[heading] or "" for (heading,) in columns.values())
        terms, credit = " ".join(terms.split()), " ".join(credit.split())
        if name in rows:
            raise ValueError(f"`credits_file` must have one line for each file, got {name!r} twice in {path}.")
        rows[name] = terms, credit
    return rows
