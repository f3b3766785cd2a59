"""Loading a corpus by its name."""

from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from .folder import PointCloudFolder
from .synthetic_shapes import SyntheticShapes


_CORPORA = {"folder": PointCloudFolder, "synthetic_shapes": SyntheticShapes}


def load_point_clouds(
    name: str,
    data_dir: str | Path | None = None,
    split: str | None = None,
    cache_dir: str | Path | None = None,
    **config: Any,
) -> Dataset | DatasetDict:
    """Load a point cloud corpus; it is built on first use and read from the cache of `datasets` afterwards.

    Args:
        name (`str`):
            `"synthetic_shapes"` (generated, labelled) or `"folder"` (your own files).
        data_dir (`str` or `pathlib.Path`, *optional*):
            Folder of the corpus' files. `"folder"` needs it, `"synthetic_shapes"` refuses it.
        split (`str`, *optional*):
            One split, or a part of it such as `"train[:10%]"`. Without it, all splits are returned by name.
        cache_dir (`str` or `pathlib.Path`, *optional*):
            Where the Arrow files go. Defaults to the cache of `datasets`.
        config (`Any`, *optional*):
            Options of the corpus: `num_train`, `num_validation`, `num_test`, `num_points` and `seed` of
            `"synthetic_shapes"`.

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
    builder.download_and_prepare()
    return builder.as_dataset(split=split)
