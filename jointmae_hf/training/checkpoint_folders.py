"""Checkpoints in the folder of a run: the last whole one, the step from unfinished to published, and rotation."""

import logging
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from .checkpoints import CheckpointError, seal_checkpoint, verify_checkpoint, write_through


logger = logging.getLogger(__name__)

UNFINISHED_FOLDER = "_unfinished"
"""Folder, in that of the run, of checkpoints that are being written or removed."""


def list_checkpoints(output_dir: Path) -> list[Path]:
    """List the checkpoints of a run, whole or broken.

    Args:
        output_dir (`pathlib.Path`):
            Folder of the run; it need not exist.

    Returns:
        `list[pathlib.Path]`: Folders `checkpoint-<step>`, by step.
    """
    found = [path for path in output_dir.glob("checkpoint-*") if path.is_dir() and _step(path).isdecimal()]
    return sorted(found, key=lambda path: int(_step(path)))


def find_last_checkpoint(output_dir: Path) -> Path | None:
    """Find the newest checkpoint that is whole; a warning names each newer one that is not, and why.

    Args:
        output_dir (`pathlib.Path`):
            Folder of the run; it need not exist.

    Returns:
        `pathlib.Path`, *optional*: The checkpoint, or `None` where there is none at all.

    Raises:
        CheckpointError: If there are checkpoints, and all of them are broken.
    """
    errors = []
    for folder in reversed(list_checkpoints(output_dir)):
        try:
            verify_checkpoint(folder)
        except CheckpointError as error:
            logger.warning("%s The next older checkpoint is tried.", error)
            errors.append(str(error))
        else:
            return folder
    if errors:
        raise CheckpointError(
            f"`output_dir` must hold a whole checkpoint to resume from, got {len(errors)} broken ones. {errors[0]} "
            "Remove them to start anew, or choose another folder."
        )
    return None


def unfinished_folder(output_dir: Path) -> Path:
    """Make an empty folder to write a checkpoint in, without what a killed run left there.

    Args:
        output_dir (`pathlib.Path`):
            Folder of the run.

    Returns:
        `pathlib.Path`: The folder. Its name keeps it out of pushes to the Hub.
    """
    folder = output_dir / UNFINISHED_FOLDER
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def publish_checkpoint(unfinished: Path, output_dir: Path) -> Path:
    """Seal a checkpoint and give it its final name; it takes the place of one of the same step.

    Args:
        unfinished (`pathlib.Path`):
            Folder `checkpoint-<step>` within [`unfinished_folder`], written to its end.
        output_dir (`pathlib.Path`):
            Folder of the run.

    Returns:
        `pathlib.Path`: The checkpoint.
    """
    seal_checkpoint(unfinished)
    target = output_dir / unfinished.name
    if target.exists():
        os.rename(target, unfinished.with_name(f"old-{target.name}"))
    os.rename(unfinished, target)
    write_through(output_dir)
    return target


def remove_old_checkpoints(output_dir: Path, limit: int | None, kept: Collection[str]) -> None:
    """Remove the checkpoints that were written first; each disappears at once, before its files do.

    Args:
        output_dir (`pathlib.Path`):
            Folder of the run.
        limit (`int`, *optional*):
            Most checkpoints that stay; all of them without it.
        kept (`Collection[str]`):
            Names of those that stay in any case, such as the last and the best.
    """
    checkpoints, unfinished = list_checkpoints(output_dir), output_dir / UNFINISHED_FOLDER
    surplus = len(checkpoints) - limit if limit and limit > 0 else 0
    removable = [path for path in checkpoints if path.name not in kept]
    for path in sorted(removable, key=lambda path: path.stat().st_mtime_ns)[: max(0, surplus)]:
        unfinished.mkdir(exist_ok=True)
        os.rename(path, unfinished / f"old-{path.name}")
    # A file that another program holds open on a network disk may stay: the next save removes it, or says why not.
    shutil.rmtree(unfinished, ignore_errors=True)


def _step(checkpoint: Path) -> str:
    """What follows the last hyphen of a checkpoint's name."""
    return checkpoint.name.rpartition("-")[2]
