"""SIGTERM and SIGINT: the step under way is saved, the exit code is known, and the resumed run is the uninterrupted one."""

import os
import signal
import time

import pytest
from interrupted_runs import train_slowly, train_until_signal
from tiny_runs import PROCESSES, STEPS_IN_EPOCH, assert_same, log_of, start, state_of, steps_of, train


RUN = {"max_steps": 8, "eval_strategy": "epoch", "save_steps": 100}
MOMENTS = {
    "first step": ("training_step", 1, 1),
    "mid-epoch": ("training_step", 3, 3),
    "last step of an epoch": ("training_step", STEPS_IN_EPOCH, STEPS_IN_EPOCH),
    "evaluation": ("prediction_step", 1, STEPS_IN_EPOCH),
    "after an evaluation": ("evaluate", 1, STEPS_IN_EPOCH),
}
WITHOUT_EVALUATION = {"last step of an epoch", "evaluation"}
"""Moments whose evaluation is left out; it is not repeated after the resume."""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return train(tmp_path_factory.mktemp("straight") / "run", **RUN)


def stop(output_dir, number, method, count, is_group=False, **arguments):
    """Train in a child until a signal; return its exit code and the seconds it took to leave."""
    child = start(train_until_signal, output_dir, number, method, count, is_group, RUN | arguments)
    child.join(120)
    return child.exitcode, time.time() - float((output_dir.parent / "sent").read_text())


@pytest.mark.parametrize("moment", MOMENTS)
def test_stopped_run_goes_on_as_if_it_had_not(uninterrupted, tmp_path, moment):
    method, count, step = MOMENTS[moment]
    assert stop(tmp_path / "run", signal.SIGTERM, method, count)[0] == 143
    assert steps_of(tmp_path / "run") == [step]
    resumed = train(tmp_path / "run", resume=True, **RUN)
    expected = log_of(uninterrupted)
    if moment in WITHOUT_EVALUATION:
        expected = [entry for entry in expected if entry["step"] != step or "eval_loss" not in entry]
        assert len(expected) == len(log_of(uninterrupted)) - 1
    assert log_of(resumed) == expected
    assert_same(*(state_of(f"{trainer.args.output_dir}/checkpoint-8") for trainer in (uninterrupted, resumed)))


def test_interrupt_saves_and_exits_with_its_own_code_within_ten_seconds(tmp_path):
    code, seconds = stop(tmp_path / "run", signal.SIGINT, "training_step", 2)
    assert (code, steps_of(tmp_path / "run")) == (130, [2])
    assert seconds < 10


def test_signal_to_workers_too_does_not_take_the_step_away(tmp_path):
    code, seconds = stop(tmp_path / "run", signal.SIGTERM, "training_step", 2, True, dataloader_num_workers=2)
    assert (code, steps_of(tmp_path / "run")) == (143, [2])
    assert seconds < 10


def test_nothing_is_saved_where_no_saving_is_asked_for(tmp_path):
    code, _ = stop(tmp_path / "run", signal.SIGTERM, "training_step", 2, save_strategy="no")
    assert (code, steps_of(tmp_path / "run")) == (143, [])


def test_later_signal_ends_at_once_and_a_prompt_one_does_not(tmp_path):
    receiver, sender = PROCESSES.Pipe(duplex=False)
    child = start(train_slowly, tmp_path / "run", sender)
    assert receiver.recv() == "in the step"
    os.kill(child.pid, signal.SIGINT)
    os.kill(child.pid, signal.SIGTERM)  # as a launcher passes it on
    time.sleep(2.5)
    assert child.is_alive()
    os.kill(child.pid, signal.SIGINT)
    child.join(5)
    assert child.exitcode == 130
