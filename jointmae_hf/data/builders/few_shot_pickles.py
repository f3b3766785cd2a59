"""The published folds of ModelNet40 few-shot classification: one pickle a fold, of 8,192 points a shape."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointmae_hf.data.readers.safe_pickle import read_safe_pickle

from .dataset_source import DatasetSource
from .modelnet40_names import MODELNET40_CLASSES
from .modelnet40_pickles import read_pickled_cloud, read_pickled_label
from .source_files import Clouds, find_folder


NUM_POINTS = 8192
NUM_TEST_SHAPES = 20
"""Test shapes of every class of a fold."""

MODELNET_FEW_SHOT_SOURCE = DatasetSource(
    name="ModelNet40 few-shot",
    where="the data page of Point-BERT, github.com/Julie-tang00/Point-BERT (DATASET.md); or draw folds from ModelNet40 by "
    "`seed=0`",
    licence="that of ModelNet40: academic research only; the models are their authors'",
    tree="""
ModelNetFewshot/
  5way_10shot/0.pkl ... 9.pkl   also spelled 5way10shot
  5way_20shot/, 10way_10shot/, 10way_20shot/ likewise
or, with `seed`, a tree of ModelNet40
""",
)

# The largest fold, 10 ways of 20 shots, has 79 MB.
_MOST_BYTES = 1 << 30
_Item = tuple[Any, int, int]


@dataclass(frozen=True)
class FewShotPickle:
    """One published fold; see `SourceFiles`."""

    path: Path
    num_ways: int
    num_shots: int
    num_points: int = NUM_POINTS

    @property
    def paths(self) -> list[Path]:
        """The pickle."""
        return [self.path]

    @property
    def splits(self) -> dict[str, list[str]]:
        """One part per split."""
        return {"train": ["train"], "test": ["test"]}

    def check(self) -> None:
        """Check labels and numbers of shapes."""
        self.class_names()

    def class_names(self) -> list[str]:
        """Read which class of ModelNet40 each label of the fold stands for.

        Returns:
            `list[str]`: Names in the order of the labels.

        Raises:
            ValueError: If the pickle is not a fold of the expected ways and shots.
        """
        items = self._items()
        classes: dict[int, int] = {}
        for split, num_shapes in (("train", self.num_shots), ("test", NUM_TEST_SHAPES)):
            counts = Counter(label for _, label, _ in items[split])
            if counts != dict.fromkeys(range(self.num_ways), num_shapes):
                raise ValueError(
                    f"`{self.path}` must hold {num_shapes} shapes of each label from 0 to {self.num_ways - 1} in {split!r}, "
                    f"got {dict(sorted(counts.items()))}."
                )
            for _, label, number in items[split]:
                if not 0 <= number < len(MODELNET40_CLASSES) or classes.setdefault(label, number) != number:
                    raise ValueError(
                        f"`{self.path}` must have one class from 0 to 39 per label, got {number} for label {label} in "
                        f"{split!r}."
                    )
        if len(set(classes.values())) != self.num_ways:
            raise ValueError(f"`{self.path}` must have another class for every label, got {classes}.")
        return [MODELNET40_CLASSES[classes[label]] for label in range(self.num_ways)]

    def read(self, part: str) -> Clouds:
        """Read one split."""
        items = self._items()[part]
        fold = f"{self.path.parent.name}/{self.path.stem}"
        return Clouds(
            points=[read_pickled_cloud(cloud, NUM_POINTS, self.path) for cloud, _, _ in items],
            ids=[f"{fold}-{part}-{row:03d}" for row in range(len(items))],
            labels=[label for _, label, _ in items],
        )

    def _items(self) -> dict[str, list[_Item]]:
        """Cloud, label and class of every shape by split."""
        content = read_safe_pickle(self.path, _MOST_BYTES)
        if not isinstance(content, dict) or not {"train", "test"} <= content.keys():
            raise ValueError(f"`{self.path}` must hold a dictionary with `train` and `test`, got something else.")
        return {split: [self._item(item) for item in self._list(content[split])] for split in ("train", "test")}

    def _list(self, items: Any) -> Sequence[Any]:
        """Shapes of one split, not yet checked."""
        if not isinstance(items, (list, tuple)):
            raise ValueError(f"`{self.path}` must hold lists of shapes, got {type(items).__name__}.")
        return items

    def _item(self, item: Any) -> _Item:
        """One shape with checked numbers."""
        if not isinstance(item, (list, tuple)) or len(item) != 3:
            raise ValueError(f"`{self.path}` must hold shapes as (points, label, class), got {type(item).__name__}.")
        return item[0], read_pickled_label(item[1], self.path), read_pickled_label(item[2], self.path)


def find_few_shot_pickle(data_dir: Path, num_ways: int, num_shots: int, fold: int) -> FewShotPickle:
    """Find the pickle of a fold.

    Args:
        data_dir (`pathlib.Path`):
            The folder `ModelNetFewshot` or the one that holds it.
        num_ways (`int`):
            Classes.
        num_shots (`int`):
            Training shapes of every class.
        fold (`int`):
            Number of the fold.

    Returns:
        `FewShotPickle`: The file.

    Raises:
        ValueError: If the folder of this setting is missing, or there twice.
    """
    root = find_folder(data_dir, "ModelNetFewshot")
    # The program that reads the folds and the page that lists them spell the folders differently.
    folders = [root / f"{num_ways}way_{num_shots}shot", root / f"{num_ways}way{num_shots}shot"]
    found = [folder for folder in folders if folder.is_dir()]
    if len(found) != 1:
        names = " or ".join(folder.name for folder in folders)
        state = "none" if not found else "both"
        raise ValueError(f"`data_dir` must hold the folder {names}, got {state} in {root}.")
    return FewShotPickle(found[0] / f"{fold}.pkl", num_ways, num_shots)
