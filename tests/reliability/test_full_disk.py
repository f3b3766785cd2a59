"""A full disk: the error names the file, older checkpoints are intact, resume works."""

import pytest
from dying_runs import train_on_a_full_disk
from tiny_runs import PROCESSES, assert_same, start, state_of, steps_of, train

from jointmae_hf.training import verify_manifest


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return train(tmp_path_factory.mktemp("straight") / "run", max_steps=4)


LIMITS = {"config.json": 1_000, "model.safetensors": 50_000, "optimizer.pt": 100_000}
"""Bytes that no file may exceed, so that this one is the first that cannot be written."""


def fill_disk(output_dir, limit, method, **arguments):
    """Train in a child whose files cannot grow from step 3 on; return kind and text of its error."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    child = start(train_on_a_full_disk, output_dir, limit, method, arguments, sender)
    sender.close()  # so that a child which ends without a word is noticed
    kind, message = receiver.recv()
    child.join(60)
    assert child.exitcode == 1
    assert steps_of(output_dir) == [1, 2]
    verify_manifest(output_dir / "checkpoint-2")
    return kind, message


def assert_resumes(output_dir, straight):
    """Go on with room on the disk, to the bits of the run that had it all the time."""
    train(output_dir, resume=True, max_steps=4)
    assert_same(state_of(output_dir / "checkpoint-4"), state_of(f"{straight.args.output_dir}/checkpoint-4"))


@pytest.mark.parametrize("name", LIMITS)
def test_full_disk_names_the_file_and_harms_no_older_checkpoint(tmp_path, straight, name):
    kind, message = fill_disk(tmp_path / "run", LIMITS[name], "_save_checkpoint")
    assert kind == "CheckpointError"
    assert f"checkpoint-3 could not be saved: {name} could not be written" in message
    assert_resumes(tmp_path / "run", straight)


def test_full_disk_names_the_log_that_cannot_be_written(tmp_path, straight, monkeypatch):
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "events"))
    kind, message = fill_disk(tmp_path / "run", 100, "log", report_to=["tensorboard"])
    assert kind == "OSError"
    assert "step 3 could not be logged" in message
    assert str(tmp_path) in message
    assert_resumes(tmp_path / "run", straight)
