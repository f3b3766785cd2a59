"""The `folder` dataset: a user's own files, in splits and classes that the folders name, as a `datasets` builder."""

import logging
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.fingerprint import Hasher

from jointmae_hf.data.argument_checks import check_integer
from jointmae_hf.data.readers.formats import POINT_CLOUD_SUFFIXES, read_point_cloud
from jointmae_hf.data.schema import point_cloud_features, point_cloud_table
from jointmae_hf.data.source_frame import SourceFrame
from jointmae_hf.model.feature_extraction_jointmae import UP_AXES, rotate_to_y_up

from .credits import read_credits
from .folder_layouts import SPLIT_NAMES, check_layout, read_places, split_of_folder
from .point_cloud_builder import DatasetError
from .source_files import (
    ARCHIVE_SUFFIXES,
    BUILDER_SOURCES,
    as_folder,
    files_state,
    hash_sources,
    walk_visible,
)


logger = logging.getLogger(__name__)

_POINTS_PER_TABLE = 1 << 20


@dataclass(frozen=True)
class PointCloudFile:
    """A file of the dataset: `id` is its path below the dataset, `class_name` the folder that names its class, if any."""

    path: Path
    id: str
    class_name: str | None


def find_point_cloud_files(
    data_dir: str | Path | None,
    suffixes: Sequence[str] | None = None,
    follow_links: bool = False,
    layout: str | None = None,
) -> dict[str, list[PointCloudFile]]:
    """Return the files of every split, sorted by path, without reading them; see `PointCloudFolder` for the rules."""
    data_dir, suffixes = as_folder(data_dir), _check_suffixes(suffixes)
    if layout is not None:
        check_layout(layout)
    folders, files = _walk(data_dir, None if follow_links else _places(data_dir))
    paths = [path for path in files if path.suffix.lower() in suffixes]
    others = [path for path in files if path.suffix.lower() not in suffixes]
    if not paths:
        raise ValueError(_describe_nothing(data_dir, suffixes, others))
    _warn_of_ignored([path.relative_to(data_dir).as_posix() for path in others], data_dir)
    relative = [path.relative_to(data_dir) for path in paths]
    splits: dict[str, list[PointCloudFile]] = {split: [] for split in SPLIT_NAMES}
    places = read_places(relative, layout, [path.relative_to(data_dir) for path in others])
    for path, name, place in zip(paths, relative, places, strict=True):
        if not path.is_file():
            raise ValueError(f"`{path}` must be a regular file, got a broken link or a device.")
        splits[place.split].append(PointCloudFile(path, name.as_posix(), place.class_name))
    for folder in folders:
        split = split_of_folder(folder.name)
        if layout is None and split and not splits[split] and folder.parent == data_dir:
            raise ValueError(_describe_nothing(folder, suffixes, others))
    return {split: members for split, members in splits.items() if members}


def _describe_nothing(folder: Path, suffixes: Sequence[str], others: Sequence[Path]) -> str:
    """Return the message for a folder without point clouds."""
    inside = [path for path in others if path.is_relative_to(folder)]
    archives = [path.name for path in inside if path.suffix.lower() in ARCHIVE_SUFFIXES]
    return f"`data_dir` must hold files that end in {', '.join(suffixes)}, got none in {folder}." + (
        f" Extract its archives first: {', '.join(archives)}." if archives else ""
    )


def _check_suffixes(suffixes: Sequence[str] | None) -> tuple[str, ...]:
    """Return the endings to read in lower case, by default all that are known."""
    if suffixes is None:
        return POINT_CLOUD_SUFFIXES
    chosen = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    unknown = [suffix for suffix in chosen if suffix.lower() not in POINT_CLOUD_SUFFIXES]
    if unknown or not chosen:
        raise ValueError(f"`suffixes` must be of {', '.join(POINT_CLOUD_SUFFIXES)}, got {suffixes!r}.")
    return tuple(suffix.lower() for suffix in chosen)


def _places(data_dir: Path) -> list[Path]:
    """Return where links may lead: into the dataset, and to where the cache of the Hub keeps the files of a snapshot."""
    real = data_dir.resolve()
    return [real, *(folder.parent / "blobs" for folder in real.parents if folder.name == "snapshots")]


def _check_within(path: Path, places: Sequence[Path] | None) -> None:
    """Raise unless a path ends in one of the places; an archive may have left a link to any file of the machine."""
    real = path.resolve()
    if places is not None and not any(real.is_relative_to(place) for place in places):
        raise ValueError(f"`{path}` must lie in `data_dir`, got a link to {real}. If you made it, set `follow_links`.")


def _walk(folder: Path, places: Sequence[Path] | None) -> tuple[list[Path], list[Path]]:
    """Return all visible folders and files below a folder in sorted order, links within `places` followed."""
    folders: list[Path] = []
    files: list[Path] = []
    seen: set[Path] = set()
    for parent, paths in walk_visible(folder):
        _check_within(parent, places)
        real = parent.resolve()
        if real in seen:
            raise ValueError(f"`data_dir` must reach every folder once, got a second way to {real}: {parent}.")
        seen.add(real)
        folders.append(parent)
        files += paths
    for path in files:
        if path.is_symlink():
            _check_within(path, places)
    return sorted(folders), sorted(files)


def _warn_of_ignored(names: Sequence[str], data_dir: Path) -> None:
    """Warn of files of other formats."""
    if names:
        kinds = Counter(PurePosixPath(name).suffix or "without ending" for name in names)
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        examples = ", ".join(names[:5])
        logger.warning("Ignored %d files of other formats in %s (%s): %s", len(names), data_dir, counts, examples)


def class_names_of(splits: dict[str, list[PointCloudFile]]) -> list[str] | None:
    """Return the class names of all splits, in numerical order if all are numbers; `None` without classes."""
    names = {file.class_name for files in splits.values() for file in files if file.class_name is not None}
    are_numbers = all(name.isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name) if are_numbers else 0, name)) or None


@dataclass
class PointCloudFolderConfig(datasets.BuilderConfig):
    """How the files of a `folder` dataset are read; see `PointCloudFolder`."""

    num_points: int = 2048
    seed: int = 0
    up_axis: str = "y"
    points_key: str | None = None
    suffixes: Sequence[str] | None = None
    follow_links: bool = False
    layout: str | None = None
    credits_file: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("num_points", self.num_points, 1)
        check_integer("seed", self.seed, 0)
        if self.up_axis not in UP_AXES:
            raise ValueError(f'`up_axis` must be "x", "y" or "z", got {self.up_axis!r}.')


class PointCloudFolder(datasets.ArrowBasedBuilder):
    """Builder of a dataset from files on disk; points keep the units of their file.

    Folders named `train`, `validation` or `test`, or as `SPLIT_NAMES` has it, are the splits; without any, all files are in
    `train`. These layouts are found by the names of the folders; if they can be read in several ways, an error shows the
    readings, and `layout` decides:

    | `layout` | file |
    |---|---|
    | `"split/class"` | `train/chair/a.ply`, `train/chair/<id>/models/model.obj` |
    | `"class/split"` | `chair/train/a.ply` |
    | `"class"` | `chair/a.ply`, `chair/<id>/models/model.obj` |
    | `"split"` | `train/a.ply`, no classes |
    | `"flat"` | `a.ply`, no classes |

    Without folders of splits, files, lists or classes whose names tell splits apart, such as `chair/train_0.npy` next to
    `chair/test_0.npy`, are an error too. Classes whose names are all numbers are in numerical order, others in that of the alphabet. Hidden files and `__MACOSX`
    are ignored, files of other formats are named in a warning, archives are never extracted. A bad file stops the build with
    its name, and nothing of the dataset stays in the cache. The cache depends on the options, on path, size and modification
    time of every file, and on the source of the readers.

    Args:
        data_dir (`str`):
            Folder of files, or of splits.
        suffixes (`Sequence[str]`, *optional*):
            Endings of the files to read, such as `[".off"]`. Defaults to `POINT_CLOUD_SUFFIXES`.
        layout (`str`, *optional*):
            Meaning of the folders from `data_dir` to a file, joined by `/`: `split`, `class`, `*` (any one folder) or `**`
            (any number of them), such as `"*/split/class"`, or `"**/class"` for the folder that holds the file. Further
            folders are ignored. Without `split` all is `train`, without `class` there are no labels.
        credits_file (`str`, *optional*):
            CSV file with the columns `name` (path below `data_dir`, with or without its ending), `license` and `credit` and
            one line for each file. They become the columns `license` and `credit`.
        follow_links (`bool`, *optional*, defaults to `False`):
            Whether symbolic links may lead out of `data_dir`. Those of a snapshot in the cache of the Hub always may.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        num_points (`int`, *optional*, defaults to 2048):
            Points to sample from the surface of each mesh. Clouds keep their own number.
        seed (`int`, *optional*, defaults to 0):
            Seed of these points, not negative. They depend on it and on the path of the file below `data_dir`.
        up_axis (`str`, *optional*, defaults to `"y"`):
            Axis that points up in the files, `"x"`, `"y"` or `"z"`; rotated to y, never mirrored.
        points_key (`str`, *optional*):
            Name of the array in `.npz` and `.h5` files. Without it, `"points"`, or else the only array of a file.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ImportError: If the format of a file needs a package that is not installed.
        ValueError: If `data_dir` is not a folder of point clouds: an ending is unknown, a split is empty, the folders
            can be read in several ways or do not fit `layout`, two folders name one split, names of files tell splits
            apart, a file or folder cannot be read, a link leads out, only some of the files lie in a class folder, or
            `credits_file` lacks a file or its license.
            Later, as a `DatasetError`, if a file is not a valid cloud.
    """

    BUILDER_CONFIG_CLASS = PointCloudFolderConfig
    VERSION = datasets.Version("1.1.0")
    SOURCES = (*BUILDER_SOURCES, "model/feature_extraction_jointmae.py")

    def __init__(
        self,
        *,
        data_dir: str | None = None,
        suffixes: Sequence[str] | None = None,
        follow_links: bool = False,
        layout: str | None = None,
        credits_file: str | None = None,
        hash: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._splits = find_point_cloud_files(data_dir, suffixes, follow_links, layout)
        files = [file for members in self._splits.values() for file in members]
        credits_file = None if credits_file is None else str(Path(credits_file).absolute())
        self._credits = None if credits_file is None else read_credits(credits_file, [file.id for file in files])
        if hash is None:
            hash = Hasher.hash([hash_sources(self.SOURCES), files_state([file.path for file in files]), self._credits])
        options = {"suffixes": suffixes, "follow_links": follow_links, "layout": layout, "credits_file": credits_file}
        super().__init__(data_dir=str(data_dir), hash=hash, **options, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=f"Point clouds from files of a folder.\n\n{SourceFrame(self.config.up_axis).describe()}",
            features=point_cloud_features(
                class_names=class_names_of(self._splits), has_credits=self._credits is not None
            ),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        # A missing package reaches the user unchanged from here; among the tables, `datasets` would wrap its error.
        first_files = {file.path.suffix.lower(): file for files in self._splits.values() for file in reversed(files)}
        for file in first_files.values():
            self._read(file)
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": files}) for split, files in self._splits.items()
        ]

    def _generate_tables(self, files: list[PointCloudFile]) -> Iterator[tuple[int, pa.Table]]:
        start = 0
        waiting: list[np.ndarray] = []
        num_waiting = 0
        for position, file in enumerate(files):
            waiting.append(self._read(file))
            num_waiting += len(waiting[-1])
            if num_waiting >= _POINTS_PER_TABLE or position + 1 == len(files):
                yield start, self._table(files[start : position + 1], waiting)
                start, waiting, num_waiting = position + 1, [], 0

    def _read(self, file: PointCloudFile) -> np.ndarray:
        """Return the cloud of one file, y up."""
        rng = np.random.default_rng([self.config.seed, zlib.crc32(file.id.encode())])
        try:
            points = read_point_cloud(file.path, self.config.num_points, self.config.points_key, rng)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        return rotate_to_y_up(points, self.config.up_axis)

    def _table(self, files: list[PointCloudFile], points: list[np.ndarray]) -> pa.Table:
        """Return one table of consecutive files."""
        labels = None
        if "label" in self.info.features:
            labels = [self.info.features["label"].str2int(file.class_name) for file in files]
        columns: dict[str, Any] = {}
        if self._credits is not None:
            columns["licenses"], columns["credits"] = zip(*(self._credits[file.id] for file in files), strict=True)
        return point_cloud_table(self.info.features, points, [file.id for file in files], labels, **columns)
