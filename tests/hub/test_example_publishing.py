"""Tests of `--push_to_hub` of the example scripts, started from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from loopback_hub.cards import check_card


EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_points": 128, "num_groups": [32, 16], "intermediate_size": 32}
SHAPES = {"num_train": 60, "num_validation": 20, "num_test": 20, "num_points": 128}
FLAGS = ["--config_overrides", None, "--dataset", "synthetic_shapes", "--dataset_options", json.dumps(SHAPES)]
FLAGS += ["--max_steps", "2", "--use_cpu", "True"]
SCRIPTS = {
    "run_pretrain": ("JointMAEForPreTraining", ["--num_probe_train", "0"]),
    "run_classification": ("JointMAEForPointCloudClassification", ["--from_scratch", "True"]),
    "run_segmentation": ("JointMAEForPointCloudSegmentation", ["--from_scratch", "True"]),
    "run_ablation": ("JointMAEForPreTraining", ["--table", "2d", "--num_probe_train", "60", "--num_probe_test", "20"]),
}

# One way of transfer is enough for scripts: the functions they call are tested with both.
ONLY_XET = pytest.mark.parametrize("with_xet", [True], indirect=True, ids=["xet"])

pytestmark = [pytest.mark.hub, ONLY_XET]


@pytest.fixture(scope="session")
def start(client_environment, tmp_path_factory):
    """Run a script in a new process with `--push_to_hub`, and return the finished process."""

    def run(script, *flags):
        home = tmp_path_factory.mktemp("home")
        fields = SMALL | ({"image_size": 64} if script in ("run_pretrain", "run_ablation") else {})
        common = [json.dumps(fields) if flag is None else flag for flag in FLAGS]
        pushing = ["--output_dir", "run", "--push_to_hub", "True", "--hub_model_id", f"tester/{script}"]
        pushing += ["--hub_private_repo", "True"]
        command = [sys.executable, str(EXAMPLES / f"{script}.py"), *common, *flags, *pushing]
        return subprocess.run(
            command, env=client_environment(home), cwd=home, capture_output=True, text=True, timeout=500
        )

    return run


@pytest.fixture(scope="module", params=SCRIPTS)
def published(request, hub, start):
    """Return name, model class and published files of a script."""
    name, flags = SCRIPTS[request.param]
    finished = start(request.param, *flags)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return request.param, name, hub.files(f"tester/{request.param}")


def test_script_publishes_its_model_in_one_commit(hub, published):
    script, name, files = published
    titles = [commit["title"] for commit in hub.repositories["model", f"tester/{script}"].history()]
    assert titles == [f"Upload {name}", "initial commit"]
    assert json.loads(files["config.json"])["architectures"] == [name]


def test_script_publishes_to_a_private_repository_if_asked_to(hub, published):
    script, _, _ = published
    assert hub.repositories["model", f"tester/{script}"].private


def test_script_publishes_no_pickle_and_no_checkpoint(published):
    script, _, files = published
    endings = {Path(name).suffix for name in files if name != ".gitattributes"}
    figure = {".png"} if script == "run_pretrain" else set()
    assert endings == {".json", ".md", ".py", ".safetensors", *figure}
    assert not any("/" in name for name in files)


def test_card_of_the_script_is_valid_and_has_the_results_of_the_run(published):
    script, _, files = published
    card = files["README.md"].decode()
    assert check_card(card) == ([], [])
    assert f'from_pretrained("tester/{script}")' in card
    assert "synthetic_shapes" in card
    results = json.loads(files["results.json"])["results"]
    index = {metric.metric_type for metric in ModelCard(card).data.eval_results or []}
    assert bool(index) == any(result["unit"] == "%" for result in results)


def test_script_without_a_model_rejects_push_to_hub_before_any_work(hub, start):
    finished = start("run_few_shot")
    assert finished.returncode != 0
    assert "`push_to_hub` must be False, got True. This script writes results, no model" in finished.stderr
    assert ("model", "tester/run_few_shot") not in hub.repositories
