"""Trainers of fine-tuning: classes of clouds with voting, parts of points limited to the category."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import EvalPrediction
from transformers.modeling_outputs import TokenClassifierOutput

from jointmae_hf.data import Transform
from jointmae_hf.evaluation import Voting, classification_metrics, segmentation_scores, vote_logits

from .point_cloud_trainer import PointCloudTrainer


class ClassificationTrainer(PointCloudTrainer):
    """`transformers.Trainer` for `JointMAEForPointCloudClassification`.

    Batches hold `points`, `index` and `labels`. Metrics are `overall_accuracy` and `class_accuracy`. The loss is the
    cross entropy, in training with `label_smoothing_factor`.

    Args:
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of [`PointCloudTrainer`].
    """

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("compute_metrics", self._metrics)
        super().__init__(*args, **kwargs)
        # The loss is a mean over the batch, so the trainer has to divide it by the steps of accumulation.
        self.model_accepts_loss_kwargs = False
        self._voting: tuple[Voting, Transform] | None = None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Loss of one batch; see `transformers.Trainer.compute_loss`."""
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
        """Measure the weights on a split.

        Args:
            dataset (`torch.utils.data.Dataset`):
                The split.
            voting ([`Voting`], *optional*):
                A vote in place of one pass.
            transform (`Transform`, *optional*):
                What happens to the points before the vote; that of evaluation by default.

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
        """What the model takes beside the points."""
        return {"labels": inputs["labels"]}

    def _metrics(self, prediction: EvalPrediction) -> dict[str, Any]:
        """Accuracies of gathered logits."""
        return classification_metrics(np.argmax(prediction.predictions, axis=-1), np.asarray(prediction.label_ids))


class SegmentationTrainer(ClassificationTrainer):
    """`transformers.Trainer` for `JointMAEForPointCloudSegmentation`.

    Batches hold `points`, `index`, `part_labels` and, as `labels`, the category; the arguments of training must have
    `label_names=["part_labels", "labels"]`. Metrics are `instance_miou`, `class_miou`, `point_accuracy` and, for each
    category that occurs, `category_iou_<category>`.

    Args:
        use_category (`bool`, *optional*, defaults to `True`):
            Whether the model is told the category, and its parts limited to it. Without, its embedding is zero and any
            part can be predicted.
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of [`PointCloudTrainer`].
    """

    def __init__(self, *args: Any, use_category: bool = True, **kwargs: Any):
        self.use_category = use_category
        # Parts in place of logits: these would be gathered for all points of the split.
        super().__init__(*args, preprocess_logits_for_metrics=self._parts, **kwargs)

    def _arguments(self, inputs: dict[str, Tensor]) -> dict[str, Tensor | None]:
        """What the model takes beside the points."""
        return {"labels": inputs["part_labels"], "category": inputs["labels"] if self.use_category else None}

    def _parts(self, logits: Tensor, labels: tuple[Tensor, Tensor]) -> Tensor:
        """Part of each point, as the model itself decides."""
        outputs = TokenClassifierOutput(logits=torch.as_tensor(logits))
        return self.unwrapped_model.post_process(outputs, labels[1] if self.use_category else None)

    def _metrics(self, prediction: EvalPrediction) -> dict[str, Any]:
        """Means of the IoU of gathered parts."""
        part_labels, categories = (np.asarray(ids) for ids in prediction.label_ids)
        category_labels = self.unwrapped_model.config.category_labels
        scores = segmentation_scores(np.asarray(prediction.predictions), part_labels, categories, category_labels)
        return {
            "instance_miou": scores.instance_miou,
            "class_miou": scores.class_miou,
            "point_accuracy": scores.point_accuracy,
            **{f"category_iou_{category}": iou for category, iou in scores.category_ious.items()},
        }
