"""Pieces of a fine-tuning run that scripts share: trainer, weights to measure, and what the run leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, TrainingArguments

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, PointCloudTensors
from jointmae_hf.evaluation import CheckpointProvenance, Result, collect_run_facts, write_results
from jointmae_hf.evaluation.few_shot import FewShotSplit
from jointmae_hf.model import JointMAEFeatureExtractor

from .finetuning_recipes import FineTuningRecipe, PointSampling
from .finetuning_trainer import ClassificationTrainer
from .processes import synchronize_batch_norm
from .resilience import verify_manifest


if TYPE_CHECKING:
    from datasets import DatasetDict

    from .finetuning_arguments import FineTuningArguments
    from .script_arguments import DatasetArguments


def load_fine_tuning_dataset(
    script: FineTuningArguments,
    dataset_arguments: DatasetArguments,
    training: TrainingArguments,
    recipe: FineTuningRecipe,
) -> DatasetDict:
    """Load the splits of a run, on the main process first.

    Args:
        script ([`FineTuningArguments`]):
            Tells how validation is made, or that it is trained on.
        dataset_arguments ([`DatasetArguments`]):
            Names the dataset.
        training (`transformers.TrainingArguments`):
            Of the run.
        recipe ([`FineTuningRecipe`]):
            For the sizes of the embedded shapes.

    Returns:
        `datasets.DatasetDict`: `train`, `validation` unless it is trained on, and `test` where there is one.

    Raises:
        ValueError: If the dataset has no classes, or validation is trained on and there is no `test` to measure on.
    """
    with training.main_process_first(desc="building the dataset"):
        sizes = {name: setting.value for name, setting in recipe.dataset_sizes.items()}
        splits = dataset_arguments.load(training.seed, script.validation_share, **sizes)
    if "label" not in splits["train"].features:
        raise ValueError(f"`dataset` must have classes, got columns {sorted(splits['train'].features)}.")
    if not script.train_on_validation:
        return splits
    if "test" not in splits:
        raise ValueError(f"`dataset` must have a test split to train on validation, got {sorted(splits)}.")
    from datasets import DatasetDict, concatenate_datasets

    train = concatenate_datasets([splits["train"], splits["validation"]])
    return DatasetDict({"train": train, "test": splits["test"]})


def build_fine_tuning_trainer(
    model: PreTrainedModel,
    training: TrainingArguments,
    sampling: PointSampling,
    train: PointCloudDataset | PointCloudTensors | FewShotSplit,
    validation: PointCloudDataset | PointCloudTensors | FewShotSplit | None = None,
    trainer_class: type[ClassificationTrainer] = ClassificationTrainer,
    sync_batch_norm: bool = False,
    **options: Any,
) -> Any:
    """Build a trainer.

    Args:
        model (`PreTrainedModel`):
            With a head.
        training (`transformers.TrainingArguments`):
            Of the run.
        sampling ([`PointSampling`]):
            How clouds become points.
        train (`torch.utils.data.Dataset`):
            Samples to learn from.
        validation (`torch.utils.data.Dataset`, *optional*):
            Samples to choose the epoch on.
        trainer_class (`type`, *optional*, defaults to [`ClassificationTrainer`]):
            Or [`SegmentationTrainer`].
        sync_batch_norm (`bool`, *optional*, defaults to `False`):
            Whether batch norm takes its statistics over all processes, see [`synchronize_batch_norm`].
        options (`Any`, *optional*):
            Of the class.

    Returns:
        [`ClassificationTrainer`]: The trainer.

    Raises:
        ValueError: If no batch can be filled, or batch norm is to be synchronized on CPU.
    """
    batch_size = training.train_batch_size * training.world_size
    if training.dataloader_drop_last and len(train) < batch_size:
        raise ValueError(
            f"`train` must fill a batch of {batch_size}, got {len(train)} clouds. Lower per_device_train_batch_size."
        )
    return trainer_class(
        model=synchronize_batch_norm(model, training) if sync_batch_norm else model,
        args=training,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=PointCloudCollator(sampling.collated_points, training.seed),
        processing_class=JointMAEFeatureExtractor(
            num_points=sampling.num_points,
            do_normalize=sampling.recipe.normalize.value,
            sampling=sampling.extractor_sampling,
            seed=sampling.seed,
        ),
        transform=sampling.training_transform(),
        evaluation_transform=sampling.evaluation_transform(),
        stop_on_signals=True,
        **options,
    )


def weights_to_measure(trainer: ClassificationTrainer) -> Iterator[tuple[str, str]]:
    """Give the trainer each of the weights that results are reported for: the last ones, then the best on validation.

    Args:
        trainer ([`ClassificationTrainer`]):
            After training. Keeps the weights that were last given to it.

    Yields:
        `tuple[str, str]`: `"last epoch"` or `"best epoch"`, and how these weights were selected.
    """
    yield "last epoch", "last epoch"
    best = trainer.state.best_model_checkpoint
    if best is not None:
        verify_manifest(Path(best))
        trainer.unwrapped_model.load_state_dict(type(trainer.unwrapped_model).from_pretrained(best).state_dict())
        yield "best epoch", f"best {trainer.args.metric_for_best_model} on validation"


def result_template(splits: DatasetDict, dataset: str, seed: int, pre_training: CheckpointProvenance) -> Result:
    """Say what all results of a run share.

    Args:
        splits (`datasets.DatasetDict`):
            The splits; `test` is measured, or `validation` where there is none.
        dataset (`str`):
            Name of the dataset.
        seed (`int`):
            Of the run.
        pre_training ([`CheckpointProvenance`]):
            Of the checkpoint.

    Returns:
        [`Result`]: To complete by `dataclasses.replace`.
    """
    split = "test" if "test" in splits else "validation"
    return Result(
        name="accuracy",
        value=0.0,
        unit="%",
        split=split,
        selection_rule="last epoch",
        seed=seed,
        num_train=len(splits["train"]),
        num_test=len(splits[split]),
        dataset=dataset,
        pre_training=pre_training.describe(dataset),
    )


def to_results(
    metrics: Mapping[str, float], names: Sequence[str], template: Result, protocol: Sequence[str | None]
) -> list[Result]:
    """Turn metrics within [0, 1] into results in percent.

    Args:
        metrics (`Mapping[str, float]`):
            From [`ClassificationTrainer.measure`].
        names (`Sequence[str]`):
            Those to report.
        template ([`Result`]):
            Everything but name, value and protocol.
        protocol (`Sequence[str | None]`):
            Parts of the protocol; `None` is left out.

    Returns:
        `list[Result]`: One for each name.
    """
    text = ", ".join(part for part in protocol if part) or None
    return [replace(template, name=name, value=100.0 * metrics[name], protocol=text) for name in names]


def measure_epochs(
    trainer: ClassificationTrainer, sampling: PointSampling, clouds: Any, names: Sequence[str], blank: Result
) -> list[Result]:
    """Measure the last weights and the best ones, without and, where the recipe has one, with a vote.

    Args:
        trainer ([`ClassificationTrainer`]):
            After training.
        sampling ([`PointSampling`]):
            Its recipe tells the vote.
        clouds (`torch.utils.data.Dataset`):
            The split.
        names (`Sequence[str]`):
            Metrics to keep.
        blank ([`Result`]):
            Facts that all results share.

    Returns:
        `list[Result]`: Those of the last epoch first.
    """
    results = []
    for epoch, selection_rule in weights_to_measure(trainer):
        known = replace(blank, selection_rule=selection_rule)
        results += to_results(trainer.measure(clouds), names, known, [epoch])
        if sampling.voting is not None:
            voted = trainer.measure(clouds, sampling.voting, sampling.voting_transform())
            voted = {f"{name}_voted": voted[name] for name in names}
            results += to_results(voted, list(voted), known, [sampling.voting.protocol, epoch])
    return results


def save_fine_tuned(
    trainer: ClassificationTrainer,
    sampling: PointSampling,
    results: Sequence[Result],
    pre_training: CheckpointProvenance,
    start: float,
) -> None:
    """Save the model, a feature extractor that prepares clouds as evaluation did, and `results.json`.

    Args:
        trainer ([`ClassificationTrainer`]):
            With the weights to keep.
        sampling ([`PointSampling`]):
            How clouds became points.
        results (`Sequence[Result]`):
            What was measured.
        pre_training ([`CheckpointProvenance`]):
            Of the checkpoint.
        start (`float`):
            When the run began, `time.time()`.
    """
    training, config = trainer.args, trainer.unwrapped_model.config
    output_dir = Path(str(training.output_dir))
    trainer.save_pretrained(output_dir)
    described = sampling.recipe.describe(training, config) | {"weights": results[-1].selection_rule}
    write_fine_tuning_results(output_dir, results, described, pre_training, start)


def write_fine_tuning_results(
    output_dir: str | os.PathLike[str],
    results: Sequence[Result],
    described: Mapping[str, Any],
    pre_training: CheckpointProvenance,
    start: float,
) -> None:
    """Write `results.json` with what the weights have seen, pre-training first.

    Args:
        output_dir (`str` or `os.PathLike`):
            An existing folder.
        results (`Sequence[Result]`):
            What was measured; the first tells the dataset.
        described (`Mapping[str, Any]`):
            The recipe in force, [`FineTuningRecipe.describe`].
        pre_training ([`CheckpointProvenance`]):
            Of the checkpoint.
        start (`float`):
            When the run began, `time.time()`.
    """
    name, num_samples = results[0].dataset, results[0].num_train
    seen = [{"name": other} for other in pre_training.datasets if other != name]
    facts: dict[str, Any] = {
        "recipe": dict(described),
        "training_data": [*seen, {"name": name, "num_samples": num_samples}],
    }
    # A checkpoint of this machine has no name that others could follow.
    if pre_training.checkpoint and "/" in pre_training.checkpoint:
        facts["base_model"] = pre_training.checkpoint
    write_results(Path(output_dir) / "results.json", list(results), collect_run_facts(time.time() - start) | facts)
