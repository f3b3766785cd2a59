"""A folder that is written to later: what is wrong with it is said before any work."""

import tempfile
from pathlib import Path


def check_writable_folder(argument: str, folder: str | Path, advice: str) -> None:
    """Make a folder unless it is there, and check that files can be written in it.

    Args:
        argument (`str`):
            What names the folder, for the message.
        folder (`str` or `pathlib.Path`):
            The folder.
        advice (`str`):
            What to do if it cannot be written, a sentence.

    Raises:
        ValueError: If it is no folder, or cannot be made or written; the message names it and the reason.
    """
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
