"""Accuracies of a classifier, as plain functions of class indices."""

import numpy as np


def overall_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of samples whose class is predicted right.

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
        `dict[int, float]`: Class index to the share of its samples that are predicted right, in ascending order.

    Raises:
        ValueError: If the shapes differ, are not one-dimensional or hold no sample.

    Example:
        >>> class_accuracies(np.array([0, 1, 1, 0]), np.array([0, 1, 1, 1]))[0]
        1.0
    """
    predictions, labels = _validate_classes(predictions, labels)
    return {int(label): float((predictions[labels == label] == label).mean()) for label in np.unique(labels)}


def mean_class_accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean of the accuracies of the classes that occur in `labels`, each counting the same.

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
    """Return both accuracies by the names of our results.

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
    """Return both as arrays of the same shape `(num_samples,)`."""
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(f"`labels` must have shape (num_samples,) with at least one sample, got {labels.shape}.")
    if predictions.shape != labels.shape:
        raise ValueError(f"`predictions` must have the shape of `labels`, got {predictions.shape} and {labels.shape}.")
    return predictions, labels
