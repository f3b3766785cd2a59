"""The example that exports a checkpoint."""

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from jointmae_hf import JointMAEForPointCloudClassification


EXAMPLE = Path(__file__).parents[2] / "examples" / "export_onnx.py"


@pytest.mark.slow
def test_example_exports_compares_and_times(tiny_config, tmp_path):
    JointMAEForPointCloudClassification(tiny_config).save_pretrained(tmp_path / "model")
    arguments = ["--model", tmp_path / "model", "--output", tmp_path / "model.onnx", "--num_repeats", "2"]
    command = [sys.executable, str(EXAMPLE), *map(str, arguments), "--task", "point-cloud-classification"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "outputs logits" in result.stdout
    assert "largest difference" in result.stdout
    assert onnxruntime.InferenceSession(tmp_path / "model.onnx").get_outputs()[0].name == "logits"
