"""Recipes of fine-tuning: classification, few-shot classification and part segmentation, every value with its source."""

from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments

from jointmae_hf.model import JointMAEConfig

from .recipes import QUICK, Recipe, Setting, fit_fields, setting_values


POINT_MAE = "Point-MAE and Point-M2AE"
ALL_POINTS = Setting(None, "ours: all points of a cloud")
UNIT_SPHERE = Setting(True, POINT_MAE)
NO_VOTE = Setting(0, "no vote is published")


@dataclass(frozen=True)
class FineTuningRecipe(Recipe):
    """A recipe of fine-tuning.

    Args:
        preset (`str`):
            Model size for random weights where neither checkpoint nor `architecture` sets it.
        model (`dict[str, Setting]`):
            Fields of [`JointMAEConfig`] that replace those of the checkpoint.
        training (`dict[str, Setting]`):
            Fields of `transformers.TrainingArguments`.
        augmentation (`tuple[Setting, ...]`):
            Keys of `AUGMENTATIONS`, in the order in which they are applied.
        dataset_sizes (`dict[str, Setting]`, *optional*):
            Options of the embedded dataset `synthetic_shapes`.
        architecture (`dict[str, Setting]`, *optional*):
            Fields of [`JointMAEConfig`] for random weights without a checkpoint.
        num_candidates (`Setting`, *optional*):
            Number of farthest points of a cloud from which each epoch draws the `num_points` of the model; `None` for all
            points.
        normalize (`Setting`, *optional*):
            Whether clouds are scaled to the unit sphere.
        num_votes (`Setting`, *optional*):
            Number of views of a vote; 0 for no vote.
    """

    architecture: dict[str, Setting] = field(default_factory=dict)
    num_candidates: Setting = ALL_POINTS
    normalize: Setting = UNIT_SPHERE
    num_votes: Setting = NO_VOTE

    def build_config(self, preset: str | None = None, **overrides: Any) -> JointMAEConfig:
        """Build the configuration of a model with random weights, see [`Recipe.build_config`]."""
        fields = setting_values(self.architecture)
        return super().build_config(preset, **{**fields, **fit_fields(fields, overrides), **overrides})

    def describe(self, training: TrainingArguments, config: JointMAEConfig) -> dict[str, Any]:
        """Describe what a run actually used, see [`Recipe.describe`]."""
        own = {name: getattr(self, name).value for name in ("num_candidates", "normalize", "num_votes")}
        return {**super().describe(training, config), "num_points": config.num_points, **own}


CHECKPOINTS = {
    "eval_strategy": Setting("epoch", "ours: the best epoch is chosen on validation"),
    "save_strategy": Setting("epoch", "ours"),
    "save_total_limit": Setting(1, "ours: the last and the best checkpoint"),
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
        "group_size": Setting([32, 16], "Point-M2AE and I2P-MAE: twice the neighbors of pre-training"),
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
"""Recipes of each task by the name that `--recipe` takes."""


def choose_recipe(task: str, name: str, dataset: str) -> FineTuningRecipe:
    """Return the recipe of a task by its name; `"paper"` on `scanobjectnn` has its own."""
    recipes = FINE_TUNING_RECIPES[task]
    if name not in recipes:
        raise ValueError(f"`recipe` must be one of {', '.join(recipes)}, got {name!r}.")
    if (name, dataset) == ("paper", "scanobjectnn") and "paper_scanobjectnn" in recipes:
        return recipes["paper_scanobjectnn"]
    return recipes[name]
