"""Fine-tuning stages of a study: classification, few-shot and parts, from the weights that a stage kept."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments, set_seed

from jointmae_hf.data import PointCloudTensors
from jointmae_hf.evaluation import CheckpointProvenance, Result, draw_fold
from jointmae_hf.evaluation.few_shot import NUM_TEST_SHAPES
from jointmae_hf.model import (
    JointMAEConfig,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
)

from .finetuning_few_shot import MeasuredFolds, fine_tune_fold
from .finetuning_recipes import FINE_TUNING_RECIPES, FineTuningRecipe, PointSampling
from .finetuning_run import build_fine_tuning_trainer, measure_epochs
from .finetuning_trainer import ClassificationTrainer, SegmentationTrainer
from .resilience.checkpoints import find_last_checkpoint
from .study_clock import Deadline, StopAtDeadline
from .study_pretraining import SECONDS_TO_START, Study
from .study_record import StudyRecord
from .study_stages import FineTuningStage


FEW_SHOT_SETTINGS = tuple((ways, shots) for ways in (5, 10) for shots in (10, 20))
NUM_FOLDS = 10


def run_fine_tuning(
    study: Study, stage: FineTuningStage, record: StudyRecord, deadline: Deadline, parts: Study | None = None
) -> bool:
    """Fine-tune and measure, or go on where an earlier call stopped.

    Args:
        study ([`Study`]):
            With the labelled clouds of classification and few-shot.
        stage ([`FineTuningStage`]):
            The stage.
        record ([`StudyRecord`]):
            Gets the results.
        deadline ([`Deadline`]):
            End of this call.
        parts ([`Study`], *optional*):
            With clouds of part labels, for segmentation.

    Returns:
        `bool`: Whether it is finished.

    Raises:
        ValueError: If the weights are not there, or there are no clouds with parts to segment.
    """
    if stage.source not in record:
        raise ValueError(f"`{stage.source}` must be finished before it can be fine-tuned. Run its study first.")
    if stage.task == "segmentation" and parts is None:
        raise ValueError("`parts` must be given for segmentation, got None.")
    if not deadline.has_time_for(SECONDS_TO_START):
        return False
    start, seen = time.time(), CheckpointProvenance("Joint-MAE", (study.dataset,))
    if stage.task == "few_shot":
        results = _run_folds(study, stage, deadline, seen)
    elif stage.task == "classification":
        results = _run_classification(study, stage, deadline, seen)
    else:
        results = _run_parts(replace(parts or study, output_dir=study.output_dir), stage, deadline, seen)
    if results is None:
        return False
    record.add(
        stage.name, results, {"source": stage.source, "seed": stage.seed, "last_call_seconds": time.time() - start}
    )
    return True


def training_of_stage(
    study: Study, stage: FineTuningStage, recipe: FineTuningRecipe, **fields: Any
) -> TrainingArguments:
    """Arguments of a fine-tuning stage: those of the recipe, then the stage's, then the study's.

    Args:
        study ([`Study`]):
            The study.
        stage ([`FineTuningStage`]):
            The stage.
        recipe ([`FineTuningRecipe`]):
            Of its task.
        fields (`Any`):
            What the task needs.

    Returns:
        `transformers.TrainingArguments`: The arguments.
    """
    quiet = {"report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": False}
    values = {name: setting.value for name, setting in recipe.training.items()} | quiet
    values |= {"output_dir": str(study.work_dir / stage.name), "seed": stage.seed, "label_names": ["labels"]}
    values |= {"remove_unused_columns": False, "logging_nan_inf_filter": False}
    values |= dict(stage.training)
    values["num_train_epochs"] = max(1, round(study.scale * values["num_train_epochs"]))
    return TrainingArguments(**{**values, **study.training, **fields})


def _build_model(
    model_class: Any, study: Study, stage: FineTuningStage, recipe: FineTuningRecipe, num_points: int, **fields: Any
) -> Any:
    """Model with a new head on the exported weights, in float32."""
    source = study.output_dir / stage.source
    changed = {name: setting.value for name, setting in recipe.model.items()} | {"num_points": num_points}
    config = JointMAEConfig.from_pretrained(source, **{**changed, **fields})
    set_seed(stage.seed)
    return model_class.from_pretrained(source, config=config, dtype=torch.float32)


def _train(trainer: ClassificationTrainer, deadline: Deadline) -> bool:
    """Train to the end or to the deadline; say whether the end was reached."""
    trainer.add_callback(StopAtDeadline(deadline))
    checkpoint = find_last_checkpoint(Path(str(trainer.args.output_dir)))
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    return trainer.state.global_step >= trainer.state.max_steps


def _template(study: Study, stage: FineTuningStage, seen: CheckpointProvenance) -> Result:
    """What all results of a stage share."""
    clouds = study.clouds
    return Result(
        name="accuracy",
        value=0.0,
        unit="%",
        split="test",
        selection_rule="last epoch",
        seed=stage.seed,
        num_train=len(clouds["train"]),
        num_test=len(clouds["test"]),
        dataset=study.dataset,
        pre_training=seen.describe(study.dataset),
    )


def _run_classification(
    study: Study, stage: FineTuningStage, deadline: Deadline, seen: CheckpointProvenance
) -> list[Result] | None:
    """Accuracies on test, nothing if the time was up."""
    recipe, clouds = FINE_TUNING_RECIPES["classification"]["paper"], study.clouds
    num_points = min(recipe.model["num_points"].value, clouds["train"].num_points)
    labels = {"id2label": {label: str(label) for label in range(_num_values(clouds, "labels"))}}
    model = _build_model(JointMAEForPointCloudClassification, study, stage, recipe, num_points, **labels)
    sampling = PointSampling(clouds["train"], recipe, num_points, stage.seed)
    training = training_of_stage(study, stage, recipe)
    trainer = build_fine_tuning_trainer(model, training, sampling, clouds["train"], clouds["validation"])
    if not _train(trainer, deadline):
        return None
    names = ("overall_accuracy", "class_accuracy")
    return _finish(
        study, stage, measure_epochs(trainer, sampling, clouds["test"], names, _template(study, stage, seen))
    )


def _run_parts(
    study: Study, stage: FineTuningStage, deadline: Deadline, seen: CheckpointProvenance
) -> list[Result] | None:
    """Means of the IoU on test, nothing if the time was up."""
    recipe, clouds = FINE_TUNING_RECIPES["segmentation"]["paper"], study.clouds
    num_points = min(recipe.model["num_points"].value, clouds["train"].num_points)
    fields = part_fields_of_clouds(clouds)
    model = _build_model(JointMAEForPointCloudSegmentation, study, stage, recipe, num_points, **fields)
    sampling = PointSampling(clouds["train"], recipe, num_points, stage.seed, keep_order=True)
    training = training_of_stage(study, stage, recipe, label_names=["part_labels", "labels"])
    splits = clouds["train"], clouds["validation"]
    trainer = build_fine_tuning_trainer(model, training, sampling, *splits, SegmentationTrainer)
    if not _train(trainer, deadline):
        return None
    names = ("instance_miou", "class_miou")
    return _finish(
        study, stage, measure_epochs(trainer, sampling, clouds["test"], names, _template(study, stage, seen))
    )


def _run_folds(
    study: Study, stage: FineTuningStage, deadline: Deadline, seen: CheckpointProvenance
) -> list[Result] | None:
    """Mean and deviation over folds, nothing if the time was up between two of them."""
    recipe, clouds = FINE_TUNING_RECIPES["few_shot"]["paper"], study.clouds
    num_points = min(recipe.model["num_points"].value, clouds["train"].num_points)
    training = training_of_stage(study, stage, recipe, save_strategy="no")
    described = {"source": stage.source, "seed": stage.seed, "epochs": training.num_train_epochs}
    folds = MeasuredFolds(study.output_dir / f"{stage.name}.json", described)
    longest = SECONDS_TO_START
    for ways, shots in FEW_SHOT_SETTINGS:
        for number in range(NUM_FOLDS):
            setting = f"{ways}-way {shots}-shot"
            if folds.get(setting, number) is not None:
                continue
            if not deadline.has_time_for(longest):
                return None
            start = time.time()
            fold = draw_fold(clouds["train"], clouds["test"], ways, shots, number, stage.seed)
            labels = {"id2label": dict(enumerate(fold.class_names))}
            model = _build_model(JointMAEForPointCloudClassification, study, stage, recipe, num_points, **labels)
            folds.add(setting, number, fine_tune_fold(model, training, fold, recipe), time.time() - start)
            longest = max(longest, 1.5 * (time.time() - start))
    return _finish(study, stage, [_fold_result(study, stage, seen, folds, *setting) for setting in FEW_SHOT_SETTINGS])


def _fold_result(
    study: Study, stage: FineTuningStage, seen: CheckpointProvenance, folds: MeasuredFolds, ways: int, shots: int
) -> Result:
    """Result of a setting."""
    setting = f"{ways}-way {shots}-shot"
    mean, std = folds.mean_and_std(setting)
    sizes: dict[str, Any] = {"num_train": ways * shots, "num_test": ways * NUM_TEST_SHAPES, "num_runs": NUM_FOLDS}
    template = replace(_template(study, stage, seen), name="few_shot_accuracy", protocol=f"{setting}, fine_tuning")
    return replace(template, value=mean, std=std, **sizes)


def _finish(study: Study, stage: FineTuningStage, results: list[Result]) -> list[Result]:
    """Remove the checkpoints of a stage that is measured, and return its results."""
    shutil.rmtree(study.work_dir / stage.name, ignore_errors=True)
    return results


def _num_values(clouds: Mapping[str, PointCloudTensors], name: str) -> int:
    """Number of classes or parts in all splits."""
    return 1 + max(int(split.columns()[name].max()) for split in clouds.values())


def part_fields_of_clouds(clouds: Mapping[str, PointCloudTensors]) -> dict[str, Any]:
    """Say which parts there are, and which of them each category has.

    Args:
        clouds (`Mapping[str, PointCloudTensors]`):
            All splits, with labels and part labels.

    Returns:
        `dict[str, Any]`: `id2label`, `num_categories` and `category_labels` of [`JointMAEConfig`].
    """
    num_categories = _num_values(clouds, "labels")
    parts: list[set[int]] = [set() for _ in range(num_categories)]
    for split in clouds.values():
        columns = split.columns()
        for label in columns["labels"].unique().tolist():
            parts[label] |= set(columns["part_labels"][columns["labels"] == label].unique().tolist())
    return {
        "id2label": {label: str(label) for label in range(_num_values(clouds, "part_labels"))},
        "num_categories": num_categories,
        "category_labels": [sorted(labels) for labels in parts],
    }
