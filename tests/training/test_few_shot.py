"""Folds of few-shot classification: measured from clouds in memory, and resumed after an interruption."""

import pytest
import torch
from transformers import TrainingArguments

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEModel
from jointmae_hf.data import PointCloudTensors
from jointmae_hf.evaluation import draw_fold
from jointmae_hf.training import FINE_TUNING_RECIPES
from jointmae_hf.training.few_shot import MeasuredFolds, fine_tune_fold, probe_fold


RECIPE = FINE_TUNING_RECIPES["few_shot"]["quick"]


@pytest.fixture
def fold():
    """Two classes that a linear SVM separates: flat and elongated clouds."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(24) % 2
    stretch = torch.tensor([[1.0, 0.1, 1.0], [0.1, 1.0, 0.1]])[labels]
    points = torch.randn(24, 64, 3, generator=generator) * stretch[:, None]
    clouds = PointCloudTensors(points, labels)
    return draw_fold(clouds.select(range(12)), clouds.select(range(12, 24)), 2, 4, fold=0, num_test=3)


def test_fold_in_memory_is_fine_tuned(fold, build_tiny_config, tmp_path):
    options = {"per_device_train_batch_size": 4, "num_train_epochs": 1, "save_strategy": "no", "report_to": "none"}
    options |= {"remove_unused_columns": False, "label_names": ["labels"], "use_cpu": True, "disable_tqdm": True}
    model = JointMAEForPointCloudClassification(build_tiny_config(num_labels=2))
    accuracy = fine_tune_fold(model, TrainingArguments(str(tmp_path), **options), fold, RECIPE)
    assert round(6 * accuracy) == pytest.approx(6 * accuracy)


def test_fold_in_memory_is_probed(fold, tiny_config):
    encoder = JointMAEModel(tiny_config, add_2d_branch=False)
    assert probe_fold(encoder, fold, RECIPE, num_points=64, seed=0) == 1.0


def test_measured_folds_go_on_after_an_interruption(tmp_path):
    path = tmp_path / "run" / "folds.json"
    folds = MeasuredFolds(path, {"seed": 1})
    folds.add("5-way 10-shot", 0, 0.5, seconds=2.0)
    folds.add("5-way 10-shot", 1, 0.7, seconds=1.5)
    again = MeasuredFolds(path, {"seed": 1})
    assert (again.get("5-way 10-shot", 1), again.get("5-way 10-shot", 2)) == (0.7, None)
    assert again.seconds == 3.5
    mean, std = again.mean_and_std("5-way 10-shot")
    assert (mean, std) == (pytest.approx(60.0), pytest.approx(200**0.5))


def test_measured_folds_refuse_those_of_another_run(tmp_path):
    MeasuredFolds(tmp_path / "folds.json", {"seed": 1, "classifier": "linear_svm"}).add("a", 0, 0.5)
    with pytest.raises(ValueError, match="they differ in seed"):
        MeasuredFolds(tmp_path / "folds.json", {"seed": 2, "classifier": "linear_svm"})
