"""Modules of `evaluate`, built without a network."""

import numpy as np
import pytest

from jointmae_hf.evaluation import PartIoU, PointCloudAccuracy, segmentation_scores


PARTS = [[0, 1], [2, 3]]


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection was opened"))


def test_accuracy_agrees_with_scikit_learn(tmp_path):
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    predictions, references = rng.integers(0, 5, 100), rng.integers(0, 5, 100)
    measured = PointCloudAccuracy(cache_dir=str(tmp_path)).compute(predictions=predictions, references=references)
    assert measured["overall_accuracy"] == pytest.approx(metrics.accuracy_score(references, predictions))
    assert measured["class_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(references, predictions))


def test_part_iou_over_batches_is_that_of_the_whole(tmp_path):
    predictions, references, category = [[0, 1, 1], [2, 3], [2, 2]], [[0, 0, 1], [2, 3], [3, 2]], [0, 1, 1]
    metric = PartIoU(PARTS, cache_dir=str(tmp_path))
    metric.add_batch(predictions=predictions[:2], references=references[:2], category=category[:2])
    metric.add(prediction=predictions[2], reference=references[2], category=category[2])
    measured = metric.compute()
    expected = segmentation_scores(predictions, references, category, PARTS)
    assert measured["instance_miou"] == pytest.approx(expected.instance_miou)
    assert measured["class_miou"] == pytest.approx(expected.class_miou)
