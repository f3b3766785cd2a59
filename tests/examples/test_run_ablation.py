"""The ablation script as users start it, on a tiny model."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModel, AutoProcessor

from jointmae_hf.data import generate_shape
from jointmae_hf.training.arguments import parse_pretraining_arguments


SCRIPT = Path(__file__).parents[2] / "examples" / "run_ablation.py"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_points": 256, "num_groups": [64, 16], "image_size": 64}
SHAPES = {"num_train": 200, "num_validation": 16, "num_test": 40, "num_points": 256}


def run(output_dir, *flags, check=True):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", str(SCRIPT)]
    command += ["--output_dir", str(output_dir), "--config_overrides", json.dumps(SMALL), "--max_steps", "2"]
    command += ["--dataset", "synthetic_shapes", "--dataset_options", json.dumps(SHAPES)]
    command += ["--per_device_train_batch_size", "4", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=900)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("ablation")
    return output_dir, run(output_dir, "--table", "2d", "--seeds", "0", "1")


@pytest.mark.slow
def test_script_writes_the_table_as_markdown_and_json(finished):
    output_dir, process = finished
    rendered = (output_dir / "table_2d.md").read_text(encoding="utf-8")
    results = json.loads((output_dir / "table_2d.json").read_text(encoding="utf-8"))["results"]
    assert rendered in process.stdout
    assert rendered.count("(in-domain)") == 1
    assert [result["num_runs"] for result in results if result["name"] == "linear_svm_gain"] == [2, 2]
    assert len([result for result in results if result["name"] == "linear_svm"]) == 6


@pytest.mark.slow
def test_script_leaves_a_checkpoint_and_a_card_for_every_row(finished):
    output_dir, _ = finished
    folders = list((output_dir / "rows").iterdir())
    assert len(folders) == 6
    for folder in folders:
        assert AutoModel.from_pretrained(folder).config.hidden_size == 32
        assert AutoProcessor.from_pretrained(folder).num_points == 256
        assert (folder / "README.md").is_file()


@pytest.mark.slow
def test_script_does_not_run_a_finished_row_again(finished):
    output_dir, _ = finished
    before = {path: path.stat().st_mtime_ns for path in output_dir.glob("rows/*/model.safetensors")}
    run(output_dir, "--table", "2d", "--seeds", "0", "1")
    assert before == {path: path.stat().st_mtime_ns for path in output_dir.glob("rows/*/model.safetensors")}


@pytest.fixture(scope="module")
def cloud_file(tmp_path_factory):
    """Clouds of four classes with their split."""
    shapes = [generate_shape(0, "train", 20 * (row // 4) + row % 4, num_points=64) for row in range(120)]
    path = tmp_path_factory.mktemp("clouds") / "my_clouds.npz"
    points, labels = (np.stack([getattr(shape, name) for shape in shapes]) for name in ("points", "label"))
    np.savez(path, points=points, labels=labels, split=np.arange(120) >= 96)
    return path


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Parse flags as the script does; return its names too."""

    def parse_flags(*flags):
        names = runpy.run_path(str(SCRIPT))
        command = ["run_ablation.py", "--use_cpu", "True", "--output_dir", str(tmp_path), *flags]
        monkeypatch.setattr("sys.argv", command)
        return names, *parse_pretraining_arguments(names["ScriptArguments"], "ablation")

    return parse_flags


@pytest.mark.parametrize(
    ("flags", "max_steps"),
    [
        ([], 160),
        (["--num_train_epochs", "2"], -1),
        (["--max_steps", "5"], 5),
        (["--recipe", "best"], -1),
        (["--num_samples", "1000"], 32),
        (["--num_samples", "1000", "--per_device_train_batch_size", "16"], 63),
        (["--num_samples", "1000", "--gradient_accumulation_steps", "2"], 16),
    ],
)
def test_budget_is_that_of_the_flags(parse, flags, max_steps):
    names, script, _, training, recipe = parse(*flags)
    names["set_budget"](script, training, recipe)
    assert training.max_steps == max_steps


def test_clouds_in_memory_are_named_divided_and_give_the_number_of_points(parse, cloud_file):
    names, *parsed = parse("--clouds", str(cloud_file), "--config_overrides", '{"num_views": 2}')
    study = names["build_study"](*parsed)
    sizes = {name: len(split) for name, split in study.splits.items()}
    assert sizes == {"train": 90, "validation": 6, "test": 24}
    assert (study.dataset_name, study.probe_name, study.probe_splits) == ("my_clouds", "my_clouds", study.splits)
    assert study.fields == {"num_points": 64, "num_views": 2}


WITHOUT_DATASETS = """
import runpy, sys
sys.modules["datasets"] = None  # as if it were not installed
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_script_runs_on_clouds_in_memory_without_datasets(cloud_file, tmp_path):
    fields = {**SMALL, "num_points": 64, "num_groups": [32, 16], "group_size": [4, 4], "target_group_size": 4}
    command = [sys.executable, "-c", WITHOUT_DATASETS, str(SCRIPT), "--output_dir", str(tmp_path), "--table", "2d"]
    command += ["--clouds", str(cloud_file), "--num_samples", "32", "--per_device_train_batch_size", "8"]
    command += ["--config_overrides", json.dumps(fields), "--use_cpu", "True"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert finished.returncode == 0, finished.stderr
    content = json.loads((tmp_path / "table_2d.json").read_text(encoding="utf-8"))
    labels = [result["protocol"] for result in content["results"] if result["name"] == "linear_svm"]
    assert labels == ["untrained", "3D only", "Joint-MAE"]
    assert content["run"]["recipe"]["max_steps"] == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--table", "9"], "--table must be one of 2d, 6, 7"),
        (["--seeds", "1", "1"], "--seeds must be different numbers"),
        (["--num_samples", "0"], "--num_samples must be positive and without --max_steps, got 0"),
        (["--num_samples", "8", "--max_steps", "2"], "--num_samples must be positive and without --max_steps, got 8"),
        (["--clouds", "a.npz", "--data_dir", "b"], "--clouds must be the only dataset"),
    ],
)
def test_script_refuses_wrong_flags(monkeypatch, capsys, flags, message):
    monkeypatch.setattr("sys.argv", ["run_ablation.py", *flags])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert message in capsys.readouterr().err
