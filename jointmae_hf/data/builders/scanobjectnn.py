"""The `scanobjectnn` dataset: objects cut from indoor scans, as a `datasets` builder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from jointmae_hf.data.readers.hdf5 import Hdf5Column, check_hdf5, read_hdf5
from jointmae_hf.data.schema import check_labels, point_cloud_features

from .point_cloud_builder import DatasetSource, PointCloudBuilder
from .source_files import Clouds, SourceFiles, check_choice, check_clouds, find_folder, warn_of_counts


_NUM_POINTS = 2048
_LABEL = Hdf5Column("label", (), kinds="iu")
_BACKGROUND = -1

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
    license="ScanObjectNN terms of use; derived from SceneNN and ScanNet, non-commercial research",
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
_OFFICIAL_COUNTS = {
    "obj_bg": {"train": 2_309, "test": 581},
    "obj_only": {"train": 2_309, "test": 581},
    "pb_t50_rs": {"train": 11_416, "test": 2_882},
}


@dataclass(frozen=True)
class ScanObjectNNFiles(SourceFiles):
    """HDF5 files of one subset, one per split."""

    subset: str

    @classmethod
    def find(cls, data_dir: Path, subset: str) -> "ScanObjectNNFiles":
        """Name the files of a subset; whether they are there is not checked."""
        folder, ending = _FOLDERS_AND_ENDINGS[subset]
        root = find_folder(data_dir, "h5_files") / folder
        names = {"train": "training_objectdataset", "test": "test_objectdataset"}
        return cls({split: [root / f"{name}{ending}.h5"] for split, name in names.items()}, [], subset)

    @property
    def _columns(self) -> list[Hdf5Column]:
        """Return the arrays of a file; objects cut out of their background may come without a mask."""
        mask = Hdf5Column("mask", (_NUM_POINTS,), kinds="iu", is_required=self.subset != "obj_only")
        return [Hdf5Column("data", (_NUM_POINTS, 3)), _LABEL, mask]

    def check(self) -> None:
        """Check keys, shapes and labels of both files."""
        counts = {split: check_hdf5(path, self._columns) for split, [path] in self.files.items()}
        for path in self.paths:
            check_labels(read_hdf5(path, [_LABEL])["label"], len(SCANOBJECTNN_CLASSES), path)
        warn_of_counts(f"ScanObjectNN {self.subset}", counts, _OFFICIAL_COUNTS[self.subset])

    def read(self, part: Path) -> Clouds:
        """Read one file."""
        arrays = read_hdf5(part, self._columns)
        points = check_clouds(arrays["data"], part)
        mask = arrays.get("mask", np.zeros(points.shape[:2], np.int64))
        return Clouds(
            points=points,
            ids=[f"{part.parent.name}/{part.stem}-{row:05d}" for row in range(len(points))],
            labels=check_labels(arrays["label"], len(SCANOBJECTNN_CLASSES), part),
            is_background=mask == _BACKGROUND,
        )


class ScanObjectNN(PointCloudBuilder):
    """Builder of ScanObjectNN: clouds of 2,048 points of 15 classes, in three subsets.

    | `subset` | name in papers | what | `train` | `test` |
    |---|---|---|---|---|
    | `"obj_bg"` | OBJ-BG | objects with the background around them | 2,309 | 581 |
    | `"obj_only"` | OBJ-ONLY | objects cut out | 2,309 | 581 |
    | `"pb_t50_rs"` | PB-T50-RS | boxes moved by up to 50 %, rotated about y and scaled | 11,416 | 2,882 |

    Points are as in the files: y is up, not scaled. Download them from hkust-vgd.ust.hk/scanobjectnn after filling in its form;
    they derive from SceneNN and ScanNet, for non-commercial research only. Requires `pip install "jointmae_hf[data]"`.

    Columns: `points`, `label` (names in `SCANOBJECTNN_CLASSES`), `is_background` (bool of every point, where `mask` of the
    file is -1), and `id`, which names file and row.

    Args:
        data_dir (`str`):
            The folder `h5_files` or the one that holds it.
        subset (`str`, *optional*, defaults to `"pb_t50_rs"`):
            See the table.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ValueError: If `subset` is unknown.
        DatasetError: If the files in `data_dir` are not those of the dataset.
        ImportError: If h5py is not installed.
    """

    SOURCE = SCANOBJECTNN_SOURCE

    def __init__(
        self, *, data_dir: str | None = None, subset: str = "pb_t50_rs", hash: str | None = None, **kwargs: Any
    ) -> None:
        check_choice("subset", subset, tuple(_FOLDERS_AND_ENDINGS))
        self._subset = subset
        super().__init__(ScanObjectNNFiles.find, {"subset": subset}, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._describe(
            f"ScanObjectNN as published, subset {self._subset}.",
            point_cloud_features(_NUM_POINTS, SCANOBJECTNN_CLASSES, has_background=True),
        )
