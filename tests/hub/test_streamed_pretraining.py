"""`run_pretrain.py --dataset owner/name` streams a Parquet repository, in one process and in two."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file


RUN_PRETRAIN = Path(__file__).parents[2] / "examples" / "run_pretrain.py"
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_points": 128, "num_groups": [32, 16], "intermediate_size": 32}
FLAGS = {
    "dataset": "tester/clouds",
    "config_overrides": json.dumps(SMALL | {"image_size": 64}),
    "max_steps": 4,
    "save_strategy": "steps",
    "save_steps": 2,
    "save_total_limit": 2,
    "use_cpu": True,
    "report_to": "none",
    "num_probe_train": 0,
}

# One way of transfer is enough for scripts: the functions they call are tested with both.
ONLY_XET = pytest.mark.parametrize("with_xet", [True], indirect=True, ids=["xet"])

pytestmark = [pytest.mark.hub, ONLY_XET]


@pytest.fixture(scope="session")
def repository(hub, run_client, tmp_path_factory):
    """Files and row groups of the pushed dataset."""
    return run_client("push_clouds.py", tmp_path_factory.mktemp("clouds"), "tester/clouds")


@pytest.fixture(scope="module")
def pretrain(repository, client_environment, tmp_path_factory):
    """Pre-train in new processes with an empty cache, and return the folder of the run and that of the cache."""

    def run(count, **flags):
        home = tmp_path_factory.mktemp("home")
        words = FLAGS | {"output_dir": home / "run", "per_device_train_batch_size": 8 // count} | flags
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"] if count > 1 else []
        command = [sys.executable, *launch, str(RUN_PRETRAIN)]
        command += [str(word) for name, value in words.items() for word in (f"--{name}", value)]
        environment = client_environment(home) | {"OMP_NUM_THREADS": "1"}
        finished = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=500)
        assert finished.returncode == 0, finished.stderr[-4000:]
        return home / "run", home

    return run


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def finished(request, pretrain):
    return request.param, *pretrain(request.param)


def test_repository_has_several_files_and_many_row_groups(repository):
    assert repository["files"] > 2
    assert repository["row_groups"] >= 10


def test_nothing_is_downloaded_but_the_card(finished):
    _, _, home = finished
    large = [path for path in home.rglob("*") if path.suffix in (".parquet", ".arrow")]
    kept = {path.name for path in home.rglob("snapshots/*/*")}
    assert large == []
    assert kept == {"README.md"}


def test_results_and_card_name_the_dataset(finished):
    _, folder, _ = finished
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    (data,) = results["run"]["training_data"]
    assert (data["name"], data["license"], data["num_samples"]) == ("tester/clouds", "apache-2.0", 60)
    assert "tester/clouds" in (folder / "README.md").read_text(encoding="utf-8")


def test_resumed_run_is_the_uninterrupted_one(finished, pretrain):
    count, folder, _ = finished
    resumed, _ = pretrain(count, resume_from_checkpoint=folder / "checkpoint-2")
    first, second = load_file(folder / "model.safetensors"), load_file(resumed / "model.safetensors")
    assert all(first[name].equal(second[name]) for name in first)
