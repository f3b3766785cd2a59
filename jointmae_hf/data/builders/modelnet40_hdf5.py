"""ModelNet40 from `modelnet40_ply_hdf5_2048`: HDF5 files of 2,048 points a shape, sampled from the meshes by area."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from jointmae_hf.data.label_checks import check_class_list, check_labels
from jointmae_hf.data.readers.hdf5 import Hdf5Column, check_hdf5, read_hdf5
from jointmae_hf.data.readers.validation import check_points, reader_errors

from .modelnet40_names import CLASSES, HDF5_COUNTS, MODELNET40_CLASSES, class_of_shape
from .source_files import Clouds
from .split_lists import read_names, warn_of_counts


NUM_POINTS = 2048

_DATA = Hdf5Column("data", (NUM_POINTS, 3))
_LABEL = Hdf5Column("label", (), kinds="iu")


@dataclass(frozen=True)
class ModelNet40Hdf5:
    """Files of the HDF5 layout; see `SourceFiles`."""

    files: Mapping[str, Sequence[Path]]
    others: Sequence[Path]
    num_classes: int
    num_points: int = NUM_POINTS

    @property
    def paths(self) -> list[Path]:
        """Lists, names of rows and HDF5 files."""
        return [*self.others, *(path for paths in self.files.values() for path in paths)]

    @property
    def splits(self) -> dict[str, Sequence[Path]]:
        """One part per HDF5 file."""
        return dict(self.files)

    def check(self) -> None:
        """Check keys, shapes, labels and names of all files."""
        counts: dict[str, int] = {}
        for split, paths in self.files.items():
            for path in paths:
                num_clouds = check_hdf5(path, [_DATA, _LABEL])
                labels = read_hdf5(path, [_LABEL])["label"]
                check_labels(labels, len(MODELNET40_CLASSES), path)
                _row_names(path, labels, num_clouds)
                counts[split] = counts.get(split, 0) + len(self._kept(labels))
        warn_of_counts(f"ModelNet{self.num_classes}", counts, HDF5_COUNTS[self.num_classes])

    def _kept(self, labels: np.ndarray) -> np.ndarray:
        """Rows of the classes asked for."""
        wanted = [MODELNET40_CLASSES.index(name) for name in CLASSES[self.num_classes]]
        return np.flatnonzero(np.isin(labels, wanted))

    def read(self, part: Path) -> Clouds:
        """Read one HDF5 file."""
        arrays = read_hdf5(part, [_DATA, _LABEL])
        kept = self._kept(arrays["label"])
        names = _row_names(part, arrays["label"], len(arrays["label"]))
        points = check_points(arrays["data"].reshape(-1, 3), part).reshape(-1, NUM_POINTS, 3)
        classes = CLASSES[self.num_classes]
        return Clouds(
            points=points[kept],
            ids=[names[row] for row in kept],
            labels=[classes.index(MODELNET40_CLASSES[arrays["label"][row]]) for row in kept],
        )


def _names_file(path: Path) -> Path:
    """File that names the rows: `ply_data_train_0_id2file.json` of `ply_data_train0.h5`."""
    stem = path.stem.rstrip("0123456789")
    return path.with_name(f"{stem}_{path.stem.removeprefix(stem)}_id2file.json")


def _row_names(path: Path, labels: np.ndarray, num_clouds: int) -> list[str]:
    """Names of the shapes, or numbers of the rows where the file of names is missing."""
    names_file = _names_file(path)
    if not names_file.is_file():
        return [f"{path.stem}-{row:05d}" for row in range(num_clouds)]
    with reader_errors(names_file, "be a JSON list of one file name per cloud"):
        names = [PurePosixPath(name).stem for name in json.loads(names_file.read_text(encoding="utf-8"))]
    if len(names) != num_clouds:
        raise ValueError(f"`{names_file}` must name the {num_clouds} clouds of {path.name}, got {len(names)} names.")
    for row, (name, label) in enumerate(zip(names, labels, strict=True)):
        if class_of_shape(name) != MODELNET40_CLASSES[label]:
            raise ValueError(
                f"`{path}` must have the labels that {names_file.name} says, got {MODELNET40_CLASSES[label]!r} for {name!r} "
                f"at cloud {row}."
            )
    return names


def find_modelnet40_hdf5(root: Path, num_classes: int) -> ModelNet40Hdf5:
    """Find the files of the HDF5 layout.

    Args:
        root (`pathlib.Path`):
            The folder `modelnet40_ply_hdf5_2048`.
        num_classes (`int`):
            40, or 10 for the classes of ModelNet10.

    Returns:
        `ModelNet40Hdf5`: The files, in the order of the lists.

    Raises:
        ValueError: If a list is missing or the order of the classes is another one.
    """
    check_class_list(root / "shape_names.txt", MODELNET40_CLASSES)
    lists = {split: root / f"{split}_files.txt" for split in ("train", "test")}
    # The lists give paths from the folder of the program that wrote them.
    files = {split: [root / PurePosixPath(name).name for name in read_names(path)] for split, path in lists.items()}
    names = [_names_file(path) for paths in files.values() for path in paths]
    return ModelNet40Hdf5(files, [*lists.values(), *(path for path in names if path.is_file())], num_classes)
