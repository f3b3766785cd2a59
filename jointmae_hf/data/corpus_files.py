"""The files of a published corpus: how they are found in its tree, listed and described.

Independent of `datasets`' builders, which replace `open` and `os.path` in the module that they are defined in.
"""

import logging
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np


logger = logging.getLogger(__name__)

FileState = tuple[str, int, int]
Arrays = Sequence[np.ndarray] | np.ndarray


@dataclass(frozen=True)
class Clouds:
    """Consecutive clouds of a corpus, as `point_cloud_table` takes them; `None` is a column that it does not have."""

    points: Arrays
    ids: Sequence[str]
    labels: Sequence[int]
    part_labels: Arrays | None = None
    normals: Arrays | None = None
    is_background: Arrays | None = None
    synsets: Sequence[str] | None = None

    def columns(self, start: int, end: int) -> dict[str, Any]:
        """Arguments of `point_cloud_table` for the clouds from `start` to `end`."""
        return {name: None if values is None else values[start:end] for name, values in vars(self).items()}


class CorpusFiles(Protocol):
    """A corpus whose files have been found and not been read.

    `paths` are all files that the result depends on; `splits` are the parts that can be read alone, by split.
    """

    @property
    def paths(self) -> Sequence[Path]:
        """All files that the corpus is read from."""

    @property
    def splits(self) -> Mapping[str, Sequence[Any]]:
        """Parts of every split, in the order of the corpus."""

    def check(self) -> None:
        """Raise a `ValueError` for whatever is wrong and can be seen without reading every cloud."""

    def read(self, part: Any) -> Clouds:
        """Read one part, or raise a `ValueError` that names the file."""


@dataclass(frozen=True)
class ListedFile:
    """A file of one cloud.

    Args:
        path (`pathlib.Path`):
            Where it is.
        id (`str`):
            Name of the cloud.
        label (`int`):
            Its class.
        synset (`str`, *optional*, defaults to `""`):
            WordNet offset of the class.
    """

    path: Path
    id: str
    label: int
    synset: str = ""


def as_folder(data_dir: str | Path | None) -> Path:
    """Check that a corpus folder is given and exists.

    Args:
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder.

    Returns:
        `pathlib.Path`: The folder.

    Raises:
        ValueError: If it is not a folder.
    """
    if data_dir is None:
        raise ValueError("`data_dir` must name the folder of the corpus, got None.")
    if not Path(data_dir).is_dir():
        raise ValueError(f"`data_dir` must be an existing folder, got {data_dir}.")
    return Path(data_dir)


def find_folder(data_dir: Path, *names: str) -> Path:
    """Enter the first of some folders that exists.

    Args:
        data_dir (`pathlib.Path`):
            Folder to look in.
        names (`str`):
            Folders of the published archive, relative to `data_dir`.

    Returns:
        `pathlib.Path`: The folder found, else `data_dir` itself.
    """
    return next((data_dir / name for name in names if (data_dir / name).is_dir()), data_dir)


def choose_layout(found: Mapping[str, Path], layout: str | None, data_dir: Path) -> str:
    """Choose the layout of a corpus from those that its tree shows.

    Args:
        found (`Mapping[str, pathlib.Path]`):
            Layouts present, with their folders.
        layout (`str`, *optional*):
            The one to take.
        data_dir (`pathlib.Path`):
            Folder, for the message.

    Returns:
        `str`: The layout.

    Raises:
        ValueError: If there is none, or several and `layout` does not choose, or the chosen one is not there.
    """
    if layout is not None:
        if layout not in found:
            raise ValueError(f"`layout` must be one that {data_dir} holds, {sorted(found) or 'none'}, got {layout!r}.")
        return layout
    if not found:
        raise ValueError(f"`data_dir` must hold one of the layouts of the corpus, got none in {data_dir}.")
    if len(found) > 1:
        raise ValueError(
            f"`data_dir` must hold one layout, got {', '.join(f'{name} in {folder}' for name, folder in found.items())}. "
            f"Choose by `layout={next(iter(found))!r}` or another of them."
        )
    return next(iter(found))


def read_names(path: Path) -> list[str]:
    """Read a list of names, one a line.

    Args:
        path (`pathlib.Path`):
            Text file.

    Returns:
        `list[str]`: Names without white space around them.

    Raises:
        ValueError: If the file cannot be read or holds no names, or a name occurs twice or leads out of its folder.
    """
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"`{path}` must be a list of names, one a line, got: {error}") from error
    return check_names(names, path)


def check_names(names: Sequence[str], path: Path) -> list[str]:
    """Check names that a list of the corpus gives.

    Args:
        names (`Sequence[str]`):
            Names, which may hold folders.
        path (`pathlib.Path`):
            The list, for the message.

    Returns:
        `list[str]`: The names.

    Raises:
        ValueError: If there are none, or a name occurs twice or leads out of its folder.
    """
    if not names:
        raise ValueError(f"`{path}` must hold at least one name, got none.")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"`{path}` must hold every name once, got {name!r} twice.")
        if "\\" in name or "\0" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ValueError(f"`{path}` must hold names within the corpus, got {name!r}.")
        seen.add(name)
    return list(names)


def parts_of(files: Sequence[Any], size: int = 128) -> list[tuple[Any, ...]]:
    """Cut a list of files into parts that are read and written together.

    Args:
        files (`Sequence[Any]`):
            Files.
        size (`int`, *optional*, defaults to 128):
            Files of a part.

    Returns:
        `list[tuple[Any, ...]]`: Parts.
    """
    return [tuple(files[start : start + size]) for start in range(0, len(files), size)]


def check_disjoint(names: Mapping[str, Sequence[str]]) -> None:
    """Check that no cloud is in two splits.

    Args:
        names (`Mapping[str, Sequence[str]]`):
            Names of every split.

    Raises:
        ValueError: If one is in two.
    """
    split_of: dict[str, str] = {}
    for split, members in names.items():
        for name in members:
            if split_of.setdefault(name, split) != split:
                raise ValueError(f"Splits must be disjoint, got {name!r} in {split_of[name]} and {split}.")


def files_state(paths: Sequence[Path]) -> list[FileState]:
    """Describe files so that any change of them changes the description.

    Args:
        paths (`Sequence[pathlib.Path]`):
            Files.

    Returns:
        `list[tuple[str, int, int]]`: Path, size in bytes and time of change in nanoseconds of every file.

    Raises:
        ValueError: If some are missing, empty or not regular files; the message counts and names them.
    """
    state: list[FileState] = []
    bad: list[str] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            bad.append(f"{path} (missing)")
            continue
        if not stat.S_ISREG(status.st_mode):
            bad.append(f"{path} (not a file)")
        elif status.st_size == 0:
            bad.append(f"{path} (empty)")
        state.append((str(path), status.st_size, status.st_mtime_ns))
    if bad:
        raise ValueError(f"All {len(paths)} files of the corpus must be there, got {len(bad)} bad: {_some(bad)}.")
    return state


def warn_of_unlisted(corpus: str, present: set[str], listed: set[str]) -> None:
    """Warn of files that no list of the corpus names.

    Args:
        corpus (`str`):
            Name of the corpus.
        present (`set[str]`):
            Files that are there.
        listed (`set[str]`):
            Files that are read.
    """
    unlisted = sorted(present - listed)
    if unlisted:
        logger.warning("%s: %d files are in no list and are left out: %s", corpus, len(unlisted), _some(unlisted))


def warn_of_shared(corpus: str, names: Mapping[str, Sequence[str]]) -> None:
    """Warn of clouds that are in two splits.

    Args:
        corpus (`str`):
            Name of the corpus.
        names (`Mapping[str, Sequence[str]]`):
            Names of every split, each once.
    """
    counts = Counter(name for members in names.values() for name in members)
    shared = [name for name, count in counts.items() if count > 1]
    if shared:
        logger.warning("%s: %d clouds are in two splits and stay there: %s", corpus, len(shared), _some(shared))


def warn_of_counts(corpus: str, counts: Mapping[str, int], official: Mapping[str, int]) -> None:
    """Warn when a corpus is not as large as the published one.

    Args:
        corpus (`str`):
            Name of the corpus.
        counts (`Mapping[str, int]`):
            Clouds of every split.
        official (`Mapping[str, int]`):
            Clouds of every split as published.
    """
    if dict(counts) != dict(official):
        logger.warning("%s: the published splits hold %s clouds, these %s.", corpus, dict(official), dict(counts))


def _some(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
