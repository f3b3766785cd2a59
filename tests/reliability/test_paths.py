"""Paths as users have them: spaces, unicode, long names, folders that cannot be written."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModel

from jointmae_hf.data import load_point_clouds


RUN_PRETRAIN = Path(__file__).parents[2] / "examples" / "run_pretrain.py"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_points": 64, "num_groups": [32, 16], "image_size": 32}
SHAPES = {"num_train": 4, "num_validation": 1, "num_test": 1, "num_points": 16}
NAMES = {
    "spaces and quotes": "my  'best' clouds, 100 % [new] {x} #1",
    "unicode": "nuages de points äöü 点云 облака ☃",
    "long": "a" * 220 + "/" + "b" * 220,
}


def write_clouds(folder):
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for number in range(count):
            path = folder / split / ("Tür 1" if number % 2 else "стол") / f"cloud {number} ☃.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, rng.normal(size=(80, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_dataset_takes_any_name_for_its_folders(name, tmp_path):
    root = tmp_path / NAMES[name]
    write_clouds(root / "data")
    splits = load_point_clouds("folder", root / "data", cache_dir=root / "cache")
    assert splits["train"].features["label"].names == ["Tür 1", "стол"]
    assert "train/стол/cloud 0 ☃.npy" in splits["train"]["id"]
    assert (len(splits["train"]), len(splits["test"])) == (12, 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_run_takes_any_name_for_its_folders(name, tmp_path):
    root = tmp_path / NAMES[name]
    write_clouds(root / "data")
    flags = ["--data_dir", root / "data", "--output_dir", root / "run", "--config_overrides", json.dumps(SMALL)]
    flags += [
        "--max_steps",
        "2",
        "--per_device_train_batch_size",
        "4",
        "--save_steps",
        "1",
        "--save_strategy",
        "steps",
    ]
    flags += ["--eval_strategy", "no", "--use_cpu", "True", "--num_probe_train", "8", "--report_to", "none"]
    command = [sys.executable, str(RUN_PRETRAIN), *map(str, flags)]
    environment = os.environ | {"HF_DATASETS_CACHE": str(root / "cache")}
    for more in ([], ["--resume_from_checkpoint", "True", "--max_steps", "3"]):
        finished = subprocess.run([*command, *more], capture_output=True, text=True, timeout=300, env=environment)
        assert finished.returncode == 0, finished.stderr
    assert AutoModel.from_pretrained(root / "run").config.num_points == 64
    assert {"README.md", "results.json", "reconstruction.png"} <= {path.name for path in (root / "run").iterdir()}
    assert json.loads((root / "run" / "checkpoint-3" / "trainer_state.json").read_text())["global_step"] == 3
    assert list((root / "cache").rglob("*.arrow"))


@pytest.mark.parametrize("depth", [0, 1])
def test_cache_that_is_a_file_is_named(depth, tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = Path(tmp_path / "file", *["below"] * depth)
    with pytest.raises(ValueError, match="`cache_dir` must be a folder that can be written, got") as caught:
        load_point_clouds("synthetic_shapes", cache_dir=cache, **SHAPES)
    assert f"{cache} (" in str(caught.value)
    assert "set HF_DATASETS_CACHE" in str(caught.value)


@pytest.fixture
def read_only():
    """Command that runs another while a folder is mounted read-only, which root obeys too."""
    can_mount = (
        shutil.which("unshare") and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    )
    if not can_mount:
        pytest.skip("needs the right to mount")
    mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
    return lambda folder, *command: ["unshare", "-m", "sh", "-c", mount, str(folder), *command]


LOAD = "import sys; from jointmae_hf.data import load_point_clouds; load_point_clouds('synthetic_shapes', num_train=4)"


@pytest.mark.parametrize("is_built", [False, True])
def test_read_only_cache_is_named(read_only, is_built, tmp_path):
    if is_built:
        load_point_clouds("synthetic_shapes", cache_dir=tmp_path, num_train=4, num_validation=1, num_test=1)
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path)}
    command = read_only(tmp_path, sys.executable, "-c", LOAD)
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert finished.returncode == 1
    assert (
        f"`cache_dir` must be a folder that can be written, got {tmp_path} (Read-only file system)" in finished.stderr
    )


def test_output_folder_that_cannot_be_written_is_named_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    command = [sys.executable, str(RUN_PRETRAIN), "--output_dir", str(tmp_path / "file"), "--use_cpu", "True"]
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache")}
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert finished.returncode == 1
    assert f"`output_dir` must be a folder that can be written, got {tmp_path / 'file'} (" in finished.stderr
    assert not (tmp_path / "cache").exists()
