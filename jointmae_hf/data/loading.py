"""Loading a dataset by its name."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from datasets import config as datasets_config

from jointmae_hf.data.builders.cache_seal import check_seal
from jointmae_hf.data.builders.dataset_source import DatasetError
from jointmae_hf.data.builders.folder import PointCloudFolder
from jointmae_hf.data.builders.modelnet40 import ModelNet40
from jointmae_hf.data.builders.modelnet_few_shot import ModelNetFewShot
from jointmae_hf.data.builders.sample_shapes import SampleShapes
from jointmae_hf.data.builders.scanobjectnn import ScanObjectNN
from jointmae_hf.data.builders.shapenet55 import ShapeNet55
from jointmae_hf.data.builders.shapenet_part import ShapeNetPart
from jointmae_hf.data.builders.synthetic_shapes import SyntheticShapes

from .writable_folder import check_writable_folder


_BUILDERS: dict[str, Any] = {
    "folder": PointCloudFolder,
    "modelnet40": ModelNet40,
    "modelnet_few_shot": ModelNetFewShot,
    "sample_shapes": SampleShapes,
    "scanobjectnn": ScanObjectNN,
    "shapenet55": ShapeNet55,
    "shapenet_part": ShapeNetPart,
    "synthetic_shapes": SyntheticShapes,
}


def load_point_clouds(
    name: str,
    data_dir: str | Path | None = None,
    split: str | None = None,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    **config: Any,
) -> Dataset | DatasetDict:
    """Load a point cloud dataset; it is built on first use and read from the cache of `datasets` afterwards.

    Args:
        name (`str`):
            `"shapenet55"`, `"modelnet40"`, `"modelnet_few_shot"`, `"scanobjectnn"` or `"shapenet_part"` (published datasets,
            whose archives you have), `"folder"` (your own files), `"sample_shapes"` (real objects in the package), or
            `"synthetic_shapes"` (generated, labelled).
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of the dataset's files. `"sample_shapes"` and `"synthetic_shapes"` refuse it, all others need it.
        split (`str`, *optional*):
            One split, or a part of it such as `"train[:10%]"`. Without it, all splits are returned by name.
        cache_dir (`str` or `pathlib.Path`, *optional*):
            Where the Arrow files go. Defaults to the cache of `datasets`.
        num_proc (`int`, *optional*):
            Processes that build the dataset; one by default. More help where every cloud is a file.
        config (`Any`, *optional*):
            Options of the dataset, which its builder documents: `ShapeNet55`, `ModelNet40`, `ModelNetFewShot`,
            `ScanObjectNN`, `ShapeNetPart`, `PointCloudFolder`, `SampleShapesConfig` and `SyntheticShapesConfig`.

    Returns:
        `datasets.Dataset` or `datasets.DatasetDict`: One split, or all of them, with the columns of `schema`.

    Raises:
        ValueError: If `name` or `split` is unknown, the dataset cannot be built from `data_dir`, `cache_dir` cannot be
            written, or a file in it is not as it was built.
        TypeError: If `config` holds an option that the dataset does not have.
    """
    if name not in _BUILDERS:
        raise ValueError(f"`name` must be one of {', '.join(sorted(_BUILDERS))}, got {name!r}.")
    root = Path(cache_dir or datasets_config.HF_DATASETS_CACHE)
    check_writable_folder("cache_dir", root, "Pass another, or set HF_DATASETS_CACHE.")
    folder = None if data_dir is None else str(Path(data_dir).absolute())
    try:
        builder = _BUILDERS[name](cache_dir=str(root), data_dir=folder, dataset_name=name, **config)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"The cache of the dataset must be as it was built, got {root / name} with a dataset_info.json that is no JSON "
            f"({error}). Remove it to have the dataset built again."
        ) from error
    builder.download_and_prepare(num_proc=num_proc)
    check_seal(Path(builder.cache_dir))
    return builder.as_dataset(split=split)
