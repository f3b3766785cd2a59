"""Atomic checkpoints: a folder counts only if its manifest, written last, matches every byte of every file."""

import errno
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedConfig
from transformers.utils import SAFE_WEIGHTS_NAME


logger = logging.getLogger(__name__)

MANIFEST_NAME = "manifest.json"
"""Name of the file that makes a checkpoint count."""

CONFIG_NAMES = ("config.json", "adapter_config.json")
"""Files that describe a model, of transformers and of PEFT; a checkpoint has one of them."""

PROVENANCE_FIELDS = {
    *("_name_or_path", "architectures", "auto_map", "dtype", "transformers_version"),
    *("auto_mapping", "base_model_name_or_path", "peft_version", "revision"),
}
"""Fields of a configuration about where and how it was saved, not about the model."""

TRAINING_FIELDS = {"inference_mode", "problem_type", "use_cache"}
"""Fields of a configuration that training sets by itself."""


class CheckpointError(RuntimeError):
    """A checkpoint could not be written, or must not be read."""


def write_manifest(folder: Path, versions: Mapping[str, str | None] | None = None) -> None:
    """Flush all files of a checkpoint to the disk, then write its manifest.

    [`ManifestCallback`] does this after each save. Call it yourself only for a checkpoint of another trainer that you
    know to be complete.

    Args:
        folder (`pathlib.Path`):
            The checkpoint, with `trainer_state.json` and `config.json`, or `adapter_config.json` of PEFT.
        versions (`Mapping[str, str | None]`, *optional*):
            Installed versions to record; a resumed run warns about differences.
    """
    files = {}
    for path in _list_files(folder):
        _flush(path)
        files[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": _file_digest(path)}
    content = {
        "step": _read_json(folder / "trainer_state.json")["global_step"],
        "config": _digest(_saved_fields(folder)),
        "versions": dict(versions or {}),
        "files": files,
    }
    manifest = folder / MANIFEST_NAME
    manifest.write_text(_to_text(content), encoding="utf-8")
    folders = [path for path in folder.rglob("*") if path.is_dir()]
    for path in (manifest, *folders, folder, folder.absolute().parent):
        _flush(path)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a checkpoint and check it against its own digest, but not the other files."""
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise CheckpointError(
            f"{folder} is broken: {MANIFEST_NAME} is missing. Its save was interrupted, or it is not from this package."
        )
    text = path.read_bytes().decode("utf-8", errors="replace")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{folder} is broken: {MANIFEST_NAME} is not valid JSON.") from error
    content = {name: value for name, value in content.items() if name != "digest"} if isinstance(content, dict) else {}
    if text != _to_text(content):
        raise CheckpointError(f"{folder} is broken: {MANIFEST_NAME} has a checksum mismatch.")
    return content


def verify_manifest(folder: Path) -> dict[str, Any]:
    """Compare every file of a checkpoint with the manifest.

    Args:
        folder (`pathlib.Path`):
            The checkpoint.

    Returns:
        `dict[str, Any]`: The manifest: `step`, `config` (a digest), `versions` and `files`.

    Raises:
        CheckpointError: If a file is missing, has another size or a checksum mismatch, or there is no manifest. Names
            the file.
    """
    manifest = read_manifest(folder)
    for name, known in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{folder} is broken: {name} is missing.")
        size = path.stat().st_size
        if size != known["size"]:
            raise CheckpointError(f"{folder} is broken: {name} has {size:,} bytes instead of {known['size']:,}.")
        if _file_digest(path) != known["sha256"]:
            raise CheckpointError(f"{folder} is broken: {name} has a checksum mismatch.")
    return manifest


def check_checkpoint_config(folder: Path, config: Any) -> None:
    """Refuse a checkpoint of another model, whose weights would be skipped silently; `config` is of transformers or PEFT."""
    saved, own = _saved_fields(folder), _own_fields(config)
    differing = sorted(name for name in {*saved, *own} if saved.get(name) != own.get(name))
    if differing:
        raise CheckpointError(
            f"`resume_from_checkpoint` must be of the model in training, got {folder} with other values of "
            f"{', '.join(differing)}. Resume with the flags of the first start, or choose another folder."
        )


def check_checkpoint_is_resumable(folder: Path, versions: Mapping[str, str | None]) -> None:
    """Refuse weights without an optimizer, and warn of versions that may round differently."""
    manifest = read_manifest(folder)
    if not any("optim" in name for name in manifest["files"]):
        raise CheckpointError(
            f"`resume_from_checkpoint` must hold the state of the optimizer, got {folder}, which was saved with "
            "`save_only_model`. Start a new run from its weights instead."
        )
    known = manifest["versions"]
    changed = [
        f"{name} {known.get(name)} -> {version}" for name, version in versions.items() if known.get(name) != version
    ]
    if changed:
        logger.warning("%s was saved with other versions; results may differ: %s.", folder, ", ".join(changed))


def list_checkpoints(output_dir: Path) -> list[Path]:
    """List the checkpoints of a run, valid or not.

    Args:
        output_dir (`pathlib.Path`):
            Folder of the run; it need not exist.

    Returns:
        `list[pathlib.Path]`: Folders `checkpoint-<step>`, by step.
    """
    found = [path for path in output_dir.glob("checkpoint-*") if path.is_dir() and _step(path).isdecimal()]
    return sorted(found, key=lambda path: int(_step(path)))


def find_last_checkpoint(output_dir: Path) -> Path | None:
    """Find the newest valid checkpoint; a warning names each newer one that is broken, and why.

    Args:
        output_dir (`pathlib.Path`):
            Folder of the run; it need not exist.

    Returns:
        `pathlib.Path`, *optional*: The checkpoint, or `None` if there are none at all.

    Raises:
        CheckpointError: If there are checkpoints, and all of them are broken.
    """
    errors = []
    for folder in reversed(list_checkpoints(output_dir)):
        try:
            verify_manifest(folder)
        except CheckpointError as error:
            logger.warning("%s Trying the next older checkpoint.", error)
            errors.append(str(error))
        else:
            return folder
    if errors:
        raise CheckpointError(
            f"`output_dir` must hold a valid checkpoint to resume from, got {len(errors)} broken ones. {errors[0]} "
            "Remove them to start again, or choose another folder."
        )
    return None


def remove_checkpoint(folder: Path) -> None:
    """Remove a checkpoint, its manifest first, so that what is left at any moment does not look valid."""
    (folder / MANIFEST_NAME).unlink(missing_ok=True)
    # A file that another program holds open on a network disk may stay; without a manifest it does no harm.
    shutil.rmtree(folder, ignore_errors=True)


def rotate_checkpoints(output_dir: Path, limit: int | None, kept: Collection[str]) -> None:
    """Remove checkpoints beyond a limit: those without a manifest first, then the ones written first."""
    checkpoints = list_checkpoints(output_dir)
    surplus = len(checkpoints) - limit if limit and limit > 0 else 0
    removable = [path for path in checkpoints if path.name not in kept]
    removable.sort(key=lambda path: ((path / MANIFEST_NAME).is_file(), path.stat().st_mtime_ns))
    for path in removable[: max(0, surplus)]:
        remove_checkpoint(path)


@contextmanager
def report_failed_write(folder: Path) -> Iterator[None]:
    """Name the file of a checkpoint that could not be written, and remove the checkpoint to make room."""
    try:
        yield
    except CheckpointError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        free = shutil.disk_usage(folder.parent).free
        name = _failed_file(folder, error)
        remove_checkpoint(folder)
        reason = str(error).partition("\n")[0]
        is_full = not isinstance(error, OSError) or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = " Free some space, then resume." if is_full else ""
        raise CheckpointError(
            f"{folder.name} could not be saved: {name} could not be written ({reason}); the disk has {free:,} bytes "
            f"left. Older checkpoints are intact.{advice}"
        ) from error


def _failed_file(folder: Path, error: Exception) -> str:
    """Return the name of the file that is incomplete, which neither torch nor safetensors reports."""
    if isinstance(error, OSError) and error.filename:
        return Path(error.filename).name
    if isinstance(error, SafetensorError):
        return SAFE_WEIGHTS_NAME
    incomplete = (path.name for path in sorted(folder.rglob("*")) if path.is_file() and not _is_complete(path))
    return next(incomplete, "a file")


def _is_complete(path: Path) -> bool:
    """Return whether a file of JSON or of torch was written to its end."""
    if path.suffix == ".json":
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return False
        return True
    return path.suffix == ".safetensors" or zipfile.is_zipfile(path)


def _flush(path: Path) -> None:
    """Wait until the disk holds a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _to_text(content: Mapping[str, Any]) -> str:
    """Return the JSON of a manifest, whose own digest is its last entry."""
    return json.dumps({**content, "digest": _digest(content)}, indent=2) + "\n"


def _digest(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a mapping, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _saved_fields(folder: Path) -> dict[str, Any]:
    """Return the fields of a checkpoint's configuration that define its model."""
    paths = [folder / name for name in CONFIG_NAMES if (folder / name).is_file()]
    if not paths:
        raise CheckpointError(f"{folder} must hold {' or '.join(CONFIG_NAMES)}, got neither.")
    return _model_fields(_read_json(paths[0]))


def _own_fields(config: Any) -> dict[str, Any]:
    """Return the fields of a configuration that define its model, as they are saved."""
    if isinstance(config, PreTrainedConfig):
        return _model_fields(json.loads(config.to_json_string()))
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        return _saved_fields(Path(folder))


def _model_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a configuration that define the model."""
    return {name: value for name, value in config.items() if name not in PROVENANCE_FIELDS | TRAINING_FIELDS}


def _read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _list_files(folder: Path) -> list[Path]:
    """List the files of a checkpoint except its manifest."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)


def _step(checkpoint: Path) -> str:
    """Return what follows the last hyphen in the name of a checkpoint."""
    return checkpoint.name.rpartition("-")[2]
