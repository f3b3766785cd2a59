"""Sealed checkpoints: a folder counts only if its manifest, written last, agrees with every byte of every file."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from jointmae_hf.evaluation.results import installed_versions


MANIFEST_NAME = "manifest.json"
"""Name of the file that seals a checkpoint."""

PASSING_FIELDS = {"_name_or_path", "architectures", "auto_map", "dtype", "transformers_version"}
"""Fields of `config.json` that tell where and how it was saved, not what the model is."""

TRAINING_FIELDS = {"problem_type", "use_cache"}
"""Fields of `config.json` that training sets by itself."""


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or must not be read."""


def seal_checkpoint(folder: Path) -> None:
    """Write the manifest of a checkpoint, and all of its files to the disk.

    [`PointCloudTrainer`] does so with its own. Do it by hand only with a checkpoint of another trainer that you know to
    be whole.

    Args:
        folder (`pathlib.Path`):
            Of the checkpoint, with `trainer_state.json` and `config.json`.
    """
    files = {}
    for path in _files(folder):
        write_through(path)
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": _digest(path)}
    content = {
        "step": _read_json(folder / "trainer_state.json")["global_step"],
        "config": _digest_of(_settings(_read_json(folder / "config.json"))),
        "versions": installed_versions(),
        "files": files,
    }
    manifest = folder / MANIFEST_NAME
    manifest.write_text(_sealed_text(content), encoding="utf-8")
    for path in (manifest, *_folders(folder)):
        write_through(path)


def verify_checkpoint(folder: Path) -> dict[str, Any]:
    """Compare a checkpoint with its manifest, byte by byte.

    Args:
        folder (`pathlib.Path`):
            Of the checkpoint.

    Returns:
        `dict[str, Any]`: The manifest: `step`, `config` (a digest), `versions` and `files`.

    Raises:
        CheckpointError: If a file is missing, has another size or other bytes, or there is no manifest. Names the file.
    """
    manifest = read_manifest(folder)
    for name, known in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{folder} is broken: {name} is missing.")
        size = path.stat().st_size
        if size != known["size"]:
            raise CheckpointError(f"{folder} is broken: {name} has {size:,} bytes in place of {known['size']:,}.")
        if _digest(path) != known["sha256"]:
            raise CheckpointError(f"{folder} is broken: {name} has other bytes than when it was saved.")
    return manifest


def check_checkpoint_config(folder: Path, config: PreTrainedConfig) -> None:
    """Check that a checkpoint is of the model that is trained: weights that do not fit would be left out silently.

    Args:
        folder (`pathlib.Path`):
            A checkpoint that was verified.
        config (`transformers.PreTrainedConfig`):
            Of the model.

    Raises:
        CheckpointError: If a field differs. Names the fields.
    """
    saved, own = _settings(_read_json(folder / "config.json")), _settings(json.loads(config.to_json_string()))
    differing = sorted(name for name in {*saved, *own} if saved.get(name) != own.get(name))
    if differing:
        raise CheckpointError(
            f"`resume_from_checkpoint` must be of the model that is trained, got {folder} with other values of "
            f"{', '.join(differing)}. Resume with the flags of the first start, or choose another folder."
        )


def write_through(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder.

    Args:
        path (`pathlib.Path`):
            Of the file or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a checkpoint, without looking at the other files.

    Args:
        folder (`pathlib.Path`):
            Of the checkpoint.

    Returns:
        `dict[str, Any]`: As of [`verify_checkpoint`].

    Raises:
        CheckpointError: If there is none, or it is not as it was written.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is broken: {MANIFEST_NAME} is missing, so it was not saved to its end or not by this package."
        )
    text = path.read_bytes().decode("utf-8", errors="replace")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{folder} is broken: {MANIFEST_NAME} cannot be read.") from error
    unsealed = {name: value for name, value in content.items() if name != "seal"} if isinstance(content, dict) else {}
    if text != _sealed_text(unsealed):
        raise CheckpointError(f"{folder} is broken: {MANIFEST_NAME} has other bytes than when it was saved.")
    return unsealed


def _sealed_text(content: Mapping[str, Any]) -> str:
    """JSON of a manifest, whose own digest is its last entry."""
    return json.dumps({**content, "seal": _digest_of(content)}, indent=2) + "\n"


def _digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of a mapping, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a configuration that say what the model is."""
    return {name: value for name, value in config.items() if name not in PASSING_FIELDS | TRAINING_FIELDS}


def _read_json(path: Path) -> Any:
    """Content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _files(folder: Path) -> list[Path]:
    """Files of a checkpoint but its manifest."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)


def _folders(folder: Path) -> list[Path]:
    """A folder and those within it."""
    return [*(path for path in folder.rglob("*") if path.is_dir()), folder]
