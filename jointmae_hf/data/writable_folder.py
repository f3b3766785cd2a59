"""Check that a folder can be written before any work; needs no `datasets`."""

import tempfile
from pathlib import Path


def check_writable_folder(argument: str, folder: str | Path, advice: str) -> None:
    """Create a folder unless it exists, and raise an error that names `argument` if files cannot be written in it."""
    folder = Path(folder).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"probe")
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"`{argument}` must be a folder that can be written, got {folder} ({reason}). {advice}"
        ) from error
