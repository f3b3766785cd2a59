"""How clouds of a dataset become the points of a model: in collation, training, evaluation and voting."""

from jointmae_hf.data import (
    Compose,
    FarthestPointSubsample,
    Normalize,
    PointCloudDataset,
    PointCloudTensors,
    RandomSubsample,
    Transform,
)
from jointmae_hf.evaluation import FewShotSplit, Voting

from .finetuning_recipes import FineTuningRecipe
from .recipes import AUGMENTATIONS


class PointSampling:
    """Choose `num_points` points of each cloud, for training, evaluation and voting.

    Clouds of one size are subsampled on the device: training draws from the `num_candidates` farthest points, evaluation
    takes the `num_points` farthest points, like the feature extractor. The collator brings clouds of different sizes, and
    clouds with too few points, to one size, by random choice or by repeating points.

    Args:
        dataset ([`PointCloudDataset`], [`PointCloudTensors`] or [`FewShotSplit`]):
            Training split, from which the size of the clouds is taken.
        recipe ([`FineTuningRecipe`]):
            The recipe.
        num_points (`int`):
            Number of points of the model.
        seed (`int`):
            Seed of all random numbers.
        keep_order (`bool`, *optional*, defaults to `False`):
            Whether only the collator chooses points, so that labels per point follow them.
    """

    def __init__(
        self,
        dataset: PointCloudDataset | PointCloudTensors | FewShotSplit,
        recipe: FineTuningRecipe,
        num_points: int,
        seed: int,
        keep_order: bool = False,
    ) -> None:
        self.num_points, self.recipe, self.seed = num_points, recipe, seed
        candidates = max(recipe.num_candidates.value or 0, num_points)
        size = dataset.num_points
        self.is_farthest = size is not None and size > num_points and not keep_order
        if keep_order:
            self.collated_points = num_points
        elif size is None:
            self.collated_points = candidates
        else:
            self.collated_points = max(size, num_points)
        # Fewer points than candidates are all candidates.
        needs_choice = recipe.num_candidates.value is not None and candidates < self.collated_points
        self.num_candidates = candidates if needs_choice and self.is_farthest else None

    @property
    def extractor_sampling(self) -> str:
        """`str`: Option `sampling` of the feature extractor that prepares clouds like evaluation."""
        return "farthest" if self.is_farthest or self.collated_points == self.num_points else "random"

    @property
    def voting(self) -> Voting | None:
        """[`Voting`], *optional*: The vote of the recipe, with the same candidates as training."""
        num_votes = self.recipe.num_votes.value
        return Voting(self.num_points, self.num_candidates, num_votes, self.seed) if num_votes else None

    def training_transform(self) -> Compose:
        """Build the transform of training: normalize, draw points, augment."""
        augmentations = [AUGMENTATIONS[name](seed=self.seed) for name, _ in self.recipe.augmentation]
        return Compose([*self._normalization(), *self._choice(self.num_candidates, True), *augmentations])

    def evaluation_transform(self) -> Compose:
        """Build the transform of evaluation: normalize, take the same points every time."""
        return Compose([*self._normalization(), *self._choice(None, False)])

    def voting_transform(self) -> Compose:
        """Build the transform before a vote: normalize only, the vote chooses the points."""
        return Compose(self._normalization())

    def _normalization(self) -> list[Transform]:
        """Return the normalization of the recipe, if any."""
        return [Normalize()] if self.recipe.normalize.value else []

    def _choice(self, num_candidates: int | None, is_training: bool) -> list[Transform]:
        """Return the choice of points on the device, if the collator leaves any."""
        if self.collated_points == self.num_points:
            return []
        if self.is_farthest and (num_candidates is not None or not is_training):
            return [FarthestPointSubsample(self.num_points, num_candidates, seed=self.seed)]
        return [RandomSubsample(self.num_points, seed=self.seed)]
