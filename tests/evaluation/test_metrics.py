"""Tests of the accuracies."""

import numpy as np
import pytest

from jointmae_hf.evaluation import class_accuracies, mean_class_accuracy, overall_accuracy


@pytest.fixture
def predictions_and_labels() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = random.choice(5, 200, p=[0.5, 0.3, 0.1, 0.05, 0.05])
    return np.where(random.random(200) < 0.7, labels, random.integers(0, 5, 200)), labels


def test_overall_accuracy_equals_hand_count():
    assert overall_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])) == 0.75


def test_mean_class_accuracy_equals_hand_count():
    assert mean_class_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])) == 0.75
    assert mean_class_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])) == (1.0 + 0.5) / 2


def test_mean_class_accuracy_counts_every_class_the_same():
    labels = np.array([0] * 99 + [1])
    assert mean_class_accuracy(np.zeros(100, dtype=int), labels) == 0.5


def test_class_accuracies_leave_out_classes_without_samples():
    assert class_accuracies(np.array([2, 0]), np.array([0, 0])) == {0: 0.5}


def test_overall_accuracy_equals_scikit_learn(predictions_and_labels):
    metrics = pytest.importorskip("sklearn.metrics")
    predictions, labels = predictions_and_labels
    assert overall_accuracy(predictions, labels) == pytest.approx(metrics.accuracy_score(labels, predictions))


def test_mean_class_accuracy_equals_scikit_learn(predictions_and_labels):
    metrics = pytest.importorskip("sklearn.metrics")
    predictions, labels = predictions_and_labels
    expected = metrics.balanced_accuracy_score(labels, predictions)
    assert mean_class_accuracy(predictions, labels) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [overall_accuracy, mean_class_accuracy])
def test_accuracy_names_the_argument_when_shapes_differ(metric):
    with pytest.raises(ValueError, match="`predictions` must have the shape of `labels`"):
        metric(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize("metric", [overall_accuracy, mean_class_accuracy])
def test_accuracy_refuses_an_empty_split(metric):
    with pytest.raises(ValueError, match="at least one sample"):
        metric(np.zeros(0), np.zeros(0))
