"""Metrics, compared with hand-computed cases and scikit-learn."""

import numpy as np
import pytest

from jointmae_hf.evaluation import (
    class_accuracies,
    mean_class_accuracy,
    overall_accuracy,
    segmentation_scores,
    shape_iou,
)


PARTS = [[0, 1], [2, 3, 4]]


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


def test_shape_iou_of_a_case_computed_by_hand():
    # Part 4: 1 of 2; part 5: 2 of 3; part 6 is absent in both.
    assert shape_iou(np.array([4, 4, 5, 5]), np.array([4, 5, 5, 5]), [4, 5, 6]) == pytest.approx(
        (1 / 2 + 2 / 3 + 1) / 3
    )


def test_part_absent_in_both_counts_as_one():
    assert shape_iou(np.array([0, 0]), np.array([0, 0]), [0, 1]) == 1.0


def test_part_absent_in_the_shape_alone_counts_as_zero():
    assert shape_iou(np.array([0, 1]), np.array([0, 0]), [0, 1]) == pytest.approx((1 / 2 + 0) / 2)


def test_prediction_outside_the_category_is_an_error_of_the_true_part():
    assert shape_iou(np.array([7, 0]), np.array([0, 0]), [0]) == 0.5


def test_shape_iou_agrees_with_scikit_learn_where_all_parts_occur():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    predictions, labels = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    expected = metrics.jaccard_score(labels, predictions, average="macro")
    assert shape_iou(predictions, labels, [0, 1, 2, 3]) == pytest.approx(expected)


def test_class_miou_weighs_categories_and_instance_miou_shapes():
    # Two shapes of category 0 with IoU 1, one of category 1 with (1/2 + 0 + 1) / 3 = 1/2.
    labels = [[0, 1], [0, 1], [2, 2]]
    predictions = [[0, 1], [0, 1], [2, 3]]
    scores = segmentation_scores(predictions, labels, [0, 0, 1], PARTS)
    assert scores.instance_miou == pytest.approx((1 + 1 + 0.5) / 3)
    assert scores.class_miou == pytest.approx((1 + 0.5) / 2)
    assert scores.category_ious == pytest.approx({0: 1.0, 1: 0.5})
    assert scores.point_accuracy == pytest.approx(5 / 6)


def test_category_that_does_not_occur_is_left_out():
    scores = segmentation_scores([[2, 2]], [[2, 2]], [1], PARTS)
    assert list(scores.category_ious) == [1]
    assert scores.class_miou == 1.0


def test_scores_accept_shapes_of_different_sizes():
    scores = segmentation_scores(
        [np.array([0]), np.array([2, 3, 4])], [np.array([0]), np.array([2, 3, 4])], [0, 1], PARTS
    )
    assert scores.instance_miou == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 1]], [[0, 1]], [2]), r"`categories` must be within \[0, 2\), got 2 to 2"),
        (([[0, 1]], [[0, 1]], []), "must have one entry per shape, at least one, got 1, 1 and 0"),
        (([], [], []), "at least one, got 0, 0 and 0"),
        (([[0]], [[0, 1]], [0]), r"must have one shape \(num_points,\), got \(1,\), \(2,\)"),
        (([[2, 2]], [[0, 2]], [0]), r"`labels` must hold parts of the category, \[0, 1\], got \[2\]"),
    ],
)
def test_scores_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        segmentation_scores(*arguments, PARTS)
