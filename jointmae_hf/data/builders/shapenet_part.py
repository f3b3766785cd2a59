"""The `shapenet_part` dataset: shapes with a part label per point, as a `datasets` builder."""

from typing import Any

import datasets

from jointmae_hf.data import label_checks
from jointmae_hf.data.readers import hdf5 as hdf5_files
from jointmae_hf.data.readers import text as text_readers
from jointmae_hf.data.schema import point_cloud_features

from . import shapenet_part_files, shapenet_part_hdf5, shapenet_part_names, shapenet_part_text
from .point_cloud_builder import PointCloudBuilder


class ShapeNetPart(PointCloudBuilder):
    """Builder of ShapeNetPart: 16,881 shapes of 16 categories and 50 parts, by the official lists.

    `train` has 12,137 shapes, `validation` 1,870 and `test` 2,874; papers train on the first two together. These are the
    entries of the official lists, in which 35 shapes occur twice: 9 in `train` and `validation`, 23 in `train` and `test`,
    3 in `validation` and `test`. They are kept, so that results can be compared; a warning counts them.

    | `layout` | published as | points of a shape | normals |
    |---|---|---|---|
    | `"txt"` | `shapenetcore_partanno_segmentation_benchmark_v0_normal` | about 2,600, differing | yes |
    | `"hdf5"` | `hdf5_data` of `shapenet_part_seg_hdf5_data.zip` | 2,048 | no |

    Points are as in the files: y is up. The archives were published on shapenet.cs.stanford.edu/media and are had from
    mirrors; the terms of ShapeNet apply: non-commercial research and education, no redistribution. `"hdf5"` requires
    `pip install "jointmae_hf[data]"`.

    Columns: `points`, `normals` where there are some, `label` (the category), `part_labels` (0 to 49; `SHAPENET_PART_PARTS`
    has those of each category), `synset`, and `id`, the model; file and row in the layout `"hdf5"`, which has no names.

    Args:
        data_dir (`str`):
            Folder of one of the archives, or the one that holds it.
        layout (`str`, *optional*):
            See the table. Needed only where `data_dir` holds both.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ValueError: If `layout` is unknown.
        DatasetError: If the files in `data_dir` are not those of the dataset, or it holds both layouts.
        ImportError: If h5py is needed and not installed.
    """

    SOURCE = shapenet_part_names.SHAPENET_PART_SOURCE
    MODULES = (
        hdf5_files,
        label_checks,
        text_readers,
        shapenet_part_files,
        shapenet_part_hdf5,
        shapenet_part_names,
        shapenet_part_text,
    )
    _files: shapenet_part_files.ShapeNetPartFiles

    def __init__(
        self, *, data_dir: str | None = None, layout: str | None = None, hash: str | None = None, **kwargs: Any
    ) -> None:
        if layout is not None and layout not in shapenet_part_files.SHAPENET_PART_LAYOUTS:
            names = ", ".join(map(repr, shapenet_part_files.SHAPENET_PART_LAYOUTS))
            raise ValueError(f"`layout` must be one of {names}, got {layout!r}.")
        super().__init__(shapenet_part_files.find_shapenet_part_files, {"layout": layout}, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._described(
            "ShapeNetPart with its official splits.",
            point_cloud_features(
                self._files.num_points,
                shapenet_part_names.CATEGORIES,
                has_part_labels=True,
                has_normals=self._files.has_normals,
                has_synset=True,
            ),
        )
