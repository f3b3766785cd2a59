"""The four published layouts of ModelNet40 and ModelNet10: HDF5 files, text files, Point-BERT's pickles, meshes."""

import json
import logging
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from zlib import crc32

import numpy as np

from jointmae_hf.data.readers.formats import read_point_cloud
from jointmae_hf.data.readers.hdf5 import Hdf5Column, check_hdf5, read_hdf5
from jointmae_hf.data.readers.safe_pickle import read_safe_pickle
from jointmae_hf.data.readers.text import read_numbers
from jointmae_hf.data.readers.validation import check_points, reader_errors
from jointmae_hf.data.schema import check_class_list, check_labels
from jointmae_hf.data.source_frame import SourceFrame

from .source_files import (
    Clouds,
    ListedFile,
    ListedFiles,
    SourceFiles,
    check_clouds,
    check_disjoint,
    first_of,
    read_names,
    warn_of_counts,
    warn_of_unlisted,
)


logger = logging.getLogger(__name__)

MODELNET40_CLASSES: tuple[str, ...] = (
    "airplane",
    "bathtub",
    "bed",
    "bench",
    "bookshelf",
    "bottle",
    "bowl",
    "car",
    "chair",
    "cone",
    "cup",
    "curtain",
    "desk",
    "door",
    "dresser",
    "flower_pot",
    "glass_box",
    "guitar",
    "keyboard",
    "lamp",
    "laptop",
    "mantel",
    "monitor",
    "night_stand",
    "person",
    "piano",
    "plant",
    "radio",
    "range_hood",
    "sink",
    "sofa",
    "stairs",
    "stool",
    "table",
    "tent",
    "toilet",
    "tv_stand",
    "vase",
    "wardrobe",
    "xbox",
)
"""Names of the classes in the order of their labels."""

MODELNET10_CLASSES: tuple[str, ...] = (
    "bathtub",
    "bed",
    "chair",
    "desk",
    "dresser",
    "monitor",
    "night_stand",
    "sofa",
    "table",
    "toilet",
)
"""Names of the ten classes of ModelNet10, in the order of their labels there."""

CLASSES = {40: MODELNET40_CLASSES, 10: MODELNET10_CLASSES}
OFFICIAL_COUNTS = {40: {"train": 9_843, "test": 2_468}, 10: {"train": 3_991, "test": 908}}
# airplane_0050, curtain_0130 and plant_0014 are not in the HDF5 files.
HDF5_COUNTS = {40: {"train": 9_840, "test": 2_468}, 10: {"train": 3_991, "test": 908}}

_NUM_POINTS_TEXT = 10_000
_NUM_POINTS_HDF5 = 2048
_NUM_POINTS_PICKLE = 8192
_DATA = Hdf5Column("data", (_NUM_POINTS_HDF5, 3))
_LABEL = Hdf5Column("label", (), kinds="iu")
_PICKLE_ENDING = f"_{_NUM_POINTS_PICKLE}pts_fps.dat"
# The file of the train split has 1.9 GB.
_MOST_PICKLE_BYTES = 4 << 30


def class_of_shape(name: str) -> str:
    """Return the class in the name of a shape, such as `"night_stand"` of `"night_stand_0001"`."""
    return name.rpartition("_")[0]


def label_of_shape(name: str, num_classes: int, place: str) -> int:
    """Return the label of a shape by its name, or raise an error that names `place`."""
    class_name = class_of_shape(name)
    if class_name not in CLASSES[num_classes]:
        raise ValueError(
            f"Shapes must be named `<class>_<number>` with a class of ModelNet{num_classes}, got {name!r} in {place}."
        )
    return CLASSES[num_classes].index(class_name)


@dataclass(frozen=True)
class ModelNet40Hdf5(SourceFiles):
    """`modelnet40_ply_hdf5_2048`: files of many shapes, sampled from the meshes by area."""

    num_classes: int
    num_points: int = _NUM_POINTS_HDF5

    @classmethod
    def find(cls, root: Path, num_classes: int) -> "ModelNet40Hdf5":
        """Find the files in the order of the lists."""
        check_class_list(root / "shape_names.txt", MODELNET40_CLASSES)
        lists = {split: root / f"{split}_files.txt" for split in ("train", "test")}
        # The lists give paths from the folder of the program that wrote them.
        files = {
            split: [root / PurePosixPath(name).name for name in read_names(path)] for split, path in lists.items()
        }
        names = [_names_of_rows(path) for paths in files.values() for path in paths]
        return cls(files, [*lists.values(), *(path for path in names if path.is_file())], num_classes)

    def check(self) -> None:
        """Check keys, shapes, labels and names of all files."""
        counts = dict.fromkeys(self.files, 0)
        for split, paths in self.files.items():
            for path in paths:
                check_hdf5(path, [_DATA, _LABEL])
                labels = read_hdf5(path, [_LABEL])["label"]
                check_labels(labels, len(MODELNET40_CLASSES), path)
                _read_row_names(path, labels)
                counts[split] += len(self._kept(labels))
        warn_of_counts(f"ModelNet{self.num_classes}", counts, HDF5_COUNTS[self.num_classes])

    def read(self, part: Path) -> Clouds:
        """Read one file."""
        arrays = read_hdf5(part, [_DATA, _LABEL])
        labels, classes = arrays["label"], CLASSES[self.num_classes]
        rows, names = self._kept(labels), _read_row_names(part, labels)
        return Clouds(
            points=check_clouds(arrays["data"], part)[rows],
            ids=[names[row] for row in rows],
            labels=[classes.index(MODELNET40_CLASSES[labels[row]]) for row in rows],
        )

    def _kept(self, labels: np.ndarray) -> np.ndarray:
        """Return the rows of the classes asked for."""
        wanted = [MODELNET40_CLASSES.index(name) for name in CLASSES[self.num_classes]]
        return np.flatnonzero(np.isin(labels, wanted))


def _names_of_rows(path: Path) -> Path:
    """Return the file that names the rows: `ply_data_train_0_id2file.json` of `ply_data_train0.h5`."""
    stem = path.stem.rstrip("0123456789")
    return path.with_name(f"{stem}_{path.stem.removeprefix(stem)}_id2file.json")


def _read_row_names(path: Path, labels: np.ndarray) -> list[str]:
    """Return the names of the shapes, or numbers of the rows where the file of names is missing."""
    names_file = _names_of_rows(path)
    if not names_file.is_file():
        return [f"{path.stem}-{row:05d}" for row in range(len(labels))]
    with reader_errors(names_file, "be a JSON list of one file name per cloud"):
        names = [PurePosixPath(name).stem for name in json.loads(names_file.read_text(encoding="utf-8"))]
    if len(names) != len(labels):
        raise ValueError(f"`{names_file}` must name the {len(labels)} clouds of {path.name}, got {len(names)} names.")
    for row, (name, label) in enumerate(zip(names, labels, strict=True)):
        if class_of_shape(name) != MODELNET40_CLASSES[label]:
            raise ValueError(
                f"`{path}` must have the labels that {names_file.name} gives, got {MODELNET40_CLASSES[label]!r} for {name!r} "
                f"at cloud {row}."
            )
    return names


@dataclass(frozen=True)
class ModelNet40Text(ListedFiles):
    """`modelnet40_normal_resampled`: one text file of 10,000 points with normals per shape."""

    num_points: int = _NUM_POINTS_TEXT

    @classmethod
    def find(cls, root: Path, num_classes: int) -> "ModelNet40Text":
        """Find the files in the order of the lists; those of ModelNet10 are in the same folder."""
        dataset = f"ModelNet{num_classes}"
        check_class_list(root / f"modelnet{num_classes}_shape_names.txt", CLASSES[num_classes])
        lists = {split: root / f"modelnet{num_classes}_{split}.txt" for split in ("train", "test")}
        names = {split: read_names(path) for split, path in lists.items()}
        check_disjoint(names)
        files = {
            split: [_text_file(root, name, label_of_shape(name, num_classes, str(lists[split]))) for name in members]
            for split, members in names.items()
        }
        present = {path.stem for name in CLASSES[num_classes] for path in (root / name).glob("[!.]*.txt")}
        warn_of_unlisted(dataset, present, {name for members in names.values() for name in members})
        warn_of_counts(
            dataset, {split: len(members) for split, members in names.items()}, OFFICIAL_COUNTS[num_classes]
        )
        return cls(files, list(lists.values()))

    def read_file(self, file: ListedFile) -> dict[str, np.ndarray]:
        """Read one shape without its normals."""
        rows = read_numbers(file.path, num_columns=6, num_rows=self.num_points, delimiter=",")
        return {"points": check_points(rows[:, :3], file.path)}


def _text_file(root: Path, name: str, label: int) -> ListedFile:
    """Return the file of a name in the lists."""
    return ListedFile(root / class_of_shape(name) / f"{name}.txt", name, label)


@dataclass(frozen=True)
class ModelNet40Pickles(SourceFiles):
    """Point-BERT's cache: one pickle per split of 8,192 points a shape, chosen farthest first from 10,000."""

    num_classes: int
    num_points: int = _NUM_POINTS_PICKLE

    @classmethod
    def find(cls, root: Path, num_classes: int) -> "ModelNet40Pickles":
        """Find both pickles, and the lists that name their shapes if they are there."""
        files = {split: [root / f"modelnet{num_classes}_{split}{_PICKLE_ENDING}"] for split in ("train", "test")}
        lists = [_list_of_pickle(path) for [path] in files.values()]
        return cls(files, [path for path in lists if path.is_file()], num_classes)

    def read(self, part: Path) -> Clouds:
        """Read one pickle."""
        clouds, labels = _unpickle_clouds(part)
        for row, cloud in enumerate(clouds):
            # In place, so that points with normals and without are never all in memory together.
            clouds[row] = to_points(cloud, self.num_points, part)
        numbers = check_labels(np.array([to_label(label, part) for label in labels]), self.num_classes, part)
        return Clouds(clouds, self._names(part, numbers), numbers)

    def _names(self, path: Path, labels: Sequence[int]) -> list[str]:
        """Return the names of the shapes from the list next to the pickle, or their numbers."""
        listed = _list_of_pickle(path)
        if not listed.is_file():
            return [f"{listed.stem.rpartition('_')[2]}-{row:05d}" for row in range(len(labels))]
        names = read_names(listed)
        if [label_of_shape(name, self.num_classes, str(listed)) for name in names] != list(labels):
            raise ValueError(
                f"`{path}` must hold the shapes of {listed.name} in order, got {len(labels)} shapes with other labels than "
                f"those of its {len(names)} names. Remove the list if it is of another cache."
            )
        return names


def _list_of_pickle(path: Path) -> Path:
    """Return the list that names the shapes of a pickle: `modelnet40_train.txt`."""
    return path.with_name(f"{path.name.removesuffix(_PICKLE_ENDING)}.txt")


def _unpickle_clouds(path: Path) -> tuple[list[Any], list[Any]]:
    """Return clouds and labels of a pickle, not yet checked one by one."""
    content = read_safe_pickle(path, _MOST_PICKLE_BYTES)
    is_pair = isinstance(content, (list, tuple)) and len(content) == 2
    if not is_pair or not all(isinstance(part, (list, tuple)) for part in content):
        raise ValueError(f"`{path}` must hold a list of clouds and a list of labels, got {type(content).__name__}.")
    clouds, labels = content
    if len(clouds) != len(labels) or not clouds:
        raise ValueError(f"`{path}` must hold one label per cloud, got {len(clouds)} clouds and {len(labels)} labels.")
    return list(clouds), list(labels)


def to_points(cloud: Any, num_points: int, path: Path) -> np.ndarray:
    """Check an unpickled cloud `(num_points, 6)` or `(num_points, 3)` and return its points without normals."""
    shape = cloud.shape if isinstance(cloud, np.ndarray) else type(cloud).__name__
    if shape not in ((num_points, 6), (num_points, 3)):
        raise ValueError(f"`{path}` must hold clouds of shape ({num_points}, 6), got {shape}.")
    return check_points(np.asarray(cloud)[:, :3], path)


def to_label(label: Any, path: Path) -> int:
    """Check an unpickled label: an integer of Python or numpy, or an array of one."""
    number = np.asarray(label) if isinstance(label, (int, np.integer, np.ndarray)) else np.empty(0)
    if number.size != 1 or number.dtype.kind not in "iu":
        # Written out in full, lists that hold each other many times would never end.
        raise ValueError(f"`{path}` must hold one integer per label, got {reprlib.repr(label)}.")
    return int(number.reshape(-1)[0])


@dataclass(frozen=True)
class ModelNet40Meshes(ListedFiles):
    """`ModelNet40` or `ModelNet10`: one mesh per shape, whose surface is sampled."""

    num_points: int
    seed: int

    @classmethod
    def find(cls, root: Path, num_classes: int, num_points: int, seed: int) -> "ModelNet40Meshes":
        """Find the meshes by class and number."""
        folders = _class_folders(root, num_classes)
        files = {
            split: [file for label, folder in enumerate(folders) for file in _mesh_files(folder / split, label)]
            for split in ("train", "test")
        }
        counts = {split: len(members) for split, members in files.items()}
        warn_of_counts(f"ModelNet{num_classes}", counts, OFFICIAL_COUNTS[num_classes])
        return cls(files, [], num_points, seed)

    @property
    def frame(self) -> SourceFrame:
        """Frame of the meshes, see `read_file`."""
        return SourceFrame("z", do_mirror=True, do_normalize=True)

    def read_file(self, file: ListedFile) -> dict[str, np.ndarray]:
        """Sample one mesh; the points depend on the seed and the name of the shape alone."""
        rng = np.random.default_rng([self.seed, crc32(file.id.encode())])
        points = read_point_cloud(file.path, self.num_points, rng=rng)
        if len(points) != self.num_points:
            raise ValueError(f"`{file.path}` must have faces to sample points from, got vertices alone.")
        # The meshes have z up; the published clouds are their mirror image with y up, not rotated copies.
        points = points[:, [0, 2, 1]]
        points = points - points.mean(axis=0)
        return {"points": points / np.linalg.norm(points, axis=1).max()}


def _class_folders(root: Path, num_classes: int) -> list[Path]:
    """Return the folders of the classes after checking that all are there and no other is."""
    folders = {path.name for path in root.iterdir() if path.is_dir() and path.name[0] not in "._"}
    unknown = sorted(folders - set(MODELNET40_CLASSES))
    if unknown:
        raise ValueError(f"`{root}` must hold folders of the classes of ModelNet, got {unknown[:3]}.")
    missing = [name for name in CLASSES[num_classes] if name not in folders]
    if missing:
        raise ValueError(
            f"`{root}` must hold the {num_classes} classes of ModelNet{num_classes}, got none of {missing[:3]} "
            f"({len(missing)} missing). For ModelNet10 set `num_classes=10`."
        )
    return [root / name for name in CLASSES[num_classes]]


def _mesh_files(folder: Path, label: int) -> list[ListedFile]:
    """Return the meshes of one split of one class."""
    if not folder.is_dir():
        raise ValueError(f"`{folder}` must be a folder of meshes, got none.")
    visible = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    others = [path.name for path in visible if path.suffix.lower() != ".off"]
    if others:
        logger.warning("ModelNet: %d files in %s are not meshes: %s", len(others), folder, first_of(others))
    files = [ListedFile(path, path.stem, label) for path in visible if path.suffix.lower() == ".off"]
    if not files:
        raise ValueError(f"`{folder}` must hold meshes `.off`, got none.")
    for file in files:
        if class_of_shape(file.id) != folder.parent.name:
            raise ValueError(f"`{file.path}` must be named `{folder.parent.name}_<number>.off` as its class.")
    return files
