"""Pieces of a pre-training run that scripts share: arguments, trainer, checkpoint, clouds of the linear SVM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor
from transformers import ProgressCallback, TrainingArguments

from jointmae_hf.data import PointCloudCollator, PointCloudTensors, as_clouds
from jointmae_hf.evaluation import sample_clouds
from jointmae_hf.model import JointMAEConfig, JointMAEFeatureExtractor, JointMAEForPreTraining

from .callbacks import LossProgressCallback
from .pretraining_trainer import JointMAETrainer
from .processes import synchronize_batch_norm
from .recipes import AUGMENTATIONS, PreTrainingRecipe


if TYPE_CHECKING:
    from datasets import DatasetDict


def training_defaults(recipe: PreTrainingRecipe) -> dict[str, Any]:
    """Fields of `transformers.TrainingArguments` as pre-training needs them and as the recipe sets them.

    Args:
        recipe ([`PreTrainingRecipe`]):
            The recipe.

    Returns:
        `dict[str, Any]`: Name to value.
    """
    return {
        "remove_unused_columns": False,
        "label_names": ["points"],
        "prediction_loss_only": True,
        "logging_nan_inf_filter": False,
        **{name: setting.value for name, setting in recipe.training.items()},
    }


def build_trainer(
    config: JointMAEConfig,
    recipe: PreTrainingRecipe,
    training: TrainingArguments,
    dataset: DatasetDict | Mapping[str, PointCloudTensors],
    log_gradient_norms: bool = False,
    sync_batch_norm: bool = False,
) -> JointMAETrainer:
    """Build a model with random weights and its trainer; seed the generators before.

    Args:
        config (`JointMAEConfig`):
            Of the model.
        recipe ([`PreTrainingRecipe`]):
            For the augmentation.
        training (`transformers.TrainingArguments`):
            Of the run, on the basis of [`training_defaults`].
        dataset (`datasets.DatasetDict` or `Mapping[str, PointCloudTensors]`):
            Splits `train` and `validation`.
        log_gradient_norms (`bool`, *optional*, defaults to `False`):
            As in [`JointMAETrainer`].
        sync_batch_norm (`bool`, *optional*, defaults to `False`):
            Whether batch norm takes its statistics over all processes, see [`synchronize_batch_norm`].

    Returns:
        [`JointMAETrainer`]: With a progress bar that shows the three losses, unless bars are off.
    """
    model = JointMAEForPreTraining(config)
    trainer = JointMAETrainer(
        model=synchronize_batch_norm(model, training) if sync_batch_norm else model,
        args=training,
        train_dataset=as_clouds(dataset["train"]),
        eval_dataset=as_clouds(dataset["validation"]),
        data_collator=PointCloudCollator(config.num_points, training.seed),
        processing_class=JointMAEFeatureExtractor(num_points=config.num_points),
        transform=recipe.build_transform(config.num_points, training.seed),
        log_gradient_norms=log_gradient_norms,
        stop_on_signals=True,
    )
    if not training.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(LossProgressCallback)
    return trainer


def save_pretrained(trainer: JointMAETrainer, folder: Path) -> None:
    """Save the model with the feature extractor that fits it.

    Args:
        trainer ([`JointMAETrainer`]):
            After training.
        folder (`pathlib.Path`):
            Where to.
    """
    trainer.save_pretrained(folder)


def probe_clouds(
    dataset: DatasetDict, recipe: PreTrainingRecipe, num_points: int, max_train: int, max_test: int, seed: int
) -> tuple[dict[str, Tensor], dict[str, Tensor], str]:
    """Draw the clouds that a linear SVM is fitted and measured on.

    Args:
        dataset (`datasets.DatasetDict`):
            With labels; splits `train` and `test`, or `validation` where there is no `test`.
        recipe ([`PreTrainingRecipe`]):
            Tells whether clouds are turned at random.
        num_points (`int`):
            Points of each cloud.
        max_train (`int`):
            Most clouds to fit on.
        max_test (`int`):
            Most clouds to measure on.
        seed (`int`):
            Seed of the choice.

    Returns:
        `tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], str]`: Both batches, see [`sample_clouds`], and the
        name of the split that is measured.

    Raises:
        ValueError: If the dataset has no labels.
    """
    if "label" not in dataset["train"].features:
        raise ValueError(f"`dataset` must have labels to be probed, got columns {sorted(dataset['train'].features)}.")
    held_out = "test" if "test" in dataset else "validation"
    rotation = AUGMENTATIONS[recipe.probe_rotation](seed=seed) if recipe.probe_rotation else None
    train = sample_clouds(dataset["train"], max_train, num_points, seed, rotation)
    test = sample_clouds(dataset[held_out], max_test, num_points, seed + 1, rotation)
    return train, test, held_out
