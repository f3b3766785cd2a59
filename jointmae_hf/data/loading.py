"""Loading a corpus by its name."""

from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from .folder import PointCloudFolder
from .modelnet40 import ModelNet40
from .modelnet_few_shot import ModelNetFewShot
from .scanobjectnn import ScanObjectNN
from .shapenet55 import ShapeNet55
from .shapenet_part import ShapeNetPart
from .synthetic_shapes import SyntheticShapes


_CORPORA: dict[str, Any] = {
    "folder": PointCloudFolder,
    "modelnet40": ModelNet40,
    "modelnet_few_shot": ModelNetFewShot,
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
    """Load a point cloud corpus; it is built on first use and read from the cache of `datasets` afterwards.

    Args:
        name (`str`):
            `"shapenet55"`, `"modelnet40"`, `"modelnet_few_shot"`, `"scanobjectnn"` or `"shapenet_part"` (published corpora,
            whose archives you have), `"folder"` (your own files), or `"synthetic_shapes"` (generated, labelled).
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of the corpus' files. `"synthetic_shapes"` refuses it, all others need it.
        split (`str`, *optional*):
            One split, or a part of it such as `"train[:10%]"`. Without it, all splits are returned by name.
        cache_dir (`str` or `pathlib.Path`, *optional*):
            Where the Arrow files go. Defaults to the cache of `datasets`.
        num_proc (`int`, *optional*):
            Processes that build the corpus; one by default. More help where every cloud is a file.
        config (`Any`, *optional*):
            Options of the corpus, which its builder documents: `ShapeNet55`, `ModelNet40`, `ModelNetFewShot`,
            `ScanObjectNN`, `ShapeNetPart`, `PointCloudFolder` and `SyntheticShapesConfig`.

    Returns:
        `datasets.Dataset` or `datasets.DatasetDict`: One split, or all of them, with the columns of `schema`.

    Raises:
        ValueError: If `name` or `split` is unknown, or the corpus cannot be built from `data_dir`.
        TypeError: If `config` holds an option that the corpus does not have.
    """
    if name not in _CORPORA:
        raise ValueError(f"`name` must be one of {', '.join(sorted(_CORPORA))}, got {name!r}.")
    builder = _CORPORA[name](
        cache_dir=None if cache_dir is None else str(cache_dir),
        data_dir=None if data_dir is None else str(Path(data_dir).absolute()),
        dataset_name=name,
        **config,
    )
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset(split=split)
