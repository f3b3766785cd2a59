"""Checkpoints in the folder of a run: the last whole one, replacement, rotation."""

import json
import logging
import os

import pytest

from jointmae_hf.training import CheckpointError, find_last_checkpoint, list_checkpoints, verify_checkpoint
from jointmae_hf.training.checkpoint_folders import publish_checkpoint, remove_old_checkpoints, unfinished_folder


def write_checkpoint(output_dir, step, text="weights"):
    """Publish a small checkpoint; return it."""
    folder = unfinished_folder(output_dir) / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "weights").write_text(text, encoding="utf-8")
    return publish_checkpoint(folder, output_dir)


def test_checkpoints_are_listed_by_step(tmp_path):
    for step in (100, 20, 3):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-3", "checkpoint-20", "checkpoint-100"]
    assert list_checkpoints(tmp_path / "missing") == []


def test_last_checkpoint_is_the_newest(tmp_path):
    assert find_last_checkpoint(tmp_path) is None
    for step in (9, 10):
        write_checkpoint(tmp_path, step)
    assert find_last_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_broken_checkpoint_is_passed_over_with_a_warning_that_says_why(tmp_path, caplog):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-3" / "weights").unlink()
    (tmp_path / "checkpoint-2" / "weights").write_text("short", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert find_last_checkpoint(tmp_path) == tmp_path / "checkpoint-1"
    messages = [record.getMessage() for record in caplog.records]
    assert "checkpoint-3 is broken: weights is missing." in messages[0]
    assert "checkpoint-2 is broken: weights has 5 bytes in place of 7." in messages[1]


def test_broken_checkpoints_alone_are_refused(tmp_path):
    (write_checkpoint(tmp_path, 1) / "weights").unlink()
    with pytest.raises(CheckpointError, match=r"got 1 broken ones.*weights is missing.*Remove them to start anew"):
        find_last_checkpoint(tmp_path)


def test_unfinished_checkpoint_is_none(tmp_path):
    (unfinished_folder(tmp_path) / "checkpoint-1").mkdir()
    assert find_last_checkpoint(tmp_path) is None


def test_what_a_killed_run_left_is_removed_before_the_next_save(tmp_path):
    (unfinished_folder(tmp_path) / "checkpoint-1").mkdir()
    assert list(unfinished_folder(tmp_path).iterdir()) == []


def test_checkpoint_of_the_same_step_is_replaced(tmp_path):
    write_checkpoint(tmp_path, 1, "first")
    write_checkpoint(tmp_path, 1, "second")
    verify_checkpoint(tmp_path / "checkpoint-1")
    assert (tmp_path / "checkpoint-1" / "weights").read_text() == "second"


@pytest.mark.parametrize(
    ("limit", "kept", "left"),
    [
        (None, {"checkpoint-3"}, [1, 2, 3]),
        (0, {"checkpoint-3"}, [1, 2, 3]),
        (2, {"checkpoint-3"}, [2, 3]),
        (2, {"checkpoint-3", "checkpoint-1"}, [1, 3]),
        (1, {"checkpoint-3", "checkpoint-1"}, [1, 3]),
    ],
)
def test_oldest_checkpoints_are_removed_but_those_to_keep(tmp_path, limit, kept, left):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step)
    remove_old_checkpoints(tmp_path, limit, kept)
    assert [path.name for path in list_checkpoints(tmp_path)] == [f"checkpoint-{step}" for step in left]
    assert not (tmp_path / "_unfinished").exists()


def test_age_decides_what_is_removed_not_the_step(tmp_path):
    for age, step in enumerate((20, 15)):  # resumed from an older checkpoint than the newest
        os.utime(write_checkpoint(tmp_path, step), ns=(age, age))
    write_checkpoint(tmp_path, 16)
    remove_old_checkpoints(tmp_path, 2, {"checkpoint-16"})
    assert [path.name for path in list_checkpoints(tmp_path)] == ["checkpoint-15", "checkpoint-16"]
