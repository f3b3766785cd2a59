"""Pre-training stages of a study: train for a number of steps fixed in advance, probe, export; go on after a stop."""

import copy
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainingArguments, set_seed

from jointmae_hf.data import Normalize, PointCloudTensors
from jointmae_hf.evaluation import (
    CheckpointProvenance,
    LinearProbeResult,
    Result,
    extract_features,
    linear_svm,
    num_cores,
)
from jointmae_hf.model import JointMAEConfig, JointMAEFeatureExtractor, JointMAEForPreTraining

from .ablations import fit_recipe
from .diagnostics import encoder_gradient_norms
from .pretraining_run import build_trainer, training_defaults
from .pretraining_trainer import JointMAETrainer, pretraining_noise
from .recipes import RECIPES
from .resilience.checkpoints import find_last_checkpoint
from .study_clock import Deadline, StopAtDeadline, measure_steps_per_minute
from .study_record import StudyRecord
from .study_stages import JOINT_MAE, PreTrainingStage


MAX_SHARD_SIZE = 16_000_000
"""Bytes of a file of exported weights: below 16 MiB."""

SECONDS_TO_PROBE = 60.0
"""Time that is kept for a linear SVM before one was measured."""

SECONDS_TO_START = 30.0
"""Time below which no training is started."""


@dataclass(frozen=True)
class Study:
    """What all stages of a study share.

    Args:
        clouds (`Mapping[str, PointCloudTensors]`):
            Splits `train`, `validation` and `test` with labels, on the device where they are used.
        dataset (`str`):
            Their name.
        output_dir (`pathlib.Path`):
            For `results.json` and exported weights: small files, all that a later call needs beside the clouds.
        work_dir (`pathlib.Path`):
            For checkpoints of the stage that was stopped.
        training (`Mapping[str, Any]`, *optional*):
            Fields of `transformers.TrainingArguments` of every stage.
        pretraining (`Mapping[str, Any]`, *optional*):
            The same, of pre-training alone.
        fields (`Mapping[str, Any]`, *optional*):
            Fields of [`JointMAEConfig`] in place of the recipes'.
        preset (`str`, *optional*):
            Size of the model in place of the recipes'.
        scale (`float`, *optional*, defaults to 1.0):
            Of all budgets, to try a study in seconds.
    """

    clouds: Mapping[str, PointCloudTensors]
    dataset: str
    output_dir: Path
    work_dir: Path
    training: Mapping[str, Any] = field(default_factory=dict)
    pretraining: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    scale: float = 1.0

    def describe(self) -> dict[str, Any]:
        """Say what all results depend on, see [`StudyRecord`]."""
        sizes = {name: len(split) for name, split in self.clouds.items()}
        settings = {"dataset": self.dataset, "num_clouds": sizes, "num_points": self.clouds["train"].num_points}
        settings |= {"preset": self.preset, "fields": dict(self.fields), "scale": self.scale}
        return settings | {"training": dict(self.training), "pretraining": dict(self.pretraining)}

    def config(self, stage: PreTrainingStage, record: StudyRecord) -> JointMAEConfig:
        """Configuration of a stage.

        Args:
            stage ([`PreTrainingStage`]):
                The stage.
            record ([`StudyRecord`]):
                With the gradient norms of the stage that it balances.

        Returns:
            [`JointMAEConfig`]: For clouds of the size that there are.
        """
        recipe = RECIPES[stage.recipe]
        given = {"num_points": self.clouds["train"].num_points, **self.fields}
        settings = {name: setting.value for name, setting in recipe.model.items()}
        fitted = fit_recipe(stage.row, {**settings, **given}, given)
        if stage.balances is not None:
            fitted |= balanced_weights(record, stage.balances)
        return recipe.build_config(self.preset, **fitted)

    def build_trainer(self, stage: PreTrainingStage, config: JointMAEConfig, max_steps: int) -> JointMAETrainer:
        """Build a trainer with random weights by the seed of the stage."""
        recipe = RECIPES[stage.recipe]
        own = {
            "output_dir": str(self.work_dir / stage.name),
            "max_steps": max_steps,
            "seed": stage.seed,
            "eval_strategy": "no",
            "save_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "dataloader_pin_memory": False,  # clouds on the device cannot be pinned
        }
        torch.compiler.reset()  # after a few models of other shapes torch would fall back to eager steps
        training = TrainingArguments(**{**training_defaults(recipe), **own, **self.training, **self.pretraining})
        set_seed(stage.seed)
        return build_trainer(config, recipe, training, self.clouds)

    def run(self, stage: PreTrainingStage, record: StudyRecord, deadline: Deadline, steps_per_minute: float) -> bool:
        """Pre-train and probe, or go on where an earlier call stopped.

        Args:
            stage ([`PreTrainingStage`]):
                The stage.
            record ([`StudyRecord`]):
                Gets the results.
            deadline ([`Deadline`]):
                End of this call.
            steps_per_minute (`float`):
                Of the reference.

        Returns:
            `bool`: Whether it is finished.
        """
        if not deadline.has_time_for(SECONDS_TO_START):
            return False
        config = self.config(stage, record)
        max_steps = max(1, round(stage.minutes * self.scale * steps_per_minute))
        folder = self.work_dir / stage.name / "trained"
        if not folder.is_dir():
            trainer = self.build_trainer(stage, config, max_steps)
            if not _train(trainer, deadline, folder):
                return False
        if not deadline.has_time_for(_seconds_to_probe(record)):
            return False
        model = JointMAEForPreTraining.from_pretrained(folder)
        model.to(self.clouds["train"].points.device)  # type: ignore[arg-type]  # declared for modules alone
        start = time.time()
        results = self._probe(model, stage, max_steps)
        facts = {
            "steps": max_steps,
            "steps_per_minute": steps_per_minute,
            "seed": stage.seed,
            "recipe": stage.recipe,
            "config": config.to_diff_dict(),
        }
        facts |= {"probe_seconds": time.time() - start, "gradient_norms": self._gradient_norms(model)}
        if stage.keeps_weights:
            export_weights(model, self.output_dir / stage.name)
        record.add(stage.name, results, facts)
        shutil.rmtree(self.work_dir / stage.name)
        return True

    def _probe(self, model: JointMAEForPreTraining, stage: PreTrainingStage, max_steps: int) -> list[Result]:
        """Linear SVM: C by cross-validation on train, measured on validation; then with that C on test."""
        from joblib import parallel_config  # of scikit-learn

        features = {name: self._features(model, split) for name, split in self.clouds.items()}
        labels = {name: split.columns()["labels"].cpu().numpy() for name, split in self.clouds.items()}
        num_jobs = num_cores()
        train, validation = ((features[name], labels[name]) for name in ("train", "validation"))
        with parallel_config(backend="threading"):  # libsvm lets threads run; processes would start beside CUDA
            chosen = linear_svm(*train, *validation, C=None, standardize=True, num_jobs=num_jobs)
        known_features = np.concatenate([features["train"], features["validation"]])
        known_labels = np.concatenate([labels["train"], labels["validation"]])
        measured = linear_svm(known_features, known_labels, features["test"], labels["test"], chosen.C, True)
        rule = f"last step of {max_steps}; {chosen.selection}"
        fitted = {"validation": (chosen, len(labels["train"])), "test": (measured, len(known_labels))}
        return [
            self._result(split, found, num_train, stage, model.config, rule)
            for split, (found, num_train) in fitted.items()
        ]

    def _features(self, model: JointMAEForPreTraining, clouds: PointCloudTensors) -> Any:
        """Frozen features in float32."""
        index = torch.arange(len(clouds), device=clouds.points.device)
        normalized = PointCloudTensors(Normalize()(clouds.points, epoch=0, index=index))
        return extract_features(model.jointmae, normalized)[0]

    def _result(
        self,
        split: str,
        measured: LinearProbeResult,
        num_train: int,
        stage: PreTrainingStage,
        config: JointMAEConfig,
        rule: str,
    ) -> Result:
        """One accuracy with what it depends on."""
        seen = CheckpointProvenance("Joint-MAE" if config.use_2d_branch else "3D only", (self.dataset,))
        return Result(
            name="linear_svm",
            value=100.0 * measured.accuracy,
            unit="%",
            split=split,
            selection_rule=rule,
            seed=stage.seed,
            num_train=num_train,
            num_test=len(self.clouds[split]),
            dataset=self.dataset,
            protocol=stage.protocol,
            pre_training=seen.describe(self.dataset),
        )

    def _gradient_norms(self, model: JointMAEForPreTraining) -> dict[str, float]:
        """Norm of each loss's gradient at the encoder's output, on the first clouds of the validation split."""
        points = self.clouds["validation"].points[:64]
        index = torch.arange(len(points), device=points.device)
        noise = pretraining_noise(model.config, 0, 0, index)
        outputs = model.eval()(points=Normalize()(points, epoch=0, index=index), **noise)
        return {name: float(norm) for name, norm in encoder_gradient_norms(outputs).items()}


def find_steps_per_minute(study: Study, record: StudyRecord, num_first: int = 10, num_steps: int = 40) -> float:
    """Find out how many steps a minute of the budgets has: as in earlier stages, or by training the reference.

    Args:
        study ([`Study`]):
            The study.
        record ([`StudyRecord`]):
            Its finished stages.
        num_first (`int`, *optional*, defaults to 10):
            Steps that are not counted, because they compile.
        num_steps (`int`, *optional*, defaults to 40):
            All steps of the measurement.

    Returns:
        `float`: Steps per minute, the same in every call of a study.
    """
    known = [facts["steps_per_minute"] for facts in record.stages.values() if "steps_per_minute" in facts]
    path = study.work_dir / "pace.json"
    if known:
        return float(known[0])
    if not path.is_file():
        stage = PreTrainingStage("pace", JOINT_MAE, 0.0)
        trainer = study.build_trainer(stage, study.config(stage, record), num_steps)
        measured = measure_steps_per_minute(trainer, num_first)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"steps_per_minute": measured}) + "\n", encoding="utf-8")
    return float(json.loads(path.read_text(encoding="utf-8"))["steps_per_minute"])


def _train(trainer: JointMAETrainer, deadline: Deadline, folder: Path) -> bool:
    """Train to the end and save in a folder that exists only when it is whole; say whether the end was reached."""
    trainer.add_callback(StopAtDeadline(deadline))
    checkpoint = find_last_checkpoint(Path(str(trainer.args.output_dir)))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if trainer.state.global_step < trainer.state.max_steps:
        return False
    unfinished = folder.with_name("unfinished")
    trainer.unwrapped_model.save_pretrained(unfinished)
    os.replace(unfinished, folder)
    return True


def _seconds_to_probe(record: StudyRecord) -> float:
    """Longest time that a linear SVM took, with some to spare."""
    measured = [facts["probe_seconds"] for facts in record.stages.values() if "probe_seconds" in facts]
    return 1.5 * max(measured) + 10.0 if measured else SECONDS_TO_PROBE


def balanced_weights(record: StudyRecord, name: str) -> dict[str, float]:
    """Weights of 2D and the cross loss by which 3D holds at least half of the gradient at the encoder's output.

    Args:
        record ([`StudyRecord`]):
            With the gradient norms of all finished stages.
        name (`str`):
            Of the stage that measured them.

    Returns:
        `dict[str, float]`: `loss_2d_weight` and `loss_3d_2d_weight`, both the same and at most 1.

    Raises:
        ValueError: If there is no such stage yet.
    """
    if name not in record:
        raise ValueError(f"`{name}` must be finished before its losses can be balanced. Run its study first.")
    norms = record.stages[name]["gradient_norms"]
    others = norms["gradient_norm_2d"] + norms["gradient_norm_3d_2d"]
    weight = min(1.0, norms["gradient_norm_3d"] / others)
    return {"loss_2d_weight": weight, "loss_3d_2d_weight": weight}


def export_weights(model: JointMAEForPreTraining, folder: Path) -> None:
    """Write weights in bfloat16, in files below 16 MiB, with the feature extractor that fits them.

    Args:
        model ([`JointMAEForPreTraining`]):
            Left alone.
        folder (`pathlib.Path`):
            Where to.
    """
    exported = copy.deepcopy(model).bfloat16()
    exported.save_pretrained(folder, max_shard_size=MAX_SHARD_SIZE)
    JointMAEFeatureExtractor(num_points=model.config.num_points).save_pretrained(folder)
