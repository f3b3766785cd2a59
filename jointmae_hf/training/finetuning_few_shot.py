"""Few-shot classification fold by fold: fine-tuning or a linear SVM, resumable after any fold."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainingArguments

from jointmae_hf.data import PointCloudCollator
from jointmae_hf.evaluation import FewShotFold, FewShotSplit, as_fold, draw_fold, probe_encoder

from .finetuning_recipes import FineTuningRecipe, PointSampling
from .finetuning_run import build_fine_tuning_trainer


if TYPE_CHECKING:
    from datasets import DatasetDict

    from .script_arguments import DatasetArguments


CLASSIFIERS = ("fine_tuning", "linear_svm")
"""What learns a fold: the whole model with a head, or a linear SVM on frozen features."""


def load_fold(
    dataset_arguments: DatasetArguments,
    splits: DatasetDict | None,
    num_ways: int,
    num_shots: int,
    fold: int,
    seed: int,
) -> FewShotFold:
    """Load a published fold, or draw one out of a labelled dataset.

    Args:
        dataset_arguments ([`DatasetArguments`]):
            Names the dataset. Folds of `modelnet_few_shot` are the published ones unless its option `seed` draws them.
        splits (`datasets.DatasetDict`, *optional*):
            Splits of any other dataset, to draw from.
        num_ways (`int`):
            Classes.
        num_shots (`int`):
            Training clouds of each class.
        fold (`int`):
            Number of the fold.
        seed (`int`):
            Seed of folds that are drawn here.

    Returns:
        [`FewShotFold`]: The fold.
    """
    if splits is not None:
        test = splits["test" if "test" in splits else "validation"]
        return draw_fold(splits["train"], test, num_ways, num_shots, fold, seed)
    from jointmae_hf.data import load_point_clouds

    options = {**dataset_arguments.options, "num_ways": num_ways, "num_shots": num_shots, "fold": fold}
    parts = load_point_clouds(str(dataset_arguments.dataset), dataset_arguments.data_dir, **options)
    return as_fold(parts["train"], parts["test"])


def probe_fold(
    encoder: torch.nn.Module, fold: FewShotFold, recipe: FineTuningRecipe, num_points: int, seed: int
) -> float:
    """Fit a linear SVM on frozen features of a fold, with C by cross-validation on its training clouds.

    Args:
        encoder (`torch.nn.Module`):
            Such as `JointMAEModel`.
        fold ([`FewShotFold`]):
            The fold.
        recipe ([`FineTuningRecipe`]):
            Tells whether clouds are normalised.
        num_points (`int`):
            Points of a cloud.
        seed (`int`):
            Seed of the choice of points.

    Returns:
        `float`: Accuracy on the test clouds, within [0, 1].
    """
    train, test = (_batch(split, PointSampling(split, recipe, num_points, seed)) for split in (fold.train, fold.test))
    return probe_encoder(encoder, train, test).accuracy


def fine_tune_fold(
    model: PreTrainedModel,
    training: TrainingArguments,
    fold: FewShotFold,
    recipe: FineTuningRecipe,
    sync_batch_norm: bool = False,
) -> float:
    """Fine-tune a model on a fold and measure the last epoch.

    Args:
        model (`PreTrainedModel`):
            With a head for the classes of the fold.
        training (`transformers.TrainingArguments`):
            Of the run.
        fold ([`FewShotFold`]):
            The fold.
        recipe ([`FineTuningRecipe`]):
            The recipe.
        sync_batch_norm (`bool`, *optional*, defaults to `False`):
            Whether batch norm takes its statistics over all processes, see [`synchronize_batch_norm`].

    Returns:
        `float`: Accuracy on the test clouds, within [0, 1]. Papers take the epoch that is best on them instead.
    """
    sampling = PointSampling(fold.train, recipe, model.config.num_points, training.seed)
    trainer = build_fine_tuning_trainer(model, training, sampling, fold.train, sync_batch_norm=sync_batch_norm)
    trainer.train()
    return float(trainer.measure(fold.test)["overall_accuracy"])


class MeasuredFolds:
    """Accuracies of the folds of a run in a file, so that a run that was interrupted goes on with the next fold.

    Args:
        path (`str` or `os.PathLike`):
            The file; its folder is made.
        run (`Mapping[str, Any]`):
            What the accuracies depend on, as JSON can hold it.
        is_written (`bool`, *optional*, defaults to `True`):
            Whether this process writes the file, that is the main one.

    `seconds` is the time that all folds took together, those of earlier starts too.

    Raises:
        ValueError: If the file holds folds of another run.
    """

    def __init__(self, path: str | os.PathLike[str], run: Mapping[str, Any], is_written: bool = True) -> None:
        self.is_written = is_written
        self.path, self.run = Path(path), json.loads(json.dumps(dict(run)))
        self._accuracies: dict[str, dict[str, float]] = {}
        self.seconds = 0.0
        if self.path.is_file():
            content = json.loads(self.path.read_text(encoding="utf-8"))
            differing = sorted(
                name for name in {*content["run"], *self.run} if content["run"].get(name) != self.run.get(name)
            )
            if differing:
                raise ValueError(
                    f"`output_dir` must hold folds of this run or none, got others in {self.path.name}: they differ in "
                    f"{', '.join(differing)}. Choose another folder."
                )
            self._accuracies, self.seconds = content["accuracies"], content["seconds"]

    def get(self, setting: str, fold: int) -> float | None:
        """Return the accuracy of a fold, or `None` where it has not been measured."""
        return self._accuracies.get(setting, {}).get(str(fold))

    def add(self, setting: str, fold: int, accuracy: float, seconds: float = 0.0) -> None:
        """Keep the accuracy of a fold and the seconds it took, whole or not at all."""
        self.seconds += seconds
        self._accuracies.setdefault(setting, {})[str(fold)] = accuracy
        if not self.is_written:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.tmp")
        content = {"run": self.run, "seconds": self.seconds, "accuracies": self._accuracies}
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, self.path)

    def mean_and_std(self, setting: str) -> tuple[float, float | None]:
        """Return mean and standard deviation of the folds of a setting, in percent; none of a single fold."""
        accuracies = 100.0 * np.array(list(self._accuracies[setting].values()))
        return float(accuracies.mean()), float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None


def _batch(split: FewShotSplit, sampling: PointSampling) -> dict[str, Tensor]:
    """All clouds of a split as evaluation prepares them."""
    collate = PointCloudCollator(sampling.collated_points, sampling.seed)
    batch = collate([split[row] for row in range(len(split))])
    return {**batch, "points": sampling.evaluation_transform()(batch["points"], epoch=0, index=batch["index"])}
