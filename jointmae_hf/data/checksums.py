"""Checksums of a converted dataset in the form of `sha256sum`, which plain readers of Parquet do not have."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from jointmae_hf.data.builders.dataset_source import DatasetError


CHECKSUMS_NAME = "SHA256SUMS"


def write_checksums(folder: Path, paths: Sequence[Path]) -> Path:
    """Write the SHA-256 of some files, so that `sha256sum --check SHA256SUMS` verifies them.

    Args:
        folder (`pathlib.Path`):
            Where the list goes.
        paths (`Sequence[pathlib.Path]`):
            Files below `folder`.

    Returns:
        `pathlib.Path`: The list.
    """
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in sorted(paths)]
    (folder / CHECKSUMS_NAME).write_text("".join(lines), encoding="utf-8")
    return folder / CHECKSUMS_NAME


def verify_checksums(folder: str | os.PathLike[str]) -> list[Path]:
    """Compare the files of a converted dataset with its checksums.

    `datasets.load_dataset` does not: it reads coordinates with a flipped bit without a word.

    Args:
        folder (`str` or `os.PathLike`):
            What `convert_to_parquet` wrote, also after a download.

    Returns:
        `list[pathlib.Path]`: Files that were compared.

    Raises:
        DatasetError: If there is no list, a file is missing or altered, or Parquet lies beside those listed; the message
            names each of them.
    """
    folder = Path(folder)
    if not (folder / CHECKSUMS_NAME).is_file():
        raise DatasetError(f"`folder` must hold {CHECKSUMS_NAME}, got none in {folder}. Convert the dataset again.")
    lines = (folder / CHECKSUMS_NAME).read_text(encoding="utf-8").splitlines()
    listed = {folder / name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    broken = [f"{path} missing" for path in listed if not path.is_file()]
    broken += [f"{path} altered" for path, digest in listed.items() if path.is_file() and _sha256(path) != digest]
    broken += [f"{path} not listed" for path in sorted(folder.rglob("*.parquet")) if path not in listed]
    if broken or not listed:
        raise DatasetError(
            f"`folder` must hold the files of {CHECKSUMS_NAME} as they were written, got "
            f"{', '.join(broken) or 'an empty list'}. Convert or download the dataset again."
        )
    return list(listed)


def _sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
