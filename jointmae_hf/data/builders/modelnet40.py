"""The `modelnet40` dataset: CAD models of 40 classes, or the 10 of ModelNet10, as a `datasets` builder."""

from typing import Any

import datasets

from jointmae_hf.data import label_checks
from jointmae_hf.data.readers import formats as readers
from jointmae_hf.data.readers import hdf5 as hdf5_files
from jointmae_hf.data.readers import safe_pickle as safe_pickle
from jointmae_hf.data.readers import text as text_readers
from jointmae_hf.data.schema import point_cloud_features
from jointmae_hf.model import cloud_files, mesh_files, surface_sampling

from . import (
    modelnet40_files,
    modelnet40_hdf5,
    modelnet40_meshes,
    modelnet40_names,
    modelnet40_pickles,
    modelnet40_text,
)
from .point_cloud_builder import PointCloudBuilder


class ModelNet40(PointCloudBuilder):
    """Builder of ModelNet40: 9,843 shapes in `train` and 2,468 in `test`, by the official split.

    | `layout` | published as | points of a shape | |
    |---|---|---|---|
    | `"hdf5"` | `modelnet40_ply_hdf5_2048` | 2,048 | 9,840 in `train`: three shapes were never in it |
    | `"txt"` | `modelnet40_normal_resampled` | 10,000 | not centred |
    | `"dat"` | `modelnet40_{train,test}_8192pts_fps.dat` | 8,192 | Point-BERT's choice from `"txt"` |
    | `"off"` | `ModelNet40`, `ModelNet10` | `num_points` | meshes, sampled here uniformly by area |

    y is up. The published clouds are mirror images of the meshes (y and z swapped); what is sampled from meshes here is
    mirrored likewise, centred on its mean and scaled to the unit sphere, so that a model may see either. Other points are
    as in the files.

    The meshes are had on modelnet.cs.princeton.edu, the clouds on shapenet.cs.stanford.edu/media or its mirrors; for
    academic research only. `"hdf5"` and `"off"` require `pip install "jointmae_hf[data]"`.

    Columns: `points`, `label` (names in `MODELNET40_CLASSES` or `MODELNET10_CLASSES`), and `id`, such as `"chair_0001"`; a
    number in the split where neither the file nor a list beside it has names.

    Args:
        data_dir (`str`):
            Folder of one of the archives, or the one that holds it.
        num_classes (`int`, *optional*, defaults to 40):
            40, or 10 for ModelNet10 (3,991 and 908 shapes), whose labels run from 0 to 9.
        layout (`str`, *optional*):
            See the table. Needed only where `data_dir` holds several.
        num_points (`int`, *optional*):
            Points to sample from every mesh, 2,048 if left out. For `"off"` alone.
        seed (`int`, *optional*):
            Seed of these points, 0 if left out. For `"off"` alone.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ValueError: If an option is wrong.
        DatasetError: If the files in `data_dir` are not those of the dataset, or it holds several layouts.
        ImportError: If h5py is needed and not installed.
    """

    SOURCE = modelnet40_names.MODELNET40_SOURCE
    MODULES = (
        hdf5_files,
        label_checks,
        cloud_files,
        modelnet40_files,
        modelnet40_hdf5,
        modelnet40_meshes,
        modelnet40_names,
        modelnet40_pickles,
        modelnet40_text,
        mesh_files,
        readers,
        safe_pickle,
        surface_sampling,
        text_readers,
    )
    _files: modelnet40_files.ModelNet40Files

    def __init__(
        self,
        *,
        data_dir: str | None = None,
        num_classes: int = 40,
        layout: str | None = None,
        num_points: int | None = None,
        seed: int | None = None,
        hash: str | None = None,
        **kwargs: Any,
    ) -> None:
        modelnet40_files.check_modelnet40_options(num_classes, layout, num_points, seed)
        options = {"num_classes": num_classes, "layout": layout, "num_points": num_points, "seed": seed}
        self._num_classes = num_classes
        super().__init__(modelnet40_files.find_modelnet40_files, options, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._described(
            f"ModelNet{self._num_classes} with its official split.",
            point_cloud_features(self._files.num_points, modelnet40_names.CLASSES[self._num_classes]),
        )
