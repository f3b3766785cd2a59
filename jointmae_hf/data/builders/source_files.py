"""The files of a dataset: found in its folders, compared with its lists, and read part by part.

`datasets` replaces `open`, `os.walk` and `Path` in every module that defines a builder, so none is defined here, and the
modules of the builders find and open files by the functions of this one and of the readers alone.
"""

import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from datasets.fingerprint import Hasher

from jointmae_hf.data.readers.validation import check_points
from jointmae_hf.data.source_frame import SourceFrame


logger = logging.getLogger(__name__)

FileState = tuple[str, int, int]
Arrays = Sequence[np.ndarray] | np.ndarray

ARCHIVE_SUFFIXES = (".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst")
"""Endings of archives, which are never extracted here."""

BUILDER_SOURCES = (
    "data/argument_checks.py",
    "data/builders",
    "data/readers",
    "data/schema.py",
    "data/source_frame.py",
    "model/cloud_files.py",
    "model/mesh_files.py",
    "model/ply_files.py",
    "model/surface_sampling.py",
    "model/text_rows.py",
)
"""Modules and sub-packages that every builder may use, as paths in the package."""

_PACKAGE = Path(__file__).parents[2]


def hash_sources(places: Sequence[str]) -> str:
    """Hash the source of modules and of all modules in sub-packages, so that an edit of any leaves no stale cache."""
    paths = [path for place in places for path in sorted((_PACKAGE / place).rglob("*.py")) or [_PACKAGE / place]]
    return Hasher.hash([(path.relative_to(_PACKAGE).as_posix(), path.read_bytes()) for path in paths])


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
        """Return the arguments of `point_cloud_table` for the clouds from `start` to `end`."""
        return {name: None if values is None else values[start:end] for name, values in vars(self).items()}


@dataclass(frozen=True)
class SourceFiles:
    """Files of a dataset that have been found and not been read; a layout adds `read`, and `check` if it can.

    Args:
        files (`Mapping[str, Sequence[Any]]`):
            Files with clouds of every split, in the order of the dataset.
        lists (`Sequence[pathlib.Path]`):
            Other files that the dataset depends on.
    """

    files: Mapping[str, Sequence[Any]]
    lists: Sequence[Path]

    @property
    def paths(self) -> list[Path]:
        """All files that the dataset is read from."""
        return [*self.lists, *(path for paths in self.files.values() for path in paths)]

    @property
    def splits(self) -> Mapping[str, Sequence[Any]]:
        """Parts of every split that can be read on their own."""
        return self.files

    @property
    def frame(self) -> SourceFrame:
        """Frame of the files; published clouds have y up."""
        return SourceFrame()

    def check(self) -> None:
        """Raise a `ValueError` for whatever is wrong and shows without reading every cloud."""

    def read(self, part: Any) -> Clouds:
        """Read one part, or raise a `ValueError` that names the file."""
        raise NotImplementedError


@dataclass(frozen=True)
class ListedFile:
    """A file that holds one cloud: its path, the `id` of the cloud, its class, and the WordNet offset of the class."""

    path: Path
    id: str
    label: int
    synset: str | None = None


@dataclass(frozen=True)
class ListedFiles(SourceFiles):
    """Layout of one file per cloud; `files` are instances of `ListedFile`. A subclass adds `read_file`."""

    @property
    def paths(self) -> list[Path]:
        """The lists and all clouds."""
        return [*self.lists, *(file.path for files in self.files.values() for file in files)]

    @property
    def splits(self) -> dict[str, list[tuple[ListedFile, ...]]]:
        """Parts of many files."""
        return {split: parts_of(files) for split, files in self.files.items()}

    def read(self, part: Sequence[ListedFile]) -> Clouds:
        """Read some clouds."""
        clouds = [self.read_file(file) for file in part]
        return Clouds(
            ids=[file.id for file in part],
            labels=[file.label for file in part],
            synsets=None if part[0].synset is None else [str(file.synset) for file in part],
            **{name: [cloud[name] for cloud in clouds] for name in clouds[0]},
        )

    def read_file(self, file: ListedFile) -> dict[str, np.ndarray]:
        """Read `points` of a cloud, and its `part_labels` and `normals` if it has them."""
        raise NotImplementedError


def parts_of(files: Sequence[Any], size: int = 128) -> list[tuple[Any, ...]]:
    """Cut a list of files into parts that are read and written together."""
    return [tuple(files[start : start + size]) for start in range(0, len(files), size)]


def check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise unless an option is one of some names."""
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, got {value!r}.")


def as_folder(data_dir: str | Path | None) -> Path:
    """Return the folder of a dataset, or raise if it is not an existing folder."""
    if data_dir is None:
        raise ValueError("`data_dir` must name the folder of the dataset, got None.")
    data_dir = Path(data_dir)
    if data_dir.is_dir():
        return data_dir
    is_archive = data_dir.is_file() and data_dir.suffix.lower() in ARCHIVE_SUFFIXES
    advice = " It is an archive: extract it and pass the folder." if is_archive else ""
    raise ValueError(f"`data_dir` must be an existing folder, got {data_dir}.{advice}")


def find_folder(data_dir: Path, *names: str) -> Path:
    """Return the first of some folders below `data_dir` that exists, else `data_dir` itself."""
    return next((data_dir / name for name in names if (data_dir / name).is_dir()), data_dir)


def choose_layout(found: Mapping[str, Path], layout: str | None, data_dir: Path) -> str:
    """Return the layout to read of those found in `data_dir`: the only one, or the one asked for."""
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


def walk_visible(folder: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Yield every visible folder below `folder`, links followed, with its visible files."""

    def stop(error: OSError) -> None:  # `os.walk` would skip a folder that cannot be listed
        raise ValueError(f"`data_dir` must hold readable folders only, got: {error}") from error

    for parent, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        # What the archiver of macOS adds holds one more file of the same ending for each file.
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        yield Path(parent), [Path(parent, name) for name in names if not name.startswith(".")]


def files_state(paths: Sequence[Path]) -> list[FileState]:
    """Return path, size in bytes and modification time in nanoseconds of files, which any change of them changes."""
    states = [(path, path.stat()) for path in paths]
    return [(str(path), status.st_size, status.st_mtime_ns) for path, status in states]


def check_files(paths: Sequence[Path]) -> None:
    """Raise if files are missing, empty or not regular files; the message counts and names them."""
    bad = [f"{path} ({problem})" for path in paths if (problem := _problem(path))]
    if bad:
        raise ValueError(f"All {len(paths)} files of the dataset must be there, got {len(bad)} bad: {first_of(bad)}.")


def _problem(path: Path) -> str | None:
    """Return what is wrong with a file."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "not a file"
    return None if status.st_size else "empty"


def check_clouds(clouds: np.ndarray, path: Path) -> np.ndarray:
    """Return an array of clouds `(num_clouds, num_points, 3)` as float32 after checking every point."""
    return check_points(clouds.reshape(-1, 3), path).reshape(clouds.shape)


def first_of(names: Sequence[str]) -> str:
    """Join at most three names for a message, with dots for the others."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def read_names(path: Path) -> list[str]:
    """Read and check a list of names, one a line."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"`{path}` must be a list of names, one a line, got: {error}") from error
    return check_names(names, path)


def check_names(names: Sequence[str], path: Path) -> list[str]:
    """Return the names of a list after checking that there are some, each once and within the dataset."""
    if not names:
        raise ValueError(f"`{path}` must hold at least one name, got none.")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"`{path}` must hold every name once, got {name!r} twice.")
        if "\\" in name or "\0" in name or name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ValueError(f"`{path}` must hold names within the dataset, got {name!r}.")
        seen.add(name)
    return list(names)


def check_disjoint(names: Mapping[str, Sequence[str]]) -> None:
    """Raise if a cloud is in two splits."""
    split_of: dict[str, str] = {}
    for split, members in names.items():
        for name in members:
            if split_of.setdefault(name, split) != split:
                raise ValueError(f"Splits must be disjoint, got {name!r} in {split_of[name]} and {split}.")


def warn_of_unlisted(dataset: str, present: set[str], listed: set[str]) -> None:
    """Warn of files that no list of the dataset names."""
    unlisted = sorted(present - listed)
    if unlisted:
        logger.warning("%s: %d files are in no list and are left out: %s", dataset, len(unlisted), first_of(unlisted))


def warn_of_shared(dataset: str, names: Mapping[str, Sequence[str]]) -> None:
    """Warn of clouds that are in two splits."""
    counts = Counter(name for members in names.values() for name in members)
    shared = [name for name, count in counts.items() if count > 1]
    if shared:
        logger.warning("%s: %d clouds are in two splits and stay there: %s", dataset, len(shared), first_of(shared))


def warn_of_counts(dataset: str, counts: Mapping[str, int], official: Mapping[str, int]) -> None:
    """Warn if the splits do not have the published sizes."""
    if dict(counts) != dict(official):
        logger.warning("%s: the published splits hold %s clouds, these %s.", dataset, dict(official), dict(counts))
