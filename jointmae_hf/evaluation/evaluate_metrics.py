"""Our metrics as modules of the `evaluate` library, without any download."""

from typing import Any

import datasets
import evaluate
import numpy as np

from .metrics import classification_metrics, segmentation_scores


CITATION = "Guo et al., Joint-MAE: 2D-3D Joint Masked Autoencoders for 3D Point Cloud Pre-training, IJCAI 2023"


class PointCloudAccuracy(evaluate.Metric):
    """Compute the overall and the mean class accuracy: `overall_accuracy` and `class_accuracy`, within [0, 1].

    Example:
        >>> from jointmae_hf.evaluation import PointCloudAccuracy
        >>> metric = PointCloudAccuracy()
        >>> metric.compute(predictions=[0, 1, 0, 0], references=[0, 1, 1, 0])
        {'overall_accuracy': 0.75, 'class_accuracy': 0.75}
    """

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Fraction of correctly classified clouds, overall and averaged over the classes.",
            citation=CITATION,
            inputs_description="predictions and references: one class index per cloud.",
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return classification_metrics(np.asarray(predictions), np.asarray(references))


class PartIoU(evaluate.Metric):
    """Compute the mIoU of parts: `instance_miou`, `class_miou` and `point_accuracy`, within [0, 1].

    Args:
        category_parts (`Sequence[Sequence[int]]`):
            Possible parts of each category, `config.category_labels`.
        kwargs (`Any`, *optional*):
            Arguments of `evaluate.Metric`.

    Example:
        >>> from jointmae_hf.evaluation import PartIoU
        >>> metric = PartIoU(category_parts=[[0, 1], [2, 3]])
        >>> metric.add(prediction=[0, 0, 1], reference=[0, 1, 1], category=0)
        >>> metric.compute()["instance_miou"]
        0.5
    """

    def __init__(self, category_parts: Any, **kwargs: Any) -> None:
        self.category_parts = [list(parts) for parts in category_parts]
        super().__init__(**kwargs)

    def _info(self) -> evaluate.MetricInfo:
        parts = datasets.Sequence(datasets.Value("int64"))
        return evaluate.MetricInfo(
            description="Mean IoU of parts; a part that is neither present nor predicted counts as 1.",
            citation=CITATION,
            inputs_description="predictions and references: one part per point; category: one per cloud.",
            features=datasets.Features(
                {"predictions": parts, "references": parts, "category": datasets.Value("int64")}
            ),
        )

    def _compute(self, predictions: Any, references: Any, category: Any) -> dict[str, float]:
        predicted, true = ([np.asarray(shape) for shape in shapes] for shapes in (predictions, references))
        scores = segmentation_scores(predicted, true, category, self.category_parts)
        return {
            "instance_miou": scores.instance_miou,
            "class_miou": scores.class_miou,
            "point_accuracy": scores.point_accuracy,
        }
