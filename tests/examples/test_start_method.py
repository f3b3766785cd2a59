"""The scripts with data workers that are not forked, as Python 3.14 starts them on Linux."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jointmae_hf.data import generate_shape


EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_points": 64, "num_groups": [16, 8], "intermediate_size": 32}
FLAGS = ["--max_steps", "2", "--per_device_train_batch_size", "4", "--use_cpu", "True", "--report_to", "none"]


@pytest.fixture
def cloud_folder(tmp_path):
    """A tree of clouds with two classes."""
    for index in range(60):
        folder = tmp_path / "my_clouds" / ("train" if index < 40 else "test") / ("mug" if index % 2 else "chair")
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f"{index}.npy", generate_shape(0, "train", index % 2 + 20 * index, num_points=80).points)
    return tmp_path / "my_clouds"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("run_pretrain.py", ["--num_probe_train", "0"]),
        ("run_classification.py", ["--from_scratch", "True"]),
    ],
)
def test_script_runs_with_workers_of_a_forkserver(tmp_path, cloud_folder, script, flags):
    start_method = 'import multiprocessing\nmultiprocessing.set_start_method("forkserver", force=True)\n'
    (tmp_path / "sitecustomize.py").write_text(start_method)
    command = [sys.executable, str(EXAMPLES / script), "--output_dir", str(tmp_path / "run"), *FLAGS, *flags]
    command += ["--data_dir", str(cloud_folder), "--dataloader_num_workers", "2"]
    command += ["--config_overrides", json.dumps(SMALL)]
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "run" / "results.json").is_file()
