"""The `modelnet_few_shot` dataset: folds of few-shot classification on ModelNet40, as a `datasets` builder."""

from typing import Any

import datasets

from jointmae_hf.data.schema import point_cloud_features

from . import few_shot_folds, few_shot_pickles, modelnet40_files
from . import source_files as source_files
from .modelnet40 import ModelNet40
from .point_cloud_builder import PointCloudBuilder


_ADMITTED = {"num_ways": (5, 10), "num_shots": (10, 20), "fold": tuple(range(10))}


class ModelNetFewShot(PointCloudBuilder):
    """Builder of a fold: `num_ways` classes with `num_shots` shapes each in `train` and 20 each in `test`.

    Without `seed`, the fold is one of the ten that Point-BERT published for each of 5 and 10 ways and 10 and 20 shots, of
    8,192 points a shape; no program makes these folds again. With `seed`, it is drawn from the official splits of the
    ModelNet40 in `data_dir`, whose points it has.

    y is up, in the handedness of ModelNet's published clouds. For academic research only, as ModelNet40.

    Columns: `points`, `label` (0 to `num_ways - 1`, with the names of the fold's classes), and `id`: fold, split and
    row, or that of ModelNet40.

    Args:
        data_dir (`str`):
            The folder `ModelNetFewshot` or the one that holds it; with `seed`, a folder for `ModelNet40`.
        num_ways (`int`, *optional*, defaults to 5):
            5 or 10.
        num_shots (`int`, *optional*, defaults to 10):
            10 or 20.
        fold (`int`, *optional*, defaults to 0):
            From 0 to 9.
        seed (`int`, *optional*):
            Seed by which the fold is drawn.
        layout (`str`, *optional*):
            Layout of ModelNet40, with `seed` alone.
        num_points (`int`, *optional*):
            Points to sample from every mesh, with `seed` and layout `"off"` alone.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        TypeError: If `seed` or `num_points` is not an integer.
        ValueError: If an option is wrong.
        DatasetError: If the files in `data_dir` are not those of the dataset, or a class has too few shapes.
    """

    SOURCE = few_shot_pickles.MODELNET_FEW_SHOT_SOURCE
    MODULES = (few_shot_folds, few_shot_pickles, *ModelNet40.MODULES)
    _files: few_shot_folds.DrawnFold | few_shot_pickles.FewShotPickle

    def __init__(
        self,
        *,
        data_dir: str | None = None,
        num_ways: int = 5,
        num_shots: int = 10,
        fold: int = 0,
        seed: int | None = None,
        layout: str | None = None,
        num_points: int | None = None,
        hash: str | None = None,
        **kwargs: Any,
    ) -> None:
        setting = {"num_ways": num_ways, "num_shots": num_shots, "fold": fold}
        for name, value in setting.items():
            if type(value) is not int or value not in _ADMITTED[name]:
                raise ValueError(f"`{name}` must be one of {list(_ADMITTED[name])}, got {value!r}.")
        modelnet40_files.check_modelnet40_options(40, layout, num_points, seed)
        if seed is None and (layout is not None or num_points is not None):
            raise ValueError(
                "`layout` and `num_points` must be left out without `seed`: published folds have their own."
            )
        self._setting = setting
        self._modelnet40: dict[str, Any] = {"layout": layout, "num_points": num_points}
        if seed is None:
            super().__init__(few_shot_pickles.find_few_shot_pickle, setting, data_dir, hash, **kwargs)
        else:
            options = {**setting, **self._modelnet40, "seed": seed}
            super().__init__(few_shot_folds.find_drawn_fold, options, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        with self.SOURCE.with_download_hint():
            names = self._files.class_names()
        return self._described(
            "Fold {fold} of ModelNet40 few-shot, {num_ways} ways of {num_shots} shots.".format(**self._setting),
            point_cloud_features(self._files.num_points, names),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        if isinstance(self._files, few_shot_pickles.FewShotPickle):
            return super()._split_generators(dl_manager)
        # Built as a dataset of its own, so that the next fold finds it in the cache.
        splits = ModelNet40(data_dir=self.config.data_dir, cache_dir=self._cache_dir_root, **self._modelnet40)
        splits.download_and_prepare()
        return [
            datasets.SplitGenerator(
                name=split, gen_kwargs={"parts": [self._drawn(self._files, split, splits.as_dataset(split=split))]}
            )
            for split in ("train", "test")
        ]

    def _drawn(self, fold: few_shot_folds.DrawnFold, split: str, dataset: datasets.Dataset) -> source_files.Clouds:
        """Shapes of one split of the fold."""
        with self.SOURCE.with_download_hint():
            rows, labels = fold.draw(split, dataset["label"][:], dataset["id"][:])
        chosen = dataset.select(rows).with_format("numpy")
        return source_files.Clouds(chosen["points"][:], [str(name) for name in chosen["id"][:]], labels)
