"""ShapeNetPart from `hdf5_data`: HDF5 files of 2,048 points a shape, without normals and names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from jointmae_hf.data.label_checks import check_labels
from jointmae_hf.data.readers.hdf5 import Hdf5Column, check_hdf5, read_hdf5
from jointmae_hf.data.readers.validation import check_points

from .shapenet_part_names import CATEGORIES, LIST_OF_SPLIT, OFFICIAL_COUNTS, SHAPENET_PART_PARTS, SHAPENET_PART_SYNSETS
from .source_files import Clouds
from .split_lists import read_names, warn_of_counts


NUM_POINTS = 2048

_LABEL = Hdf5Column("label", (), kinds="iu")
_PARTS = Hdf5Column("pid", (NUM_POINTS,), kinds="iu")
_COLUMNS = (Hdf5Column("data", (NUM_POINTS, 3)), _LABEL, _PARTS)


@dataclass(frozen=True)
class ShapeNetPartHdf5:
    """Files of the HDF5 layout; see `SourceFiles`."""

    files: Mapping[str, Sequence[Path]]
    lists: Sequence[Path]
    num_points: int | None = NUM_POINTS
    has_normals: bool = False

    @property
    def paths(self) -> list[Path]:
        """The lists and all HDF5 files."""
        return [*self.lists, *(path for paths in self.files.values() for path in paths)]

    @property
    def splits(self) -> dict[str, Sequence[Path]]:
        """One part per HDF5 file."""
        return dict(self.files)

    def check(self) -> None:
        """Check keys, shapes and both kinds of labels of all files."""
        counts = {split: sum(check_hdf5(path, _COLUMNS) for path in paths) for split, paths in self.files.items()}
        for path in (path for paths in self.files.values() for path in paths):
            arrays = read_hdf5(path, [_LABEL, _PARTS])
            check_labels(arrays["label"], len(CATEGORIES), path)
            _check_parts(arrays["label"], arrays["pid"], path)
        warn_of_counts("ShapeNetPart", counts, OFFICIAL_COUNTS)

    def read(self, part: Path) -> Clouds:
        """Read one HDF5 file."""
        arrays = read_hdf5(part, _COLUMNS)
        labels = check_labels(arrays["label"], len(CATEGORIES), part)
        _check_parts(arrays["label"], arrays["pid"], part)
        synsets = list(SHAPENET_PART_SYNSETS.values())
        return Clouds(
            points=check_points(arrays["data"].reshape(-1, 3), part).reshape(-1, NUM_POINTS, 3),
            ids=[f"{part.stem}-{row:05d}" for row in range(len(labels))],
            labels=labels,
            part_labels=arrays["pid"].astype(np.uint8),
            synsets=[synsets[label] for label in labels],
        )


def _check_parts(labels: np.ndarray, parts: np.ndarray, path: Path) -> None:
    """Raise unless every part is one of its category."""
    bounds = np.array([(parts_of_one[0], parts_of_one[-1]) for parts_of_one in SHAPENET_PART_PARTS.values()])[labels]
    is_bad = ((parts < bounds[:, :1]) | (parts > bounds[:, 1:])).any(axis=1)
    if is_bad.any():
        row = int(is_bad.argmax())
        category = CATEGORIES[labels[row]]
        raise ValueError(
            f"`{path}` must have part labels of {category}, {SHAPENET_PART_PARTS[category]}, got "
            f"{np.unique(parts[row]).tolist()} at cloud {row}."
        )


def find_shapenet_part_hdf5(root: Path) -> ShapeNetPartHdf5:
    """Find the files of the HDF5 layout.

    Args:
        root (`pathlib.Path`):
            The folder `hdf5_data`.

    Returns:
        `ShapeNetPartHdf5`: The files, in the order of the lists.

    Raises:
        ValueError: If a list is missing.
    """
    lists = {split: root / f"{name}_hdf5_file_list.txt" for split, name in LIST_OF_SPLIT.items()}
    files = {split: [root / PurePosixPath(name).name for name in read_names(path)] for split, path in lists.items()}
    return ShapeNetPartHdf5(files, list(lists.values()))
