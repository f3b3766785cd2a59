"""Metrics of classification and of part segmentation, as plain functions of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def overall_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the fraction of correctly predicted samples.

    Args:
        predictions (`np.ndarray` of shape `(num_samples,)`):
            Predicted class indices.
        labels (`np.ndarray` of shape `(num_samples,)`):
            True class indices.

    Returns:
        `float`: Within [0, 1].

    Raises:
        ValueError: If the shapes differ, are not one-dimensional or hold no sample.

    Example:
        >>> overall_accuracy(np.array([0, 1, 1, 0]), np.array([0, 1, 1, 1]))
        0.75
    """
    predictions, labels = _validate_classes(predictions, labels)
    return float((predictions == labels).mean())


def class_accuracies(predictions: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Return the recall of every class that occurs in `labels`.

    Args:
        predictions (`np.ndarray` of shape `(num_samples,)`):
            Predicted class indices.
        labels (`np.ndarray` of shape `(num_samples,)`):
            True class indices.

    Returns:
        `dict[int, float]`: Class index to the fraction of correctly predicted samples, in ascending order.

    Raises:
        ValueError: If the shapes differ, are not one-dimensional or hold no sample.

    Example:
        >>> class_accuracies(np.array([0, 1, 1, 0]), np.array([0, 1, 1, 1]))[0]
        1.0
    """
    predictions, labels = _validate_classes(predictions, labels)
    return {int(label): float((predictions[labels == label] == label).mean()) for label in np.unique(labels)}


def mean_class_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the unweighted mean of the accuracies of the classes that occur in `labels`.

    Args:
        predictions (`np.ndarray` of shape `(num_samples,)`):
            Predicted class indices.
        labels (`np.ndarray` of shape `(num_samples,)`):
            True class indices.

    Returns:
        `float`: Within [0, 1].

    Raises:
        ValueError: If the shapes differ, are not one-dimensional or hold no sample.

    Example:
        >>> mean_class_accuracy(np.array([0, 1, 0, 0]), np.array([0, 1, 1, 0]))
        0.75
    """
    return float(np.mean(list(class_accuracies(predictions, labels).values())))


def classification_metrics(predictions: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return both accuracies under the names used in our results.

    Args:
        predictions (`np.ndarray` of shape `(num_samples,)`):
            Predicted class indices.
        labels (`np.ndarray` of shape `(num_samples,)`):
            True class indices.

    Returns:
        `dict[str, float]`: `overall_accuracy` and `class_accuracy`, within [0, 1].

    Raises:
        ValueError: If the shapes differ, are not one-dimensional or hold no sample.
    """
    return {
        "overall_accuracy": overall_accuracy(predictions, labels),
        "class_accuracy": mean_class_accuracy(predictions, labels),
    }


def _validate_classes(predictions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Check that both have the same shape `(num_samples,)`; return them as arrays."""
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"`labels` must have shape (num_samples,) with at least one sample, got {labels.shape}.")
    if predictions.shape != labels.shape:
        raise ValueError(f"`predictions` must have the shape of `labels`, got {predictions.shape} and {labels.shape}.")
    return predictions, labels


@dataclass(frozen=True)
class SegmentationScores:
    """Hold the mean intersection over union (IoU) of shapes.

    Args:
        instance_miou (`float`):
            Mean over all shapes, within [0, 1].
        class_miou (`float`):
            Mean over the categories that occur, each the mean over its shapes.
        category_ious (`dict[int, float]`):
            Category to the mean IoU of its shapes, in ascending order.
        point_accuracy (`float`):
            Fraction of correctly predicted points.
    """

    instance_miou: float
    class_miou: float
    category_ious: dict[int, float]
    point_accuracy: float


def shape_iou(predictions: np.ndarray, labels: np.ndarray, parts: Sequence[int]) -> float:
    """Return the mean IoU of a shape over all parts of its category.

    A part that is neither present nor predicted counts as 1. Source: the evaluation of PointNet++ on ShapeNetPart,
    which Point-MAE and its peers follow.

    Args:
        predictions (`np.ndarray` of shape `(num_points,)`):
            Predicted part of each point.
        labels (`np.ndarray` of shape `(num_points,)`):
            True part of each point.
        parts (`Sequence[int]`):
            Parts of the category, at least one, without duplicates.

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
        raise ValueError(f"`parts` must hold at least one part and no duplicates, got {list(parts)}.")
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
    """Compute the mIoU of predicted parts over several shapes.

    Args:
        predictions (`Sequence[np.ndarray]` or `np.ndarray` of shape `(num_shapes, num_points)`):
            Predicted part of each point of each shape. To compare with published numbers, restrict predictions to the
            parts of the category first, by `JointMAEForPointCloudSegmentation.post_process`.
        labels (`Sequence[np.ndarray]` or `np.ndarray` of shape `(num_shapes, num_points)`):
            True parts.
        categories (`Sequence[int]` or `np.ndarray` of shape `(num_shapes,)`):
            Category of each shape, an index into `category_parts`.
        category_parts (`Sequence[Sequence[int]]`):
            Possible parts of each category, `config.category_labels`.

    Returns:
        [`SegmentationScores`]: Instance, class and category mIoU, and the accuracy of points.

    Raises:
        ValueError: If the lengths differ, there is no shape, a category is unknown, or [`shape_iou`] rejects a shape.
    """
    if not len(predictions) == len(labels) == len(categories) or len(labels) == 0:
        raise ValueError(
            "`predictions`, `labels` and `categories` must have one entry per shape, at least one, got "
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
    num_correct = sum(int((np.asarray(p) == np.asarray(t)).sum()) for p, t in zip(predictions, labels, strict=True))
    return SegmentationScores(
        instance_miou=float(ious.mean()),
        class_miou=float(np.mean(list(category_ious.values()))),
        category_ious=category_ious,
        point_accuracy=num_correct / sum(len(true) for true in labels),
    )
