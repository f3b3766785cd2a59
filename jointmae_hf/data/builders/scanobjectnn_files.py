"""Files of the `scanobjectnn` dataset: two HDF5 files for each of its three subsets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jointmae_hf.data.label_checks import check_labels
from jointmae_hf.data.readers.hdf5 import Hdf5Column, check_hdf5, read_hdf5
from jointmae_hf.data.readers.validation import check_points

from .dataset_source import DatasetSource
from .source_files import Clouds, find_folder
from .split_lists import warn_of_counts


NUM_POINTS = 2048

SCANOBJECTNN_CLASSES: tuple[str, ...] = (
    "bag",
    "bin",
    "box",
    "cabinet",
    "chair",
    "desk",
    "display",
    "door",
    "shelf",
    "table",
    "bed",
    "pillow",
    "sink",
    "sofa",
    "toilet",
)
"""Names of the classes in the order of their labels."""

SCANOBJECTNN_SOURCE = DatasetSource(
    name="ScanObjectNN",
    where="hkust-vgd.ust.hk/scanobjectnn after its terms-of-use form (h5_files.zip)",
    licence="ScanObjectNN terms of use; derived from SceneNN and ScanNet, non-commercial research",
    tree="""
h5_files/
  main_split/training_objectdataset.h5, test_objectdataset.h5   subset="obj_bg"
  main_split/training_objectdataset_augmentedrot_scale75.h5, test_...   subset="pb_t50_rs"
  main_split_nobg/training_objectdataset.h5, test_objectdataset.h5   subset="obj_only"
  each with data (n, 2048, 3), label (n,) and mask (n, 2048)
""",
)

_FOLDERS_AND_ENDINGS = {
    "obj_bg": ("main_split", ""),
    "obj_only": ("main_split_nobg", ""),
    "pb_t50_rs": ("main_split", "_augmentedrot_scale75"),
}
SCANOBJECTNN_SUBSETS: tuple[str, ...] = tuple(_FOLDERS_AND_ENDINGS)
"""OBJ-BG (objects with background), OBJ-ONLY (without), PB-T50-RS (perturbed, the hardest)."""

_OFFICIAL_COUNTS = {
    "obj_bg": {"train": 2_309, "test": 581},
    "obj_only": {"train": 2_309, "test": 581},
    "pb_t50_rs": {"train": 11_416, "test": 2_882},
}
_LABEL = Hdf5Column("label", (), kinds="iu")
_BACKGROUND = -1


@dataclass(frozen=True)
class ScanObjectNNFiles:
    """Files of one subset; see `SourceFiles`."""

    files: Mapping[str, Path]
    subset: str

    @property
    def paths(self) -> list[Path]:
        """One file per split."""
        return list(self.files.values())

    @property
    def splits(self) -> dict[str, list[Path]]:
        """One part per split."""
        return {split: [path] for split, path in self.files.items()}

    @property
    def _columns(self) -> list[Hdf5Column]:
        """Arrays of a file; objects cut out of their background can do without a mask."""
        mask = Hdf5Column("mask", (NUM_POINTS,), kinds="iu", is_required=self.subset != "obj_only")
        return [Hdf5Column("data", (NUM_POINTS, 3)), _LABEL, mask]

    def check(self) -> None:
        """Check keys, shapes and labels of both files."""
        counts = {split: check_hdf5(path, self._columns) for split, path in self.files.items()}
        for path in self.paths:
            check_labels(read_hdf5(path, [_LABEL])["label"], len(SCANOBJECTNN_CLASSES), path)
        warn_of_counts(f"ScanObjectNN {self.subset}", counts, _OFFICIAL_COUNTS[self.subset])

    def read(self, part: Path) -> Clouds:
        """Read one file."""
        arrays = read_hdf5(part, self._columns)
        points = check_points(arrays["data"].reshape(-1, 3), part).reshape(-1, NUM_POINTS, 3)
        mask = arrays.get("mask", np.zeros(points.shape[:2], np.int64))
        return Clouds(
            points=points,
            ids=[f"{part.parent.name}/{part.stem}-{row:05d}" for row in range(len(points))],
            labels=check_labels(arrays["label"], len(SCANOBJECTNN_CLASSES), part),
            is_background=mask == _BACKGROUND,
        )


def find_scanobjectnn_files(data_dir: Path, subset: str) -> ScanObjectNNFiles:
    """Find the files of a subset.

    Args:
        data_dir (`pathlib.Path`):
            The folder `h5_files` or the one that holds it.
        subset (`str`):
            One of `SCANOBJECTNN_SUBSETS`.

    Returns:
        `ScanObjectNNFiles`: The files; whether they are there is not checked.
    """
    folder, ending = _FOLDERS_AND_ENDINGS[subset]
    root = find_folder(data_dir, "h5_files") / folder
    names = {"train": "training_objectdataset", "test": "test_objectdataset"}
    return ScanObjectNNFiles({split: root / f"{name}{ending}.h5" for split, name in names.items()}, subset)
