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
from jointmae_hf.evaluation import (
    NUM_TEST_SHAPES,
    FewShotFold,
    FewShotSplit,
    as_fold,
    draw_fold,
    probe_encoder,
)
from jointmae_hf.evaluation.results import write_json

from .finetuning import build_fine_tuning_trainer
from .finetuning_recipes import FineTuningRecipe
from .point_sampling import PointSampling


if TYPE_CHECKING:
    from datasets import DatasetDict

    from .arguments import DatasetArguments


CLASSIFIERS = ("fine_tuning", "linear_svm")
"""What is trained on a fold: the whole model with a head, or a linear SVM on frozen features."""


def load_fold(
    dataset_arguments: DatasetArguments,
    splits: DatasetDict | None,
    num_ways: int,
    num_shots: int,
    fold: int,
    seed: int,
    num_test: int = NUM_TEST_SHAPES,
) -> FewShotFold:
    """Draw a fold from `splits` by `seed`, or load a published one of `modelnet_few_shot` where `splits` is `None`.

    A drawn fold has `num_test` test clouds of each class.
    """
    if splits is not None:
        test = splits["test" if "test" in splits else "validation"]
        return draw_fold(splits["train"], test, num_ways, num_shots, fold, seed, num_test)
    from jointmae_hf.data import load_point_clouds

    options = {**dataset_arguments.options, "num_ways": num_ways, "num_shots": num_shots, "fold": fold}
    parts = load_point_clouds(str(dataset_arguments.dataset), dataset_arguments.data_dir, **options)
    return as_fold(parts["train"], parts["test"])


def probe_fold(
    encoder: torch.nn.Module, fold: FewShotFold, recipe: FineTuningRecipe, num_points: int, seed: int
) -> float:
    """Return the test accuracy, within [0, 1], of a linear SVM whose C is cross-validated on the fold's train clouds."""
    train, test = (_batch(split, PointSampling(split, recipe, num_points, seed)) for split in (fold.train, fold.test))
    return probe_encoder(encoder, train, test).accuracy


def fine_tune_fold(
    model: PreTrainedModel,
    training: TrainingArguments,
    fold: FewShotFold,
    recipe: FineTuningRecipe,
    sync_batch_norm: bool = False,
) -> float:
    """Fine-tune a model on a fold and return the test accuracy of the last epoch, within [0, 1].

    Papers report the epoch that is best on the test clouds instead.
    """
    sampling = PointSampling(fold.train, recipe, model.config.num_points, training.seed)
    trainer = build_fine_tuning_trainer(model, training, sampling, fold.train, sync_batch_norm=sync_batch_norm)
    trainer.train()
    return float(trainer.measure(fold.test)["overall_accuracy"])


class MeasuredFolds:
    """Accuracies of the folds of a run in a JSON file, so that an interrupted run resumes with the next fold.

    The file, whose folder is created, also holds `run`, what the accuracies depend on: folds of another run are refused by
    a `ValueError`. Only the main process writes it (`is_written`). `seconds` is the time of all folds, including those of
    earlier starts.
    """

    def __init__(self, path: str | os.PathLike[str], run: Mapping[str, Any], is_written: bool = True) -> None:
        self.is_written = is_written
        self.path, self.run = Path(path), json.loads(json.dumps(dict(run)))
        self._accuracies: dict[str, dict[str, float]] = {}
        self.seconds = 0.0
        if self.path.is_file():
            self._read()

    def get(self, setting: str, fold: int) -> float | None:
        """Return the accuracy of a fold, or `None` where it has not been measured."""
        return self._accuracies.get(setting, {}).get(str(fold))

    def add(self, setting: str, fold: int, accuracy: float, seconds: float = 0.0) -> None:
        """Add the accuracy of a fold and the seconds it took, and update the file."""
        self.seconds += seconds
        self._accuracies.setdefault(setting, {})[str(fold)] = accuracy
        if self.is_written:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path, {"run": self.run, "seconds": self.seconds, "accuracies": self._accuracies})

    def mean_and_std(self, setting: str) -> tuple[float, float | None]:
        """Return mean and standard deviation over the folds of a setting, in percent; no deviation of a single fold."""
        accuracies = 100.0 * np.array(list(self._accuracies[setting].values()))
        return float(accuracies.mean()), float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None

    def _read(self) -> None:
        """Read the folds of earlier starts."""
        content = json.loads(self.path.read_text(encoding="utf-8"))
        names = {*content["run"], *self.run}
        differing = sorted(name for name in names if content["run"].get(name) != self.run.get(name))
        if differing:
            raise ValueError(
                f"`output_dir` must hold folds of this run or none, got others in {self.path.name}: they differ in "
                f"{', '.join(differing)}. Choose another folder."
            )
        self._accuracies, self.seconds = content["accuracies"], content["seconds"]


def _batch(split: FewShotSplit, sampling: PointSampling) -> dict[str, Tensor]:
    """Return all clouds of a split as one batch, prepared as for evaluation."""
    collate = PointCloudCollator(sampling.collated_points, sampling.seed)
    batch = collate([split[row] for row in range(len(split))])
    return {**batch, "points": sampling.evaluation_transform()(batch["points"], epoch=0, index=batch["index"])}
