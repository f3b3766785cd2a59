"""The files of a dataset in the cache of `datasets`: sealed when they are built, compared whenever they are loaded."""

import hashlib
import json
from pathlib import Path

import xxhash  # which datasets depends on

from .dataset_source import DatasetError


SEAL_NAME = "seal.json"


class SealedCache:
    """Part of a builder, before `datasets.ArrowBasedBuilder`: seals what was built before it gets its final name.

    Arrow has no checksums: coordinates with a flipped bit are read as they are, without a word.
    """

    _output_dir: str

    def _save_info(self) -> None:
        """Write what `datasets` writes last, then the seal."""
        super()._save_info()  # type: ignore[misc]
        seal_folder(Path(self._output_dir))


def seal_folder(folder: Path) -> None:
    """Write size and checksum of every file of a folder into its `seal.json`.

    Args:
        folder (`pathlib.Path`):
            Folder of files that are complete.
    """
    paths = sorted(path for path in folder.iterdir() if path.name != SEAL_NAME)
    seal = {path.name: [path.stat().st_size, _digest(path)] for path in paths}
    (folder / SEAL_NAME).write_text(json.dumps(seal, indent=2) + "\n", encoding="utf-8")


def check_seal(folder: Path) -> None:
    """Compare a folder with its seal: 128 bits of XXH3, which finds every accident and no attack.

    Args:
        folder (`pathlib.Path`):
            Folder from [`seal_folder`].

    Raises:
        DatasetError: If a file is missing, was cut or altered, or the seal was; the message names all of them.
    """
    try:
        seal = json.loads((folder / SEAL_NAME).read_text(encoding="utf-8"))
        broken = [problem for name, kept in seal.items() if (problem := _problem(folder / name, *kept))]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        broken = [f"{folder / SEAL_NAME} ({error})"]
    if broken:
        raise DatasetError(
            f"The cache of the dataset must be as it was built, got {', '.join(broken)}. "
            f"Remove {folder} to have it built again, and look after the disk."
        )


def _problem(path: Path, size: int, digest: str) -> str | None:
    """What is wrong with a file, the cheap checks first."""
    if not path.is_file():
        return f"{path} missing"
    if path.stat().st_size != size:
        return f"{path} with {path.stat().st_size} bytes in place of {size}"
    return None if _digest(path) == digest else f"{path} with other contents"


def _digest(path: Path) -> str:
    """Checksum of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, xxhash.xxh3_128).hexdigest()
