"""Recipes of fine-tuning: classification, few-shot classification and part segmentation, every value with its source."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transformers import TrainingArguments

from jointmae_hf.data import (
    Compose,
    FarthestPointSubsample,
    Normalize,
    PointCloudDataset,
    PointCloudTensors,
    RandomSubsample,
    Transform,
)
from jointmae_hf.evaluation import Voting
from jointmae_hf.evaluation.few_shot import FewShotSplit
from jointmae_hf.model import JointMAEConfig

from .recipes import AUGMENTATIONS, QUICK, Recipe, Setting


ALL_POINTS = Setting(None, "ours: all points of a cloud")
UNIT_SPHERE = Setting(True, "Point-MAE, Point-M2AE")
NO_VOTE = Setting(0, "no vote is published")


@dataclass(frozen=True)
class FineTuningRecipe(Recipe):
    """How a pre-trained Joint-MAE is fine-tuned; fields beside those of [`Recipe`].

    `model` holds what changes in the configuration of the checkpoint.

    Args:
        architecture (`dict[str, Setting]`):
            Fields of [`JointMAEConfig`] for random weights where no checkpoint gives them.
        num_candidates (`Setting`):
            Points of a cloud, taken farthest first, out of which each epoch draws `num_points` of the model; `None` for
            all points.
        normalize (`Setting`):
            Whether clouds are moved into the unit sphere.
        num_votes (`Setting`):
            Views of a vote; 0 for none.
    """

    architecture: dict[str, Setting] = field(default_factory=dict)
    num_candidates: Setting = ALL_POINTS
    normalize: Setting = UNIT_SPHERE
    num_votes: Setting = NO_VOTE

    def with_augmentation(self, names: Sequence[str] | None) -> "FineTuningRecipe":
        """Return the recipe with other augmentations.

        Args:
            names (`Sequence[str]`, *optional*):
                Names out of `AUGMENTATIONS`, in their order; `None` keeps the recipe's.

        Returns:
            [`FineTuningRecipe`]: The recipe.

        Raises:
            ValueError: If a name is unknown.
        """
        if names is None:
            return self
        unknown = [name for name in names if name not in AUGMENTATIONS]
        if unknown:
            raise ValueError(f"`augmentation` must be out of {', '.join(AUGMENTATIONS)}, got {', '.join(unknown)}.")
        return replace(self, augmentation=tuple(Setting(name, "given") for name in names))

    def build_config(self, preset: str | None = None, **overrides: Any) -> JointMAEConfig:
        """Configuration of a model with random weights; see [`Recipe.build_config`]."""
        fields = {name: setting.value for name, setting in self.architecture.items()}
        return super().build_config(preset, **{**fields, **overrides})

    def describe(self, training: TrainingArguments, config: JointMAEConfig) -> dict[str, Any]:
        """What a run really used; see [`Recipe.describe`]."""
        own = {name: getattr(self, name).value for name in ("num_candidates", "normalize", "num_votes")}
        return {**super().describe(training, config), "num_points": config.num_points, **own}


class PointSampling:
    """How clouds of a dataset become `num_points` points: in collation, in training, in evaluation, in a vote.

    Clouds of one size are subsampled on the device: training draws from `num_candidates` points that lie farthest from
    each other, evaluation takes the farthest `num_points`, as the feature extractor does. Clouds of different sizes, and
    those that are too small, are brought to one size by the collator, at random or by repeats.

    Args:
        dataset ([`PointCloudDataset`], [`PointCloudTensors`] or [`FewShotSplit`]):
            Training split, which tells the size of the clouds.
        recipe ([`FineTuningRecipe`]):
            The recipe.
        num_points (`int`):
            Points of the model.
        seed (`int`):
            Seed of all random numbers.
        keep_order (`bool`, *optional*, defaults to `False`):
            Whether the collator alone chooses points, so that labels per point follow them; then a cloud shows the same
            points in every epoch.
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
        """`str`: `sampling` of the feature extractor that prepares clouds as evaluation does."""
        return "farthest" if self.is_farthest or self.collated_points == self.num_points else "random"

    @property
    def voting(self) -> Voting | None:
        """[`Voting`], *optional*: The vote of the recipe, over the same candidates as training."""
        num_votes = self.recipe.num_votes.value
        return Voting(self.num_points, self.num_candidates, num_votes, self.seed) if num_votes else None

    def training_transform(self) -> Compose:
        """Normalise, draw the points, augment."""
        augmentations = [AUGMENTATIONS[name](seed=self.seed) for name, _ in self.recipe.augmentation]
        return Compose([*self._normalization(), *self._choice(self.num_candidates, True), *augmentations])

    def evaluation_transform(self) -> Compose:
        """Normalise and take the same points in every evaluation."""
        return Compose([*self._normalization(), *self._choice(None, False)])

    def voting_transform(self) -> Compose:
        """Normalise alone: the vote chooses points itself."""
        return Compose(self._normalization())

    def _normalization(self) -> list[Transform]:
        """The unit sphere, or nothing."""
        return [Normalize()] if self.recipe.normalize.value else []

    def _choice(self, num_candidates: int | None, is_training: bool) -> list[Transform]:
        """The choice of points on the device, or nothing where the collator leaves none."""
        if self.collated_points == self.num_points:
            return []
        if self.is_farthest and (num_candidates is not None or not is_training):
            return [FarthestPointSubsample(self.num_points, num_candidates, seed=self.seed)]
        return [RandomSubsample(self.num_points, seed=self.seed)]


POINT_MAE = "Point-MAE and Point-M2AE"
CHECKPOINTS = {
    "eval_strategy": Setting("epoch", "ours: the best epoch is chosen on validation"),
    "save_strategy": Setting("epoch", "ours"),
    "save_total_limit": Setting(1, "ours: the last and the best"),
    "greater_is_better": Setting(True, "accuracies and IoU"),
    "per_device_eval_batch_size": Setting(64, "ours"),
}
TRAINING = {
    "learning_rate": Setting(5e-4, POINT_MAE),
    "weight_decay": Setting(0.05, POINT_MAE),
    "num_train_epochs": Setting(300, POINT_MAE),
    "warmup_steps": Setting(10 / 300, f"{POINT_MAE}: 10 of 300 epochs"),
    "lr_scheduler_type": Setting("cosine_with_min_lr", POINT_MAE),
    "lr_scheduler_kwargs": Setting({"min_lr": 1e-6}, POINT_MAE),
    "per_device_train_batch_size": Setting(32, f"{POINT_MAE}; divide by the number of devices"),
    "max_grad_norm": Setting(10.0, POINT_MAE),
    "dataloader_drop_last": Setting(True, POINT_MAE),
}
CLASSIFICATION = {**CHECKPOINTS, "metric_for_best_model": Setting("overall_accuracy", "what Tables 2 and 3 report")}
SCALE_AND_TRANSLATE = (Setting("scale_and_translate", f"{POINT_MAE}; `rotate_y` is that of ACT and ReCon"),)

MODELNET40 = FineTuningRecipe(
    preset="jointmae-base",
    model={"num_points": Setting(1024, "Joint-MAE Table 2, Point-MAE, Point-M2AE")},
    training={
        **TRAINING,
        **CLASSIFICATION,
        "label_smoothing_factor": Setting(0.3, "Point-M2AE; I2P-MAE 0.2, Point-MAE 0"),
    },
    augmentation=SCALE_AND_TRANSLATE,
    num_candidates=Setting(1200, POINT_MAE),
    num_votes=Setting(10, "Point-MAE, there the best of 299 votes on the test split"),
)

SCANOBJECTNN = FineTuningRecipe(
    preset="jointmae-base",
    model={
        "num_points": Setting(2048, POINT_MAE),
        "group_size": Setting([32, 16], "Point-M2AE and I2P-MAE: twice the neighbours of pre-training"),
        "pooling": Setting("concat", "Point-M2AE"),
    },
    training={**TRAINING, **CLASSIFICATION},
    augmentation=SCALE_AND_TRANSLATE,
    normalize=Setting(False, f"{POINT_MAE}: clouds as in the files"),
)

FEW_SHOT = FineTuningRecipe(
    preset="jointmae-base",
    model={"num_points": Setting(1024, POINT_MAE)},
    training={
        **TRAINING,
        "num_train_epochs": Setting(150, POINT_MAE),
        "warmup_steps": Setting(10 / 150, f"{POINT_MAE}: 10 of 150 epochs"),
        "per_device_eval_batch_size": Setting(64, "ours"),
    },
    augmentation=SCALE_AND_TRANSLATE,
    num_candidates=Setting(1200, POINT_MAE),
)

SEGMENTATION = FineTuningRecipe(
    preset="jointmae-base",
    model={"num_points": Setting(2048, "Joint-MAE Table 5, Point-MAE")},
    training={
        **TRAINING,
        **CHECKPOINTS,
        "metric_for_best_model": Setting("instance_miou", "what Table 5 reports"),
        "learning_rate": Setting(2e-4, f"{POINT_MAE}, which step twice an iteration"),
        "per_device_train_batch_size": Setting(16, f"{POINT_MAE}; divide by the number of devices"),
    },
    augmentation=(Setting("scale_and_translate_little", "Point-MAE: scale by 0.8 to 1.25, shift by 0.1"),),
)

QUICK_TRAINING = {
    **TRAINING,
    "learning_rate": Setting(1e-3, "ours: few epochs"),
    "num_train_epochs": Setting(8, "ours: two CPU cores, minutes"),
    "warmup_steps": Setting(0.1, "ours"),
    "logging_steps": Setting(10, "ours"),
}
QUICK_DATASET = {
    **QUICK.dataset_sizes,
    "num_train": Setting(400, "ours: 20 of each class"),
    "num_test": Setting(400, "ours"),
}

QUICK_CLASSIFICATION = FineTuningRecipe(
    preset=QUICK.preset,
    model={"num_points": QUICK.model["num_points"]},
    architecture=QUICK.model,
    training={**QUICK_TRAINING, **CLASSIFICATION},
    augmentation=SCALE_AND_TRANSLATE,
    num_candidates=Setting(1200, POINT_MAE),
    num_votes=Setting(10, "Point-MAE"),
    dataset_sizes=QUICK_DATASET,
)

QUICK_FEW_SHOT = FineTuningRecipe(
    preset=QUICK.preset,
    model={"num_points": QUICK.model["num_points"]},
    architecture=QUICK.model,
    training={**QUICK_TRAINING, "per_device_eval_batch_size": Setting(64, "ours")},
    augmentation=SCALE_AND_TRANSLATE,
    num_candidates=Setting(1200, POINT_MAE),
    dataset_sizes={**QUICK_DATASET, "num_train": Setting(600, "ours"), "num_test": Setting(600, "ours")},
)

QUICK_SEGMENTATION = FineTuningRecipe(
    preset=QUICK.preset,
    model={"num_points": QUICK.model["num_points"]},
    architecture=QUICK.model,
    training={
        **QUICK_TRAINING,
        **CHECKPOINTS,
        "metric_for_best_model": Setting("instance_miou", "what Table 5 reports"),
        "per_device_train_batch_size": Setting(16, POINT_MAE),
    },
    augmentation=SEGMENTATION.augmentation,
    dataset_sizes=QUICK_DATASET,
)

FINE_TUNING_RECIPES = {
    "classification": {"paper": MODELNET40, "paper_scanobjectnn": SCANOBJECTNN, "quick": QUICK_CLASSIFICATION},
    "few_shot": {"paper": FEW_SHOT, "quick": QUICK_FEW_SHOT},
    "segmentation": {"paper": SEGMENTATION, "quick": QUICK_SEGMENTATION},
}
"""Task to its recipes by the name that `--recipe` takes."""


def choose_recipe(task: str, name: str, dataset: str) -> FineTuningRecipe:
    """Find the recipe of a run; `"paper"` on `scanobjectnn` is the recipe that the field has for it.

    Args:
        task (`str`):
            Key of `FINE_TUNING_RECIPES`.
        name (`str`):
            Name of the recipe.
        dataset (`str`):
            Name of the dataset.

    Returns:
        [`FineTuningRecipe`]: The recipe.

    Raises:
        ValueError: If `name` is unknown.
    """
    recipes = FINE_TUNING_RECIPES[task]
    if name not in recipes:
        raise ValueError(f"`recipe` must be one of {', '.join(recipes)}, got {name!r}.")
    if (name, dataset) == ("paper", "scanobjectnn") and "paper_scanobjectnn" in recipes:
        return recipes["paper_scanobjectnn"]
    return recipes[name]
