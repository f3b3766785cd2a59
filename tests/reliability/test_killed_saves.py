"""Kill -9 at random moments of saving: the next start goes on from the newest complete step, by itself."""

import os
import random
import signal
import time

import pytest
from dying_runs import train_and_tell
from tiny_runs import PROCESSES, assert_same, start, state_of, steps_of, train

from jointmae_hf.training import find_last_checkpoint, verify_manifest


def kill_in_a_save(output_dir, share, max_steps=100):
    """Train from the last checkpoint; kill within the second save, after a share of the time that the first took.

    Returns the step that was being saved.
    """
    receiver, sender = PROCESSES.Pipe(duplex=False)
    child = start(train_and_tell, output_dir, max_steps, sender)
    assert receiver.recv()[0] == "begin"
    began = time.monotonic()
    assert receiver.recv()[0] == "end"
    duration = time.monotonic() - began
    _, step = receiver.recv()
    time.sleep(share * duration)
    os.kill(child.pid, signal.SIGKILL)
    child.join(30)
    assert child.exitcode == -signal.SIGKILL
    return step


@pytest.mark.parametrize("count", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_save_loses_no_complete_step(tmp_path, record_property, count):
    shares, output_dir = random.Random(0), tmp_path / "run"
    outcomes = []
    for _ in range(count):
        step = kill_in_a_save(output_dir, shares.uniform(0.0, 1.2))
        newest = find_last_checkpoint(output_dir)
        assert newest.name in (f"checkpoint-{step - 1}", f"checkpoint-{step}", f"checkpoint-{step + 1}")
        for path in set(output_dir.glob("checkpoint-*")) - {output_dir / f"checkpoint-{step}"}:
            if (path / "manifest.json").exists():  # else it was being removed
                verify_manifest(path)
        assert len(steps_of(output_dir)) <= 3
        outcomes.append(int(newest.name.rpartition("-")[2]) - step)
    last = steps_of(output_dir)[-1]
    resumed = train(output_dir, resume=True, max_steps=last + 1)
    assert resumed.state.global_step == last + 1
    record_property("saves that were lost", outcomes.count(-1))


def test_killed_run_ends_with_the_bits_of_the_uninterrupted_one(tmp_path):
    output_dir = tmp_path / "run"
    kill_in_a_save(output_dir, 0.5, max_steps=12)
    arguments = {"max_steps": 12, "save_total_limit": 2, "save_steps": 12}
    resumed = train(output_dir, resume=True, **arguments)
    straight = train(tmp_path / "straight", **arguments)
    assert_same(*(state_of(f"{trainer.args.output_dir}/checkpoint-12") for trainer in (straight, resumed)))
