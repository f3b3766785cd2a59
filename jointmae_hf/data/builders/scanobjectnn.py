"""The `scanobjectnn` dataset: objects cut from indoor scans, as a `datasets` builder."""

from typing import Any

import datasets

from jointmae_hf.data import label_checks
from jointmae_hf.data.readers import hdf5 as hdf5_files
from jointmae_hf.data.schema import point_cloud_features

from . import scanobjectnn_files
from .point_cloud_builder import PointCloudBuilder


class ScanObjectNN(PointCloudBuilder):
    """Builder of ScanObjectNN: clouds of 2,048 points of 15 classes, in three subsets.

    | `subset` | name in papers | what | `train` | `test` |
    |---|---|---|---|---|
    | `"obj_bg"` | OBJ-BG | objects with the background around them | 2,309 | 581 |
    | `"obj_only"` | OBJ-ONLY | objects cut out | 2,309 | 581 |
    | `"pb_t50_rs"` | PB-T50-RS | boxes moved by up to 50 %, turned about y and scaled | 11,416 | 2,882 |

    Points are as in the files: y is up, not scaled. The files are had after a form on hkust-vgd.ust.hk/scanobjectnn; they
    derive from SceneNN and ScanNet and serve non-commercial research. Requires `pip install "jointmae_hf[data]"`.

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

    SOURCE = scanobjectnn_files.SCANOBJECTNN_SOURCE
    MODULES = (hdf5_files, label_checks, scanobjectnn_files)

    def __init__(
        self, *, data_dir: str | None = None, subset: str = "pb_t50_rs", hash: str | None = None, **kwargs: Any
    ) -> None:
        if subset not in scanobjectnn_files.SCANOBJECTNN_SUBSETS:
            names = ", ".join(map(repr, scanobjectnn_files.SCANOBJECTNN_SUBSETS))
            raise ValueError(f"`subset` must be one of {names}, got {subset!r}.")
        self._variant = subset
        super().__init__(scanobjectnn_files.find_scanobjectnn_files, {"subset": subset}, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._described(
            f"ScanObjectNN as published, subset {self._variant}.",
            point_cloud_features(
                scanobjectnn_files.NUM_POINTS, scanobjectnn_files.SCANOBJECTNN_CLASSES, has_background=True
            ),
        )
