"""Loading a dataset by its name."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from datasets import config as datasets_config

from jointmae_hf.data.builders.folder import PointCloudFolder
from jointmae_hf.data.builders.modelnet40 import ModelNet40
from jointmae_hf.data.builders.modelnet_few_shot import ModelNetFewShot
from jointmae_hf.data.builders.point_cloud_builder import DatasetError
from jointmae_hf.data.builders.primitive_shapes import PrimitiveShapes
from jointmae_hf.data.builders.sample_shapes import SampleShapes
from jointmae_hf.data.builders.scanobjectnn import ScanObjectNN
from jointmae_hf.data.builders.shapenet55 import ShapeNet55
from jointmae_hf.data.builders.shapenet_part import ShapeNetPart
from jointmae_hf.data.builders.synthetic_shapes import SyntheticShapes

from .holding_out import hold_out
from .writable_folder import check_writable_folder


_BUILDERS: dict[str, Any] = {
    "folder": PointCloudFolder,
    "modelnet40": ModelNet40,
    "modelnet_few_shot": ModelNetFewShot,
    "primitive_shapes": PrimitiveShapes,
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

    `datasets` does not verify its cache, see `docs/datasets.md`; `convert_to_parquet` writes files with checksums.

    Args:
        name (`str`):
            `"shapenet55"`, `"modelnet40"`, `"modelnet_few_shot"`, `"scanobjectnn"` or `"shapenet_part"` (published datasets,
            whose archives you have), `"folder"` (your own files), `"sample_shapes"` (real objects in the package),
            `"synthetic_shapes"` (generated, labeled) or `"primitive_shapes"` (generated, without classes and end).
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of the dataset's files. Those that are generated or come with the package refuse it, all others need it.
        split (`str`, *optional*):
            One split, or a part of it such as `"train[:10%]"`. Without it, all splits are returned by name.
        cache_dir (`str` or `pathlib.Path`, *optional*):
            Where the Arrow files go. Defaults to the cache of `datasets`.
        num_proc (`int`, *optional*):
            Processes that build the dataset, one by default. More are faster where every cloud is a file.
        config (`Any`, *optional*):
            Options of the dataset, documented at its builder: `ShapeNet55`, `ModelNet40`, `ModelNetFewShot`,
            `ScanObjectNN`, `ShapeNetPart`, `PointCloudFolder`, `SampleShapesConfig`, `SyntheticShapesConfig` and
            `PrimitiveShapesConfig`.

    Returns:
        `datasets.Dataset` or `datasets.DatasetDict`: One split, or all of them, with the columns of `schema`.

    Raises:
        ValueError: If `name` or `split` is unknown, the dataset cannot be built from `data_dir`, `cache_dir` cannot be
            written, or its description of the dataset is corrupted.
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
            f"The cache of the dataset must hold a valid dataset_info.json, got one in {root / name} that is no JSON ({error}). "
            "Remove that folder to build the dataset again."
        ) from error
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split)


def load_splits(
    name: str,
    data_dir: str | Path | None = None,
    validation_share: float = 0.1,
    seed: int = 0,
    cache_dir: str | Path | None = None,
    num_proc: int | None = None,
    **config: Any,
) -> DatasetDict:
    """Load a dataset, and hold out a validation split from `train` if the dataset has none.

    Most published datasets come without a validation split, and papers choose their epoch on `test`. Here `test` stays
    untouched: what is chosen is chosen on `validation`. It is drawn by [`hold_out`].

    Args:
        name (`str`):
            Name of a dataset, see [`load_point_clouds`].
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of its files.
        validation_share (`float`, *optional*, defaults to 0.1):
            Share of `train` to hold out, within (0, 1).
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice, not negative.
        cache_dir (`str` or `pathlib.Path`, *optional*):
            As in [`load_point_clouds`].
        num_proc (`int`, *optional*):
            As in [`load_point_clouds`].
        config (`Any`, *optional*):
            Options of the dataset.

    Returns:
        `datasets.DatasetDict`: `train`, `validation` and, where the dataset has one, `test`, with its other splits.

    Raises:
        ValueError: If an argument breaks its rule, there is no `train`, or it is too small to be split.
    """
    if not 0.0 < validation_share < 1.0:
        raise ValueError(f"`validation_share` must be within (0, 1), got {validation_share}.")
    if seed < 0:
        raise ValueError(f"`seed` must not be negative, got {seed}.")
    splits = load_point_clouds(name, data_dir, cache_dir=cache_dir, num_proc=num_proc, **config)
    if "train" not in splits:
        raise ValueError(f"`name` must be a dataset with a split `train`, got {name!r} with {sorted(splits)}.")
    if "validation" in splits:
        return splits
    train, validation = hold_out(splits["train"], validation_share, seed)
    return DatasetDict({**splits, "train": train, "validation": validation})
