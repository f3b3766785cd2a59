"""The `shapenet55` dataset: clouds for pre-training, from Point-BERT's archive, as a `datasets` builder."""

from typing import Any

import datasets

from jointmae_hf.data.readers import formats as readers
from jointmae_hf.data.schema import point_cloud_features
from jointmae_hf.model import cloud_files

from . import shapenet55_files
from .point_cloud_builder import PointCloudBuilder


class ShapeNet55(PointCloudBuilder):
    """Builder of ShapeNet-55: 52,470 clouds of 8,192 points, 41,952 in `train` and 10,518 in `test`, of 55 classes.

    The Joint-MAE paper counts 57,448 shapes, the number of ShapeNetCore v1; the lists that its peers publish have 52,470.
    Points are as in the files: y is up, neither centred nor scaled. The archive is had by the data page of Point-BERT,
    under the terms of ShapeNet: non-commercial research and education, no redistribution.

    Without `train.txt` and `test.txt`, a cloud belongs to `test` if the CRC-32 of its file name is a multiple of 5. This
    split is the same everywhere, whatever other files there are, but it is not the published one; a warning says so.

    Columns: `points`, `label` (names in `SHAPENET55_SYNSETS`), `synset`, and `id`, the model. Two models have the empty id.

    Args:
        data_dir (`str`):
            The folder `ShapeNet55-34` or the one that holds it.
        whole (`bool`, *optional*, defaults to `False`):
            Join the test split to `train`, as the option of that name does in Point-BERT. There is no `test` then.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        DatasetError: If the files in `data_dir` are not those of the dataset.
    """

    SOURCE = shapenet55_files.SHAPENET55_SOURCE
    MODULES = (cloud_files, readers, shapenet55_files)

    def __init__(
        self, *, data_dir: str | None = None, whole: bool = False, hash: str | None = None, **kwargs: Any
    ) -> None:
        if not isinstance(whole, bool):
            raise TypeError(f"`whole` must be a bool, got {whole!r}.")
        super().__init__(shapenet55_files.find_shapenet55_files, {"whole": whole}, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._described(
            "ShapeNet-55 as published by Point-BERT.",
            point_cloud_features(
                shapenet55_files.NUM_POINTS, list(shapenet55_files.SHAPENET55_SYNSETS.values()), has_synset=True
            ),
        )
