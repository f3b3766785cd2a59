"""The draw of few-shot folds: which classes and which of their clouds a seed chooses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


NUM_TEST_SHAPES = 20
"""Test shapes of every class of a fold, as in the folds that Point-BERT published."""


@dataclass(frozen=True)
class FoldDraw:
    """A fold of `num_ways` classes, drawn by a seed: classes first, then clouds of each class out of every split.

    Args:
        num_ways (`int`):
            Classes of the fold.
        num_shots (`int`):
            Training clouds of every class.
        fold (`int`):
            Number of the fold.
        seed (`int`):
            Seed of all folds.
    """

    num_ways: int
    num_shots: int
    fold: int
    seed: int

    def classes(self, candidates: Sequence[int]) -> list[int]:
        """Draw the classes, in the order of their labels in the fold."""
        return self._generator(0).choice(candidates, self.num_ways, replace=False).tolist()

    def rows(
        self, split: str, labels: np.ndarray, classes: Sequence[int], num_clouds: int, ids: Sequence[str] | None = None
    ) -> list[int]:
        """Draw clouds of every class out of `"train"` or `"test"`.

        Args:
            split (`str`):
                `"train"` or `"test"`.
            labels (`np.ndarray` of shape `(num_clouds_of_split,)`):
                Class of every cloud of the split.
            classes (`Sequence[int]`):
                Classes of the fold, each with at least `num_clouds` clouds.
            num_clouds (`int`):
                Clouds to draw of every class.
            ids (`Sequence[str]`, *optional*):
                Names of the clouds. With them, the same clouds are drawn whatever the order of the split.

        Returns:
            `list[int]`: Rows of the split, class by class.
        """
        generator = self._generator(1 if split == "train" else 2)
        order = np.arange(len(labels)) if ids is None else np.argsort(np.asarray(ids), kind="stable")
        return [
            row
            for number in classes
            for row in generator.choice(order[labels[order] == number], num_clouds, replace=False).tolist()
        ]

    def _generator(self, purpose: int) -> np.random.Generator:
        """Return the random numbers for one purpose."""
        return np.random.default_rng([self.seed, self.num_ways, self.num_shots, self.fold, purpose])
