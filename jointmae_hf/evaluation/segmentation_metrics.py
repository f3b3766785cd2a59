"""Part segmentation: intersection over union of parts, shapes, categories, by the conventions of ShapeNetPart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SegmentationScores:
    """Means of the intersection over union (IoU) of shapes.

    Args:
        instance_miou (`float`):
            Mean over all shapes, within [0, 1].
        class_miou (`float`):
            Mean over the categories that occur of the mean over their shapes.
        category_ious (`dict[int, float]`):
            Category to the mean over its shapes, in ascending order.
        point_accuracy (`float`):
            Share of points whose part is predicted right.
    """

    instance_miou: float
    class_miou: float
    category_ious: dict[int, float]
    point_accuracy: float


def shape_iou(predictions: np.ndarray, labels: np.ndarray, parts: Sequence[int]) -> float:
    """Return the mean IoU of the parts that the category of a shape can have.

    A part that neither occurs in the shape nor is predicted counts as 1. Source: the evaluation of PointNet++ on
    ShapeNetPart, which Point-MAE and its peers follow.

    Args:
        predictions (`np.ndarray` of shape `(num_points,)`):
            Predicted part of every point.
        labels (`np.ndarray` of shape `(num_points,)`):
            True part of every point.
        parts (`Sequence[int]`):
            Parts of the category, at least one, without repeats.

    Returns:
        `float`: Within [0, 1].

    Raises:
        ValueError: If the shapes differ, there is no point, or a true part is not one of `parts`.

    Example:
        >>> shape_iou(np.array([4, 4, 5, 5]), np.array([4, 5, 5, 5]), parts=[4, 5, 6])  # 1/2, 2/3 and 1
        0.7222222222222222
    """
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0 or predictions.shape != labels.shape:
        raise ValueError(
            f"`predictions` and `labels` must have one shape (num_points,), got {predictions.shape}, {labels.shape}."
        )
    if len(parts) == 0 or len(set(parts)) != len(parts):
        raise ValueError(f"`parts` must hold at least one part and none twice, got {list(parts)}.")
    foreign = np.setdiff1d(labels, parts)
    if foreign.size:
        raise ValueError(f"`labels` must hold parts of the category, {list(parts)}, got {foreign.tolist()}.")
    ious = []
    for part in parts:
        is_predicted, is_true = predictions == part, labels == part
        union = np.count_nonzero(is_predicted | is_true)
        ious.append(np.count_nonzero(is_predicted & is_true) / union if union else 1.0)
    return float(np.mean(ious))


def segmentation_scores(
    predictions: Sequence[np.ndarray] | np.ndarray,
    labels: Sequence[np.ndarray] | np.ndarray,
    categories: Sequence[int] | np.ndarray,
    category_parts: Sequence[Sequence[int]],
) -> SegmentationScores:
    """Measure predicted parts of several shapes.

    Args:
        predictions (`Sequence[np.ndarray]` or `np.ndarray` of shape `(num_shapes, num_points)`):
            Predicted part of every point of every shape. Restrict them to the parts of the category before, by
            `JointMAEForPointCloudSegmentation.post_process`, if they are to be compared with published numbers.
        labels (`Sequence[np.ndarray]` or `np.ndarray` of shape `(num_shapes, num_points)`):
            True parts.
        categories (`Sequence[int]` or `np.ndarray` of shape `(num_shapes,)`):
            Category of every shape, a position in `category_parts`.
        category_parts (`Sequence[Sequence[int]]`):
            Parts that each category can have, `config.category_labels`.

    Returns:
        [`SegmentationScores`]: The means.

    Raises:
        ValueError: If the lengths differ, there is no shape, a category is unknown, or [`shape_iou`] refuses a shape.
    """
    if not len(predictions) == len(labels) == len(categories) or len(labels) == 0:
        raise ValueError(
            "`predictions`, `labels` and `categories` must have one entry for each shape, at least one, got "
            f"{len(predictions)}, {len(labels)} and {len(categories)}."
        )
    categories = np.asarray(categories)
    if categories.min() < 0 or categories.max() >= len(category_parts):
        raise ValueError(
            f"`categories` must be within [0, {len(category_parts)}), got {categories.min()} to {categories.max()}."
        )
    triples = zip(predictions, labels, categories, strict=True)
    ious = np.array([shape_iou(predicted, true, category_parts[category]) for predicted, true, category in triples])
    category_ious = {int(category): float(ious[categories == category].mean()) for category in np.unique(categories)}
    num_right = sum(int((np.asarray(p) == np.asarray(t)).sum()) for p, t in zip(predictions, labels, strict=True))
    return SegmentationScores(
        instance_miou=float(ious.mean()),
        class_miou=float(np.mean(list(category_ious.values()))),
        category_ious=category_ious,
        point_accuracy=num_right / sum(len(true) for true in labels),
    )
