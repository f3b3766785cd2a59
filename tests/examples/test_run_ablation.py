"""The ablation script as users start it, on a tiny model."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModel, AutoProcessor


SCRIPT = Path(__file__).parents[2] / "examples" / "run_ablation.py"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_points": 256, "num_groups": [64, 16], "image_size": 64}
SHAPES = {"num_train": 200, "num_validation": 16, "num_test": 40, "num_points": 256}


def run(output_dir, *flags, check=True):
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", str(SCRIPT)]
    command += ["--output_dir", str(output_dir), "--config_overrides", json.dumps(SMALL), "--max_steps", "2"]
    command += ["--dataset_options", json.dumps(SHAPES), "--per_device_train_batch_size", "4", *flags]
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


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--table", "9"], "--table must be one of 2d, 6, 7"),
        (["--seeds", "1", "1"], "--seeds must be different numbers"),
    ],
)
def test_script_refuses_wrong_flags(monkeypatch, capsys, flags, message):
    monkeypatch.setattr("sys.argv", ["run_ablation.py", *flags])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert message in capsys.readouterr().err
