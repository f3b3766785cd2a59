"""The linear probe as users start it, on a tiny checkpoint and a few embedded shapes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.evaluation import C_GRID, read_results, write_results
from jointmae_hf.evaluation.results import Result


SCRIPT = Path(__file__).parents[2] / "examples" / "run_linear_probe.py"
SHAPES = json.dumps({"num_train": 60, "num_validation": 20, "num_test": 40, "num_points": 128})
DATASET = ["--dataset", "synthetic_shapes", "--dataset_options", SHAPES]


def run(output_dir, *flags, launch=(sys.executable,)):
    command = [*launch, str(SCRIPT), "--output_dir", str(output_dir), "--num_points", "64", *flags]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, cwd=output_dir.parent)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, build_tiny_config):
    """A checkpoint that has seen the train split of the embedded shapes, and what the script says of it."""
    root = tmp_path_factory.mktemp("probe")
    JointMAEForPreTraining(build_tiny_config()).save_pretrained(root / "tiny")
    loss = Result("loss", 0.1, "squared units", "validation", "last step", 0, 60, 20, "synthetic_shapes")
    write_results(root / "tiny" / "results.json", [loss], {"training_data": [{"name": "synthetic_shapes"}]})
    process = run(root / "out", "--model", str(root / "tiny"), *DATASET, "--seed", "1")
    return root, process


def test_probe_measures_both_protocols_with_and_without_pre_training(finished):
    results, run_facts = read_results(finished[0] / "out" / "results.json")
    rows = {(result.pre_training, result.protocol.split(":")[0]) for result in results if result.name == "linear_svm"}
    trained = "Joint-MAE on synthetic_shapes (in-domain)"
    assert rows == {
        (weights, protocol) for weights in ("from scratch", trained) for protocol in ("standard", "cross-validated")
    }
    assert all((result.split, result.num_train, result.num_test) == ("test", 60, 40) for result in results)
    assert run_facts["arguments"]["model"] == ["tiny"]


def test_probe_chooses_c_on_train_alone(finished):
    results, _ = read_results(finished[0] / "out" / "results.json")
    rules = {result.protocol.split(":")[0]: result.selection_rule for result in results}
    assert "cross-validation on the train split" in rules["cross-validated"]
    assert rules["standard"] == "checkpoint's last step; fixed in advance"


def test_probe_records_the_chosen_c_and_its_accuracy_on_train(finished):
    choices = read_results(finished[0] / "out" / "results.json")[1]["cross_validation"]
    assert [choice["pre_training"] for choice in choices] == [
        "from scratch",
        "Joint-MAE on synthetic_shapes (in-domain)",
    ]
    assert all(choice["C"] in C_GRID and 0 < choice["cross_validation_accuracy"] <= 100 for choice in choices)


def test_probe_prints_its_table(finished):
    assert "| Joint-MAE on synthetic_shapes (in-domain) | synthetic_shapes | linear_svm" in finished[1].stdout


def test_probe_writes_no_path_of_the_machine(finished):
    assert str(finished[0]) not in (finished[0] / "out" / "results.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_probe_by_two_processes_equals_one(finished):
    root, _ = finished
    launch = (sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2")
    flags = ["--model", str(root / "tiny"), *DATASET, "--seed", "1"]
    run(root / "two", *flags, launch=launch)
    assert read_results(root / "two" / "results.json")[0] == read_results(root / "out" / "results.json")[0]
