"""Two processes are one run, as many run as were asked for, and none is left when one of them is killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from jointmae_hf.training import verify_manifest


RUN_PRETRAIN = Path(__file__).parents[2] / "examples" / "run_pretrain.py"


def largest_difference(first, second):
    assert first.keys() == second.keys()
    return max((first[name].double() - second[name].double()).abs().max().item() for name in first)


def test_two_processes_equal_one_unless_batch_norm_takes_statistics(training):
    """Measured: gradients within 1e-16 of each other in eval; in train 3e-3, and weights 4e-3 after five steps."""
    together = training.together(2, "eval", "train")
    alone = training.alone("eval")
    assert together["world_size"] == 2
    assert len(alone["gradients"]) == len(together["eval"]["gradients"]) == 5
    for one, two in zip(alone["gradients"], together["eval"]["gradients"], strict=True):
        assert largest_difference(one, two) < 1e-12
        assert max(gradient.abs().max() for gradient in one.values()) > 0.1
    assert largest_difference(alone["weights"], together["eval"]["weights"]) < 1e-12
    assert alone["losses"] == pytest.approx(together["eval"]["losses"], rel=1e-6)
    per_process = largest_difference(training.alone("train")["weights"], together["train"]["weights"])
    assert 1e-4 < per_process < 0.1
    assert together["eval"]["drawn"].keys() == alone["drawn"].keys()
    for sample, drawn in alone["drawn"].items():
        assert largest_difference(drawn, together["eval"]["drawn"][sample]) == 0.0


def test_workers_change_nothing_that_is_drawn(training):
    without, with_workers = training.alone(max_steps=4), training.alone(max_steps=4, dataloader_num_workers=2)
    assert {name for drawn in without["drawn"].values() for name in drawn} == {
        "points",
        "noise_3d",
        "noise_2d",
        "view",
    }
    assert without["drawn"].keys() == with_workers["drawn"].keys()
    for sample, drawn in without["drawn"].items():
        assert largest_difference(drawn, with_workers["drawn"][sample]) == 0.0
    assert largest_difference(without["weights"], with_workers["weights"]) == 0.0


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        (
            ["accelerate.commands.launch", "--cpu", "--num_processes", "2"],
            "must be the requested one, got 1 instead of several. `accelerate launch` starts several processes only if",
        ),
        (
            ["torch.distributed.run", "--standalone", "--nproc_per_node=2"],
            "must be the requested one, got 1 instead of 2. Without a GPU, processes work together only with the flag",
        ),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="launchers start several processes where there are GPUs")
def test_script_refuses_fewer_processes_than_were_asked_for(launcher, message, tmp_path):
    command = [sys.executable, "-m", *launcher, str(RUN_PRETRAIN), "--output_dir", str(tmp_path / "run")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode != 0
    assert message in finished.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


def wait_for(condition, seconds):
    """Wait until a condition holds, and say how long that took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"waited {seconds} s in vain"
        time.sleep(0.1)
    return time.monotonic() - start


@pytest.mark.slow
def test_killed_rank_ends_the_job_which_resumes_on_one_process_or_two(training, tmp_path):
    folder = tmp_path / "together"
    endless = {"max_steps": 10**6, "save_strategy": "steps", "save_steps": 2}
    with subprocess.Popen(training.command(2, **endless), stderr=subprocess.PIPE) as launcher:
        wait_for((folder / "checkpoint-4" / "trainer_state.json").exists, 120)
        ranks = psutil.Process(launcher.pid).children()
        family = [*ranks, *(child for rank in ranks for child in rank.children(recursive=True))]
        assert len(ranks) == 2
        ranks[1].kill()
        seconds = wait_for(lambda: launcher.poll() is not None, 60)
        assert seconds < 60
        assert launcher.returncode != 0
        launcher.stderr.close()
    assert not [process for process in family if process.is_running()]

    going_on = {"max_steps": 7, "resume_from_checkpoint": folder / "checkpoint-2"}
    expected = training.alone(max_steps=7)["weights"]
    for count in (1, 2):
        resumed = training.together(count, **going_on)["eval"]
        assert largest_difference(expected, resumed["weights"]) < 1e-12


@pytest.mark.slow
def test_signal_to_the_launcher_saves_the_step_under_way(torchrun, tmp_path):
    flags = {"use_cpu": True, "output_dir": tmp_path / "run", "logging_steps": 1, "report_to": "none"}
    with (tmp_path / "log").open("w+", encoding="utf-8") as log:
        launcher = subprocess.Popen(torchrun(2, RUN_PRETRAIN, flags), stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: "'loss'" in (tmp_path / "log").read_text(encoding="utf-8"), 120)
        launcher.send_signal(signal.SIGTERM)
        seconds = wait_for(lambda: launcher.poll() is not None, 60)
    assert seconds < 10
    assert launcher.returncode == 1
    (checkpoint,) = (tmp_path / "run").glob("checkpoint-*")
    verify_manifest(checkpoint)
