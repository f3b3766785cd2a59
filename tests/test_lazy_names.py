"""Public names of packages that are imported when they are first used."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
PACKAGES = ["jointmae_hf.data", "jointmae_hf.evaluation", "jointmae_hf.training"]
WITHOUT_DATASETS = """
import runpy, sys
sys.modules["datasets"] = None  # as if it were not installed
from jointmae_hf.data import Compose, PointCloudCollator, PointCloudDataset, RandomRotateY, generate_shape
from jointmae_hf.evaluation import FewShotFold, CheckpointProvenance, Result, linear_svm, probe_encoder
from jointmae_hf.training import ABLATIONS, AblationStudy, JointMAETrainer, SegmentationTrainer, build_trainer
from jointmae_hf.training.few_shot import fine_tune_fold
import benchmarks.__main__
runpy.run_path("examples/run_ablation.py", run_name="imported")
"""
TRAIN_WITHOUT_DATASETS = """
import sys
sys.modules["datasets"] = None
import torch
from transformers import TrainingArguments
from jointmae_hf import JointMAEConfig
from jointmae_hf.data import MixtureDataset, PointCloudTensors
from jointmae_hf.training import RECIPES, build_trainer, training_defaults
config = JointMAEConfig(
    hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, num_points=64, num_groups=[32, 16],
    group_size=[4, 4], target_group_size=4, embedding_sizes_3d=[8, 16], use_2d_branch=False,
)
clouds = PointCloudTensors(torch.rand(8, 64, 3))
arguments = training_defaults(RECIPES["best"]) | {"max_steps": 1, "per_device_train_batch_size": 4}
training = TrainingArguments(**arguments, output_dir=sys.argv[1], use_cpu=True, save_strategy="no", report_to="none")
trainer = build_trainer(config, RECIPES["best"], training, {"train": MixtureDataset([clouds], [1.0]), "validation": clouds})
trainer.train()
assert trainer.evaluate()["eval_loss"] > 0
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_can_be_imported(package):
    module = importlib.import_module(package)
    assert set(module.__all__) == set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'absent'"):
        _ = importlib.import_module(package).absent


def test_training_on_arrays_can_be_imported_without_datasets():
    command = [sys.executable, "-c", WITHOUT_DATASETS]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr


def test_clouds_in_memory_are_trained_on_without_datasets(tmp_path):
    command = [sys.executable, "-c", TRAIN_WITHOUT_DATASETS, str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
