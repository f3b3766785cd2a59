"""The `modelnet_few_shot` dataset: folds of few-shot classification on ModelNet40, as a `datasets` builder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from jointmae_hf.data.few_shot_folds import NUM_TEST_SHAPES, FoldDraw
from jointmae_hf.data.readers.safe_pickle import read_safe_pickle
from jointmae_hf.data.schema import point_cloud_features
from jointmae_hf.data.source_frame import SourceFrame

from .modelnet40 import ModelNet40, ModelNet40Files, check_modelnet40_options, find_modelnet40_files
from .modelnet40_layouts import MODELNET40_CLASSES, to_label, to_points
from .point_cloud_builder import DatasetSource, PointCloudBuilder
from .source_files import BUILDER_SOURCES, Clouds, SourceFiles, find_folder


_ADMITTED = {"num_ways": (5, 10), "num_shots": (10, 20), "fold": tuple(range(10))}
_NUM_POINTS = 8192
# The largest fold, 10 ways of 20 shots, has 79 MB.
_MOST_BYTES = 1 << 30
_Item = tuple[Any, int, int]

MODELNET_FEW_SHOT_SOURCE = DatasetSource(
    name="ModelNet40 few-shot",
    where="the data page of Point-BERT, github.com/Julie-tang00/Point-BERT (DATASET.md); or draw folds from ModelNet40 by "
    "`seed=0`",
    license="that of ModelNet40: academic research only; the models are their authors'",
    tree="""
ModelNetFewshot/
  5way_10shot/0.pkl ... 9.pkl   also spelled 5way10shot
  5way_20shot/, 10way_10shot/, 10way_20shot/ likewise
or, with `seed`, a tree of ModelNet40
""",
)


@dataclass(frozen=True)
class FewShotPickle(SourceFiles):
    """A published fold: one pickle of both splits, the only path in `lists`."""

    num_ways: int
    num_shots: int
    num_points: int = _NUM_POINTS

    @classmethod
    def find(cls, data_dir: Path, num_ways: int, num_shots: int, fold: int) -> "FewShotPickle":
        """Find the pickle in the folder of its setting, which must be there once."""
        root = find_folder(data_dir, "ModelNetFewshot")
        # The program that reads the folds and the page that lists them spell the folders differently.
        folders = [root / f"{num_ways}way_{num_shots}shot", root / f"{num_ways}way{num_shots}shot"]
        found = [folder for folder in folders if folder.is_dir()]
        if len(found) != 1:
            names = " or ".join(folder.name for folder in folders)
            state = "none" if not found else "both"
            raise ValueError(f"`data_dir` must hold the folder {names}, got {state} in {root}.")
        return cls({}, [found[0] / f"{fold}.pkl"], num_ways, num_shots)

    @property
    def splits(self) -> dict[str, list[str]]:
        """One part per split."""
        return {"train": ["train"], "test": ["test"]}

    def check(self) -> None:
        """Check labels and numbers of shapes."""
        self.class_names()

    def class_names(self) -> list[str]:
        """Return the class of ModelNet40 that each label of the fold stands for."""
        items = self._items()
        [path] = self.lists
        classes: dict[int, int] = {}
        for split, num_shapes in (("train", self.num_shots), ("test", NUM_TEST_SHAPES)):
            counts = Counter(label for _, label, _ in items[split])
            if counts != dict.fromkeys(range(self.num_ways), num_shapes):
                raise ValueError(
                    f"`{path}` must hold {num_shapes} shapes of each label from 0 to {self.num_ways - 1} in {split!r}, "
                    f"got {dict(sorted(counts.items()))}."
                )
            for _, label, number in items[split]:
                if not 0 <= number < len(MODELNET40_CLASSES) or classes.setdefault(label, number) != number:
                    raise ValueError(
                        f"`{path}` must have one class from 0 to 39 per label, got {number} for label {label} in {split!r}."
                    )
        if len(set(classes.values())) != self.num_ways:
            raise ValueError(f"`{path}` must have another class for every label, got {classes}.")
        return [MODELNET40_CLASSES[classes[label]] for label in range(self.num_ways)]

    def read(self, part: str) -> Clouds:
        """Read one split."""
        items = self._items()[part]
        [path] = self.lists
        return Clouds(
            points=[to_points(cloud, self.num_points, path) for cloud, _, _ in items],
            ids=[f"{path.parent.name}/{path.stem}-{part}-{row:03d}" for row in range(len(items))],
            labels=[label for _, label, _ in items],
        )

    def _items(self) -> dict[str, list[_Item]]:
        """Return cloud, label and class of every shape by split."""
        [path] = self.lists
        content = read_safe_pickle(path, _MOST_BYTES)
        if not isinstance(content, dict) or not {"train", "test"} <= content.keys():
            raise ValueError(f"`{path}` must hold a dictionary with `train` and `test`, got something else.")
        return {
            split: [_to_item(item, path) for item in _to_list(content[split], path)] for split in ("train", "test")
        }


def _to_list(items: Any, path: Path) -> Sequence[Any]:
    """Return the shapes of one split, not yet checked."""
    if not isinstance(items, (list, tuple)):
        raise ValueError(f"`{path}` must hold lists of shapes, got {type(items).__name__}.")
    return items


def _to_item(item: Any, path: Path) -> _Item:
    """Return one shape with checked numbers."""
    if not isinstance(item, (list, tuple)) or len(item) != 3:
        raise ValueError(f"`{path}` must hold shapes as (points, label, class), got {type(item).__name__}.")
    return item[0], to_label(item[1], path), to_label(item[2], path)


@dataclass(frozen=True)
class DrawnFold(SourceFiles):
    """A fold that a seed draws from the official splits of ModelNet40, whose files are in `lists`."""

    draw: FoldDraw
    modelnet40: ModelNet40Files

    @property
    def num_points(self) -> int:
        """Points of every shape of ModelNet40."""
        return self.modelnet40.num_points

    @property
    def frame(self) -> SourceFrame:
        """Frame of the files of ModelNet40."""
        return self.modelnet40.frame

    @classmethod
    def find(
        cls,
        data_dir: Path,
        num_ways: int,
        num_shots: int,
        fold: int,
        seed: int,
        layout: str | None,
        num_points: int | None,
    ) -> "DrawnFold":
        """Find the ModelNet40 to draw from."""
        modelnet40 = find_modelnet40_files(data_dir, 40, layout, num_points, None)
        return cls({}, modelnet40.paths, FoldDraw(num_ways, num_shots, fold, seed), modelnet40)

    def class_names(self) -> list[str]:
        """Return the classes of the fold in the order of their labels."""
        return [MODELNET40_CLASSES[number] for number in self._classes()]

    def _classes(self) -> list[int]:
        """Return the classes as labels of ModelNet40."""
        return self.draw.classes(range(len(MODELNET40_CLASSES)))

    def choose(self, split: str, dataset: datasets.Dataset) -> Clouds:
        """Draw the shapes of a split of the fold out of the official split."""
        num_shapes = self.draw.num_shots if split == "train" else NUM_TEST_SHAPES
        labels, classes = np.asarray(dataset["label"][:]), self._classes()
        for number in classes:
            if (labels == number).sum() < num_shapes:
                raise ValueError(
                    f"ModelNet40 must have {num_shapes} shapes of {MODELNET40_CLASSES[number]!r} in {split!r} to draw "
                    f"from, got {(labels == number).sum()}."
                )
        rows = self.draw.rows(split, labels, classes, num_shapes, dataset["id"][:])
        chosen = dataset.select(rows).with_format("numpy")
        ids = [str(name) for name in chosen["id"][:]]
        return Clouds(chosen["points"][:], ids, np.repeat(np.arange(len(classes)), num_shapes).tolist())

    def read(self, part: Clouds) -> Clouds:
        """Return what `choose` returned."""
        return part


class ModelNetFewShot(PointCloudBuilder):
    """Builder of a fold: `num_ways` classes with `num_shots` shapes each in `train` and 20 each in `test`.

    Without `seed`, the fold is one of the ten that Point-BERT published for each of 5 and 10 ways and 10 and 20 shots, of
    8,192 points a shape; no program can draw these folds again. With `seed`, it is drawn from the official splits of the
    ModelNet40 in `data_dir` and has its points; `jointmae_hf.evaluation.draw_fold` draws the same fold from these splits.

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

    SOURCE = MODELNET_FEW_SHOT_SOURCE
    SOURCES = (*BUILDER_SOURCES, "data/few_shot_folds.py")
    _files: DrawnFold | FewShotPickle

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
        check_modelnet40_options(40, layout, num_points, seed)
        if seed is None and (layout is not None or num_points is not None):
            raise ValueError(
                "`layout` and `num_points` must be left out without `seed`: published folds have their own."
            )
        self._setting = setting
        self._modelnet40: dict[str, Any] = {"layout": layout, "num_points": num_points}
        if seed is None:
            super().__init__(FewShotPickle.find, setting, data_dir, hash, **kwargs)
        else:
            options = {**setting, **self._modelnet40, "seed": seed}
            super().__init__(DrawnFold.find, options, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        with self.SOURCE.with_download_hint():
            names = self._files.class_names()
        return self._describe(
            "Fold {fold} of ModelNet40 few-shot, {num_ways} ways of {num_shots} shots.".format(**self._setting),
            point_cloud_features(self._files.num_points, names),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        if isinstance(self._files, FewShotPickle):
            return super()._split_generators(dl_manager)
        # Built as a dataset of its own, so that the next fold finds it in the cache.
        modelnet40 = ModelNet40(data_dir=self.config.data_dir, cache_dir=self._cache_dir_root, **self._modelnet40)
        modelnet40.download_and_prepare()
        with self.SOURCE.with_download_hint():
            return [
                datasets.SplitGenerator(
                    name=split, gen_kwargs={"parts": [self._files.choose(split, modelnet40.as_dataset(split=split))]}
                )
                for split in ("train", "test")
            ]
