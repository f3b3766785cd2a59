"""Folds of few-shot classification drawn from ModelNet40."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .few_shot_pickles import NUM_TEST_SHAPES
from .modelnet40_files import ModelNet40Files, find_modelnet40_files
from .modelnet40_names import MODELNET40_CLASSES
from .source_files import Clouds


@dataclass(frozen=True)
class DrawnFold:
    """A fold that a seed draws from the official splits; see `SourceFiles`.

    Args:
        modelnet40 (`ModelNet40Files`):
            Files of the dataset to draw from.
        num_ways (`int`):
            Classes of the fold.
        num_shots (`int`):
            Training shapes of every class.
        fold (`int`):
            Number of the fold.
        seed (`int`):
            Seed of all folds.
    """

    modelnet40: ModelNet40Files
    num_ways: int
    num_shots: int
    fold: int
    seed: int

    @property
    def num_points(self) -> int:
        """Points of every shape."""
        return self.modelnet40.num_points

    @property
    def paths(self) -> Sequence[Path]:
        """All files of ModelNet40."""
        return self.modelnet40.paths

    @property
    def splits(self) -> dict[str, list[Clouds]]:
        """Nothing to read: `draw` chooses among clouds that `ModelNet40` has read."""
        return {}

    def check(self) -> None:
        """`ModelNet40` checks its files."""

    def read(self, part: Clouds) -> Clouds:
        """Return what `draw` chose."""
        return part

    def class_names(self) -> list[str]:
        """Name the classes of the fold in the order of their labels."""
        return [MODELNET40_CLASSES[number] for number in self._classes()]

    def _classes(self) -> list[int]:
        """Labels of ModelNet40, without repeats."""
        return self._rng(0).choice(len(MODELNET40_CLASSES), self.num_ways, replace=False).tolist()

    def _rng(self, purpose: int) -> np.random.Generator:
        """Random numbers for one purpose."""
        return np.random.default_rng([self.seed, self.num_ways, self.num_shots, self.fold, purpose])

    def draw(self, split: str, labels: Sequence[int], ids: Sequence[str]) -> tuple[list[int], list[int]]:
        """Draw the shapes of a split, the same whatever the order of its rows.

        Args:
            split (`str`):
                `"train"` or `"test"`.
            labels (`Sequence[int]`):
                Class of every shape of the official split.
            ids (`Sequence[str]`):
                Their names.

        Returns:
            `tuple[list[int], list[int]]`: Rows of the official split, class after class, and their labels in the fold.

        Raises:
            ValueError: If a class has too few shapes.
        """
        num_shapes = self.num_shots if split == "train" else NUM_TEST_SHAPES
        rng = self._rng(1 if split == "train" else 2)
        by_name = np.argsort(np.asarray(ids), kind="stable")
        rows: list[int] = []
        for number in self._classes():
            candidates = by_name[np.asarray(labels)[by_name] == number]
            if len(candidates) < num_shapes:
                raise ValueError(
                    f"ModelNet40 must have {num_shapes} shapes of {MODELNET40_CLASSES[number]!r} in {split!r} to draw "
                    f"from, got {len(candidates)}."
                )
            rows += rng.choice(candidates, num_shapes, replace=False).tolist()
        return rows, np.repeat(np.arange(self.num_ways), num_shapes).tolist()


def find_drawn_fold(
    data_dir: Path, num_ways: int, num_shots: int, fold: int, seed: int, layout: str | None, num_points: int | None
) -> DrawnFold:
    """Find the ModelNet40 to draw a fold from.

    Args:
        data_dir (`pathlib.Path`):
            As for `find_modelnet40_files`.
        num_ways (`int`):
            Classes of the fold.
        num_shots (`int`):
            Training shapes of every class.
        fold (`int`):
            Number of the fold.
        seed (`int`):
            Seed of all folds.
        layout (`str`, *optional*):
            As for `find_modelnet40_files`.
        num_points (`int`, *optional*):
            As for `find_modelnet40_files`.

    Returns:
        `DrawnFold`: The fold.

    Raises:
        ValueError: As from `find_modelnet40_files`.
    """
    modelnet40 = find_modelnet40_files(data_dir, 40, layout, num_points, None)
    return DrawnFold(modelnet40, num_ways, num_shots, fold, seed)
