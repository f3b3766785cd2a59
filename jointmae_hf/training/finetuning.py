"""Fine-tuning: trainers for classes and parts, and the parts of a run from the dataset to `results.json`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import EvalPrediction, PreTrainedModel, TrainingArguments
from transformers.modeling_outputs import TokenClassifierOutput

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, PointCloudTensors, Transform
from jointmae_hf.data.licenses import describe_licenses
from jointmae_hf.data.source_frame import source_frame
from jointmae_hf.evaluation import (
    CheckpointProvenance,
    FewShotSplit,
    Result,
    Voting,
    classification_metrics,
    collect_run_facts,
    segmentation_scores,
    vote_logits,
    write_results,
)
from jointmae_hf.model import JointMAEFeatureExtractor

from .callbacks import RunningStatisticsCallback
from .distributed import synchronize_batch_norm
from .finetuning_recipes import FineTuningRecipe
from .point_cloud_trainer import PointCloudTrainer
from .point_sampling import PointSampling
from .recipes import setting_values
from .resilience import verify_manifest


if TYPE_CHECKING:
    from datasets import DatasetDict

    from .arguments import DatasetArguments, FineTuningArguments


class ClassificationTrainer(PointCloudTrainer):
    """`transformers.Trainer` for `JointMAEForPointCloudClassification`.

    Batch norm averages the first batches of a new model, see [`RunningStatisticsCallback`].

    Batches hold `points`, `index` and `labels`. Metrics are `overall_accuracy` and `class_accuracy`. The loss is
    cross entropy, in training with `label_smoothing_factor`.

    Args:
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of [`PointCloudTrainer`].
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("compute_metrics", self._metrics)
        super().__init__(*args, **kwargs)
        self.add_callback(RunningStatisticsCallback())
        # The loss is a mean over the batch, so the trainer must divide it by the steps of accumulation.
        self.model_accepts_loss_kwargs = False
        self._voting: tuple[Voting, Transform] | None = None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Compute the loss of one batch, see `transformers.Trainer.compute_loss`."""
        labels = {name: value for name, value in self._arguments(inputs).items() if value is not None}
        if self._voting is not None and not model.training:
            voting, transform = self._voting
            index = inputs["index"]
            points = transform(inputs["points"], epoch=0, index=index)
            outputs = {"logits": vote_logits(model, points, index, voting)}
            outputs["loss"] = nn.functional.cross_entropy(outputs["logits"], labels["labels"])
        else:
            points, _, _ = self._transformed(model, inputs)
            outputs = model(points=points, **labels)
        loss = outputs["loss"]
        if model.training and self.args.label_smoothing_factor:
            logits, targets = outputs["logits"].flatten(0, -2), labels["labels"].flatten()
            loss = nn.functional.cross_entropy(logits, targets, label_smoothing=self.args.label_smoothing_factor)
        return (loss, outputs) if return_outputs else loss

    def measure(
        self, dataset: Any, voting: Voting | None = None, transform: Transform | None = None
    ) -> dict[str, Any]:
        """Measure the current weights on a split.

        Args:
            dataset (`torch.utils.data.Dataset`):
                The split.
            voting ([`Voting`], *optional*):
                Vote to use instead of one forward pass.
            transform (`Transform`, *optional*, defaults to that of evaluation):
                Transform of the points before the vote.

        Returns:
            `dict[str, Any]`: Metrics without a prefix, and `loss`.
        """
        self._voting = None if voting is None else (voting, transform or self.evaluation_transform)
        try:
            metrics = self.predict(dataset, metric_key_prefix="test").metrics or {}
        finally:
            self._voting = None
        return {name.removeprefix("test_"): value for name, value in metrics.items()}

    def _arguments(self, inputs: dict[str, Tensor]) -> dict[str, Tensor | None]:
        """Return the inputs of the model other than the points."""
        return {"labels": inputs["labels"]}

    def _metrics(self, prediction: EvalPrediction) -> dict[str, Any]:
        """Compute the accuracies of gathered logits."""
        return classification_metrics(np.argmax(prediction.predictions, axis=-1), np.asarray(prediction.label_ids))


class SegmentationTrainer(ClassificationTrainer):
    """`transformers.Trainer` for `JointMAEForPointCloudSegmentation`.

    Batches hold `points`, `index`, `part_labels` and, as `labels`, the category. `TrainingArguments` must have
    `label_names=["part_labels", "labels"]`. Metrics are `instance_miou`, `class_miou`, `point_accuracy` and, for each
    category that occurs, `category_iou_<category>`.

    Args:
        use_category (`bool`, *optional*, defaults to `True`):
            Whether the model gets the category and predicts only its parts. Otherwise the category embedding is zero and
            any part can be predicted.
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of [`PointCloudTrainer`].
    """

    def __init__(self, *args: Any, use_category: bool = True, **kwargs: Any):
        self.use_category = use_category
        # Parts instead of logits, which would be gathered for all points of the split.
        super().__init__(*args, preprocess_logits_for_metrics=self._parts, **kwargs)

    def _arguments(self, inputs: dict[str, Tensor]) -> dict[str, Tensor | None]:
        """Return the inputs of the model other than the points."""
        return {"labels": inputs["part_labels"], "category": inputs["labels"] if self.use_category else None}

    def _parts(self, logits: Tensor, labels: tuple[Tensor, Tensor]) -> Tensor:
        """Return the part of each point, as predicted by the model."""
        outputs = TokenClassifierOutput(logits=torch.as_tensor(logits))
        return self.unwrapped_model.post_process(outputs, labels[1] if self.use_category else None)

    def _metrics(self, prediction: EvalPrediction) -> dict[str, Any]:
        """Compute the mean IoUs of gathered parts."""
        part_labels, categories = (np.asarray(ids) for ids in prediction.label_ids)
        category_labels = self.unwrapped_model.config.category_labels
        scores = segmentation_scores(np.asarray(prediction.predictions), part_labels, categories, category_labels)
        return {
            "instance_miou": scores.instance_miou,
            "class_miou": scores.class_miou,
            "point_accuracy": scores.point_accuracy,
            **{f"category_iou_{category}": iou for category, iou in scores.category_ious.items()},
        }


def load_fine_tuning_dataset(
    script: FineTuningArguments,
    dataset_arguments: DatasetArguments,
    training: TrainingArguments,
    recipe: FineTuningRecipe,
) -> DatasetDict:
    """Load `train`, `validation` unless it is trained on, and `test` if there is one, on the main process first."""
    with training.main_process_first(desc="building the dataset"):
        splits = script.load_splits(dataset_arguments, training.seed, **setting_values(recipe.dataset_sizes))
    if "label" not in splits["train"].features:
        raise ValueError(f"`dataset` must have classes, got columns {sorted(splits['train'].features)}.")
    if not script.train_on_validation:
        return splits
    if "test" not in splits:
        raise ValueError(f"`dataset` must have a test split to train on validation, got {sorted(splits)}.")
    from datasets import DatasetDict, concatenate_datasets

    train = concatenate_datasets([splits["train"], splits["validation"]])
    return DatasetDict({"train": train, "test": splits["test"]})


def part_fields(dataset: str) -> dict[str, Any]:
    """Return the fields of [`JointMAEConfig`] that describe the categories and parts of a dataset.

    Example:
        >>> fields = part_fields("shapenet_part")
        >>> len(fields["id2label"]), fields["id2label"][49], fields["category_labels"][15]
        (50, 'Table part 2', [47, 48, 49])
    """
    from jointmae_hf.data import SHAPE_CLASS_PARTS, SHAPE_PARTS, SHAPENET_PART_PARTS  # these import `datasets`

    categories: Mapping[str, Sequence[int]]
    if dataset == "synthetic_shapes":
        categories, names = SHAPE_CLASS_PARTS, list(SHAPE_PARTS)
    elif dataset == "shapenet_part":  # numbers its parts without naming them
        categories = SHAPENET_PART_PARTS
        names = [f"{name} part {number}" for name, parts in categories.items() for number in range(len(parts))]
    else:
        raise ValueError(f"`dataset` must have parts: shapenet_part or synthetic_shapes, got {dataset!r}.")
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: label for label, name in enumerate(names)},
        "num_categories": len(categories),
        "category_labels": [list(parts) for parts in categories.values()],
    }


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
            Model with a head.
        training (`transformers.TrainingArguments`):
            Arguments of the run.
        sampling ([`PointSampling`]):
            Choice of the points of each cloud.
        train (`torch.utils.data.Dataset`):
            Samples to train on.
        validation (`torch.utils.data.Dataset`, *optional*):
            Samples to choose the epoch on.
        trainer_class (`type`, *optional*, defaults to [`ClassificationTrainer`]):
            Or [`SegmentationTrainer`].
        sync_batch_norm (`bool`, *optional*, defaults to `False`):
            Whether to compute the statistics of batch norm over all processes; needs GPUs.
        options (`Any`, *optional*):
            Arguments of `trainer_class`.

    Returns:
        [`ClassificationTrainer`]: The trainer.

    Raises:
        ValueError: If `train` does not fill a batch, or batch norm is to be synchronized on CPU.
    """
    batch_size = training.train_batch_size * training.world_size
    if training.dataloader_drop_last and len(train) < batch_size:
        raise ValueError(
            f"`train` must fill a batch of {batch_size}, got {len(train)} clouds. Lower per_device_train_batch_size."
        )
    frame = source_frame(train)
    return trainer_class(
        model=synchronize_batch_norm(model, training) if sync_batch_norm else model,
        args=training,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=PointCloudCollator(sampling.collated_points, training.seed),
        processing_class=JointMAEFeatureExtractor(
            num_points=sampling.num_points,
            do_normalize=sampling.recipe.normalize.value or frame.do_normalize,
            sampling=sampling.extractor_sampling,
            seed=sampling.seed,
            up_axis=frame.up_axis,
            do_mirror=frame.do_mirror,
        ),
        transform=sampling.training_transform(),
        evaluation_transform=sampling.evaluation_transform(),
        stop_on_signals=True,
        **options,
    )


def weights_to_measure(trainer: ClassificationTrainer) -> Iterator[tuple[str, str]]:
    """Load the last weights, then the best on validation, and yield `"last epoch"` or `"best epoch"` and the selection rule.

    The trainer keeps the weights that were loaded last.
    """
    yield "last epoch", "last epoch"
    best = trainer.state.best_model_checkpoint
    if best is not None:
        verify_manifest(Path(best))
        trainer.unwrapped_model.load_state_dict(type(trainer.unwrapped_model).from_pretrained(best).state_dict())
        yield "best epoch", f"best {trainer.args.metric_for_best_model} on validation"


def result_template(splits: DatasetDict, dataset: str, seed: int, pre_training: CheckpointProvenance) -> Result:
    """Return what all results of a run share; `test` is measured, or `validation` if there is no `test`."""
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
    """Return the named metrics, within [0, 1], as results in percent; the parts of `protocol` are joined by commas."""
    text = ", ".join(part for part in protocol if part) or None
    return [replace(template, name=name, value=100.0 * metrics[name], protocol=text) for name in names]


def measure_epochs(
    trainer: ClassificationTrainer, sampling: PointSampling, clouds: Any, names: Sequence[str], template: Result
) -> list[Result]:
    """Measure the last and the best weights on a split, with and without the vote of the recipe; the last come first."""
    results = []
    for epoch, selection_rule in weights_to_measure(trainer):
        selected = replace(template, selection_rule=selection_rule)
        results += to_results(trainer.measure(clouds), names, selected, [epoch])
        if sampling.voting is not None:
            voted = trainer.measure(clouds, sampling.voting, sampling.voting_transform())
            voted = {f"{name}_voted": voted[name] for name in names}
            results += to_results(voted, list(voted), selected, [sampling.voting.protocol, epoch])
    return results


def save_fine_tuned(
    trainer: ClassificationTrainer,
    sampling: PointSampling,
    results: Sequence[Result],
    pre_training: CheckpointProvenance,
    start: float,
) -> None:
    """Save the model, a feature extractor that prepares files of the dataset like evaluation, and `results.json`.

    `start` is the `time.time()` of the start of the run.
    """
    training, config = trainer.args, trainer.unwrapped_model.config
    output_dir = Path(str(training.output_dir))
    trainer.save_pretrained(output_dir)
    described = sampling.recipe.describe(training, config) | {"weights": results[-1].selection_rule}
    terms = describe_licenses(getattr(trainer.train_dataset, "dataset", trainer.train_dataset))
    write_fine_tuning_results(output_dir, results, described, pre_training, start, terms)


def write_fine_tuning_results(
    output_dir: str | os.PathLike[str],
    results: Sequence[Result],
    described: Mapping[str, Any],
    pre_training: CheckpointProvenance,
    start: float,
    terms: Mapping[str, Any] | None = None,
) -> None:
    """Write `results.json` with the recipe as `described` and the datasets that the weights have seen.

    `terms` are those of `describe_licenses` for the last of these datasets.
    """
    data = {"name": results[0].dataset, **(terms or {}), "num_samples": results[0].num_train}
    facts = {"recipe": dict(described), **pre_training.training_facts([data])}
    write_results(Path(output_dir) / "results.json", list(results), collect_run_facts(time.time() - start) | facts)
