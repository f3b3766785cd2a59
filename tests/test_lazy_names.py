"""Public names of packages that are imported when they are first used."""

import importlib
import subprocess
import sys

import pytest


PACKAGES = ["jointmae_hf.data", "jointmae_hf.evaluation", "jointmae_hf.training"]
WITHOUT_DATASETS = """
import sys
sys.modules["datasets"] = None  # as if it were not installed
from jointmae_hf.data import Compose, PointCloudCollator, PointCloudDataset, RandomRotateY, generate_shape
from jointmae_hf.evaluation import FewShotFold, CheckpointProvenance, Result, linear_svm, probe_encoder
from jointmae_hf.training import ABLATIONS, AblationStudy, JointMAETrainer, SegmentationTrainer, build_trainer
from jointmae_hf.training.few_shot import fine_tune_fold
import benchmarks.__main__
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
    finished = subprocess.run([sys.executable, "-c", WITHOUT_DATASETS], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
