"""The files of a published dataset: how they are found in its tree, described and read in parts.

Independent of `datasets`' builders, which replace `open` and `os.path` in the module that they are defined in.
"""

import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .split_lists import first_of


FileState = tuple[str, int, int]
Arrays = Sequence[np.ndarray] | np.ndarray

ARCHIVE_SUFFIXES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst")
"""Endings of archives, which are never extracted here."""


@dataclass(frozen=True)
class Clouds:
    """Consecutive clouds of a dataset, as `point_cloud_table` takes them; `None` is a column that it does not have."""

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


class SourceFiles(Protocol):
    """A dataset whose files have been found and not been read.

    `paths` are all files that the result depends on; `splits` are the parts that can be read alone, by split.
    """

    @property
    def paths(self) -> Sequence[Path]:
        """All files that the dataset is read from."""

    @property
    def splits(self) -> Mapping[str, Sequence[Any]]:
        """Parts of every split, in the order of the dataset."""

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


@dataclass(frozen=True)
class ListedFiles:
    """What the layouts of one file a cloud share; a layout adds `read`. See `SourceFiles`.

    Args:
        files (`Mapping[str, Sequence[ListedFile]]`):
            Clouds of every split.
        lists (`Sequence[pathlib.Path]`):
            Other files that the dataset depends on.
    """

    files: Mapping[str, Sequence[ListedFile]]
    lists: Sequence[Path]

    @property
    def paths(self) -> list[Path]:
        """The lists and all clouds."""
        return [*self.lists, *(file.path for files in self.files.values() for file in files)]

    @property
    def splits(self) -> dict[str, list[tuple[ListedFile, ...]]]:
        """Parts of every split."""
        return {split: parts_of(files) for split, files in self.files.items()}

    def check(self) -> None:
        """Nothing can be told from a cloud without reading it."""


def as_folder(data_dir: str | Path | None) -> Path:
    """Check that a dataset folder is given and exists.

    Args:
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder.

    Returns:
        `pathlib.Path`: The folder.

    Raises:
        ValueError: If it is not an existing folder; of an archive the message says to extract it first.
    """
    if data_dir is None:
        raise ValueError("`data_dir` must name the folder of the dataset, got None.")
    data_dir = Path(data_dir)
    if data_dir.is_dir():
        return data_dir
    is_archive = data_dir.is_file() and data_dir.suffix.lower() in ARCHIVE_SUFFIXES
    advice = " It is an archive: extract it and pass the folder." if is_archive else ""
    raise ValueError(f"`data_dir` must be an existing folder, got {data_dir}.{advice}")


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
    """Choose the layout of a dataset from those that its tree shows.

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
        raise ValueError(f"`data_dir` must hold one of the layouts of the dataset, got none in {data_dir}.")
    if len(found) > 1:
        raise ValueError(
            f"`data_dir` must hold one layout, got {', '.join(f'{name} in {folder}' for name, folder in found.items())}. "
            f"Choose by `layout={next(iter(found))!r}` or another of them."
        )
    return next(iter(found))


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
        raise ValueError(f"All {len(paths)} files of the dataset must be there, got {len(bad)} bad: {first_of(bad)}.")
    return state
