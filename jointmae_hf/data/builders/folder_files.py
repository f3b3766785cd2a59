"""Finding the files of a folder dataset: its splits, its classes, and a fingerprint of its state."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jointmae_hf.data.readers.formats import POINT_CLOUD_SUFFIXES

from .source_files import ARCHIVE_SUFFIXES, as_folder


logger = logging.getLogger(__name__)

_SPLIT_OF_FOLDER = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}


@dataclass(frozen=True)
class PointCloudFile:
    """One file of a folder dataset.

    Args:
        path (`pathlib.Path`):
            Where it is.
        id (`str`):
            Path below the dataset folder, with forward slashes.
        class_name (`str`, *optional*):
            Name of the folder that holds it; `None` if it lies directly in its split.
    """

    path: Path
    id: str
    class_name: str | None


def _raise(error: OSError) -> None:
    """Stop at a folder that cannot be listed; `os.walk` would pass over it."""
    raise ValueError(f"`data_dir` must hold readable folders only, got: {error}") from error


def _check_within(path: Path, places: Sequence[Path]) -> None:
    """Raise unless a path ends in one of some places; an archive may have left a link to any file of the machine."""
    real = path.resolve()
    if not any(real.is_relative_to(place) for place in places):
        raise ValueError(f"`{path}` must lie in `data_dir`, got a link to {real}. If you made it, set `follow_links`.")


def _places(data_dir: Path) -> list[Path]:
    """Where links may lead: the dataset itself, and where the cache of the Hub keeps the files of a snapshot."""
    real = data_dir.resolve()
    return [real, *(folder.parent / "blobs" for folder in real.parents if folder.name == "snapshots")]


def _walk(folder: Path, places: Sequence[Path]) -> list[Path]:
    """All visible files below `folder`, links within `places` followed, in sorted order."""
    files: list[Path] = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        _check_within(Path(parent), places)
        real = os.path.realpath(parent)
        if real in seen:
            raise ValueError(f"`data_dir` must reach every folder once, got a second way to {real}: {parent}.")
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names if not name.startswith(".")]
    for link in filter(Path.is_symlink, files):
        _check_within(link, places)
    return sorted(files)


def _split_folders(data_dir: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Folder of each split; `data_dir` itself is `train` when it holds no folder named after a split."""
    entries = sorted(entry for entry in data_dir.iterdir() if not entry.name.startswith("."))
    found: dict[str, Path] = {}
    for entry in entries:
        split = _SPLIT_OF_FOLDER.get(entry.name)
        if split is None or not entry.is_dir():
            continue
        if split in found:
            raise ValueError(f"`data_dir` must hold `val` or `validation`, got both in {data_dir}.")
        found[split] = entry
    if not found:
        return {"train": data_dir}
    strays = [entry.name for entry in entries if entry.is_dir() and entry not in found.values()]
    strays += [entry.name for entry in entries if entry.suffix.lower() in suffixes and entry.is_file()]
    if strays:
        raise ValueError(
            f"`data_dir` must hold nothing beside its splits {sorted(found)}, got {strays}. Move them into a split."
        )
    return {split: found[split] for split in ("train", "validation", "test") if split in found}


def _check_suffixes(suffixes: Sequence[str] | None) -> tuple[str, ...]:
    """Endings to read, in lower case; by default all that are known."""
    if suffixes is None:
        return POINT_CLOUD_SUFFIXES
    chosen = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    unknown = [suffix for suffix in chosen if suffix.lower() not in POINT_CLOUD_SUFFIXES]
    if unknown or not chosen:
        raise ValueError(f"`suffixes` must be of {', '.join(POINT_CLOUD_SUFFIXES)}, got {suffixes!r}.")
    return tuple(suffix.lower() for suffix in chosen)


def find_point_cloud_files(
    data_dir: str | Path, suffixes: Sequence[str] | None = None, follow_links: bool = False
) -> dict[str, list[PointCloudFile]]:
    """List the clouds of a folder dataset without reading them.

    Hidden files are ignored; files with other endings are named in a warning. Archives are never extracted.

    Args:
        data_dir (`str` or `pathlib.Path`):
            Folder with sub-folders `train`, `validation` (or `val`) and `test`, at least one of them; any other folder is
            one split `train`.
        suffixes (`Sequence[str]`, *optional*):
            Endings of the files to read, such as `[".off"]`. Defaults to `POINT_CLOUD_SUFFIXES`.
        follow_links (`bool`, *optional*, defaults to `False`):
            Whether symbolic links may lead out of `data_dir`. Those of a snapshot in the cache of the Hub may always.

    Returns:
        `dict[str, list[PointCloudFile]]`: Files of each split, sorted by path.

    Raises:
        ValueError: If `data_dir` is not a folder, an ending is unknown, a split is empty, something lies beside the
            splits, a file or folder cannot be read, a link leads out, or only some of the files lie in a class folder.
    """
    data_dir, suffixes = as_folder(data_dir), _check_suffixes(suffixes)
    splits: dict[str, list[PointCloudFile]] = {}
    ignored: list[str] = []
    places = [Path(data_dir.resolve().anchor)] if follow_links else _places(data_dir)
    for split, folder in _split_folders(data_dir, suffixes).items():
        paths = _walk(folder, places)
        others = [path for path in paths if path.suffix.lower() not in suffixes]
        ignored += [path.relative_to(data_dir).as_posix() for path in others]
        splits[split] = [_describe(path, folder, data_dir) for path in paths if path.suffix.lower() in suffixes]
        if not splits[split]:
            archives = [path.name for path in others if path.suffix.lower() in ARCHIVE_SUFFIXES]
            raise ValueError(
                f"`data_dir` must hold files that end in {', '.join(suffixes)}, got none in {folder}."
                + (f" Extract its archives first: {', '.join(archives)}." if archives else "")
            )
    if ignored:
        kinds = Counter(PurePosixPath(name).suffix or "without ending" for name in ignored)
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        examples = ", ".join(ignored[:5])
        logger.warning("Ignored %d files of other formats in %s (%s): %s", len(ignored), data_dir, counts, examples)
    _check_all_or_none_have_a_class(splits)
    return splits


def _describe(path: Path, folder: Path, data_dir: Path) -> PointCloudFile:
    """What is known of a file of the split in `folder`."""
    if not path.is_file():
        raise ValueError(f"`{path}` must be a regular file, got a broken link or a device.")
    class_name = None if path.parent == folder else path.parent.name
    return PointCloudFile(path, path.relative_to(data_dir).as_posix(), class_name)


def _check_all_or_none_have_a_class(splits: dict[str, list[PointCloudFile]]) -> None:
    """Raise unless every file or no file lies in a class folder."""
    files = [file for split in splits.values() for file in split]
    without = [file.id for file in files if file.class_name is None]
    if without and len(without) < len(files):
        raise ValueError(
            f"`data_dir` must hold all its files in class folders or none, got {len(without)} of {len(files)} outside, "
            f"such as {without[0]}. Move it, or name the endings to read in `suffixes`."
        )


def class_names_of(splits: dict[str, list[PointCloudFile]]) -> list[str] | None:
    """Sort the class names of all splits.

    Args:
        splits (`dict[str, list[PointCloudFile]]`):
            From `find_point_cloud_files`.

    Returns:
        `list[str]`: Names in the order of their labels, or `None` for a dataset without classes.
    """
    names = {file.class_name for files in splits.values() for file in files if file.class_name is not None}
    return sorted(names) or None


def folder_state(splits: dict[str, list[PointCloudFile]]) -> list[tuple[str, str, int, int]]:
    """Describe the files so that any change of the tree changes the description.

    Args:
        splits (`dict[str, list[PointCloudFile]]`):
            From `find_point_cloud_files`.

    Returns:
        `list[tuple[str, str, int, int]]`: Split, id, size in bytes and time of change in nanoseconds of every file.
    """
    state = []
    for split, files in splits.items():
        for file in files:
            status = file.path.stat()
            state.append((split, file.id, status.st_size, status.st_mtime_ns))
    return state
