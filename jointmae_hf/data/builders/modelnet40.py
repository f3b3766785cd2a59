"""The `modelnet40` dataset: CAD models of 40 classes, or the 10 of ModelNet10, as a `datasets` builder."""

from pathlib import Path
from typing import Any

import datasets

from jointmae_hf.data.argument_checks import check_integer
from jointmae_hf.data.schema import point_cloud_features

from .modelnet40_layouts import CLASSES, ModelNet40Hdf5, ModelNet40Meshes, ModelNet40Pickles, ModelNet40Text
from .point_cloud_builder import DatasetSource, PointCloudBuilder
from .source_files import check_choice, choose_layout, find_folder


ModelNet40Files = ModelNet40Hdf5 | ModelNet40Meshes | ModelNet40Pickles | ModelNet40Text

_LAYOUTS = ("hdf5", "txt", "dat", "off")
_DEFAULT_NUM_POINTS = 2048

MODELNET40_SOURCE = DatasetSource(
    name="ModelNet40",
    where="modelnet.cs.princeton.edu (meshes), shapenet.cs.stanford.edu/media (clouds; often down, mirrors exist on the "
    "Hugging Face Hub and in the releases of github.com/ma-xu/pointMLP-pytorch), the data page of Point-BERT (.dat)",
    license="academic research only; the models are their authors' (modelnet.cs.princeton.edu)",
    tree="""
one of
  modelnet40_ply_hdf5_2048/   layout="hdf5"
    train_files.txt, test_files.txt, ply_data_train0.h5 ... with data (n, 2048, 3) and label (n, 1)
    ply_data_train_0_id2file.json ...   names of the rows, optional
  modelnet40_normal_resampled/   layout="txt"
    modelnet40_train.txt, modelnet40_test.txt, airplane/airplane_0001.txt ... of 10,000 lines x,y,z,nx,ny,nz
  modelnet40_normal_resampled/   layout="dat"
    modelnet40_train_8192pts_fps.dat, modelnet40_test_8192pts_fps.dat
  ModelNet40/   layout="off"
    airplane/train/airplane_0001.off ..., airplane/test/airplane_0627.off ...
""",
)


def check_modelnet40_options(num_classes: int, layout: str | None, num_points: int | None, seed: int | None) -> None:
    """Check the options of the dataset before any file is looked for."""
    if num_classes not in CLASSES:
        raise ValueError(f"`num_classes` must be 40 or 10, got {num_classes!r}.")
    if layout is not None:
        check_choice("layout", layout, _LAYOUTS)
    if num_points is not None:
        check_integer("num_points", num_points, 1)
    if seed is not None:
        check_integer("seed", seed, 0)


def _find_layouts(data_dir: Path, num_classes: int) -> dict[str, Path]:
    """Return the folder of each layout that is there."""
    hdf5 = find_folder(data_dir, "modelnet40_ply_hdf5_2048")
    clouds = find_folder(data_dir, "modelnet40_normal_resampled")
    meshes = find_folder(data_dir, f"ModelNet{num_classes}", "ModelNet40", "ModelNet10")
    classes = CLASSES[num_classes]
    is_there = {
        "hdf5": any(hdf5.glob("ply_data_*.h5")),
        "txt": any(any((clouds / name).glob("[!.]*.txt")) for name in classes),
        "dat": any(clouds.glob("modelnet*_*pts_fps.dat")),
        "off": any((meshes / name / split).is_dir() for name in classes for split in ("train", "test")),
    }
    folders = {"hdf5": hdf5, "txt": clouds, "dat": clouds, "off": meshes}
    return {layout: folders[layout] for layout in _LAYOUTS if is_there[layout]}


def find_modelnet40_files(
    data_dir: Path, num_classes: int, layout: str | None, num_points: int | None, seed: int | None
) -> ModelNet40Files:
    """Find the files of the dataset in the layout that is there, or that is asked for where there are several."""
    found = _find_layouts(data_dir, num_classes)
    layout = choose_layout(found, layout, data_dir)
    if layout == "off":
        num_points = _DEFAULT_NUM_POINTS if num_points is None else num_points
        return ModelNet40Meshes.find(found[layout], num_classes, num_points, 0 if seed is None else seed)
    if num_points is not None or seed is not None:
        raise ValueError(
            f"`num_points` and `seed` must be left out except for meshes, got them for layout {layout!r}."
        )
    if layout == "hdf5":
        return ModelNet40Hdf5.find(found[layout], num_classes)
    if layout == "txt":
        return ModelNet40Text.find(found[layout], num_classes)
    return ModelNet40Pickles.find(found[layout], num_classes)


class ModelNet40(PointCloudBuilder):
    """Builder of ModelNet40: 9,843 shapes in `train` and 2,468 in `test`, by the official split.

    | `layout` | published as | points of a shape | |
    |---|---|---|---|
    | `"hdf5"` | `modelnet40_ply_hdf5_2048` | 2,048 | 9,840 in `train`: three shapes were never in it |
    | `"txt"` | `modelnet40_normal_resampled` | 10,000 | not centered |
    | `"dat"` | `modelnet40_{train,test}_8192pts_fps.dat` | 8,192 | Point-BERT's choice from `"txt"` |
    | `"off"` | `ModelNet40`, `ModelNet10` | `num_points` | meshes, sampled here uniformly by area |

    y is up. The published clouds are mirror images of the meshes (y and z swapped); what is sampled from meshes here is
    mirrored likewise, centered on its mean and scaled to the unit sphere, so that a model may see either. Other points are
    as in the files.

    Download the meshes from modelnet.cs.princeton.edu, and the clouds from shapenet.cs.stanford.edu/media or its mirrors;
    for academic research only. `"hdf5"` and `"off"` require `pip install "jointmae_hf[data]"`.

    Columns: `points`, `label` (names in `MODELNET40_CLASSES` or `MODELNET10_CLASSES`), and `id`, such as `"chair_0001"`; a
    number in the split where neither the file nor a list next to it has names.

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

    SOURCE = MODELNET40_SOURCE
    _files: ModelNet40Files

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
        check_modelnet40_options(num_classes, layout, num_points, seed)
        options = {"num_classes": num_classes, "layout": layout, "num_points": num_points, "seed": seed}
        self._num_classes = num_classes
        super().__init__(find_modelnet40_files, options, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._describe(
            f"ModelNet{self._num_classes} with its official split.",
            point_cloud_features(self._files.num_points, CLASSES[self._num_classes]),
        )
