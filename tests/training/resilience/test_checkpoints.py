"""Manifests: what they hold, every change of any file is noticed; the last valid checkpoint of a run, and rotation."""

import json
import logging
import os
import shutil
from pathlib import Path

import pytest

from jointmae_hf.training import (
    CheckpointError,
    find_last_checkpoint,
    list_checkpoints,
    verify_manifest,
    write_manifest,
)
from jointmae_hf.training.resilience.checkpoints import (
    check_checkpoint_config,
    remove_checkpoint,
    rotate_checkpoints,
)


FILES = ["config.json", "manifest.json", "model.safetensors", "optimizer.pt", "position.pt", "rng_state.pth"]
FILES += ["scheduler.pt", "trainer_state.json", "training_args.bin"]


@pytest.fixture
def checkpoint(saved_checkpoint, tmp_path):
    return Path(shutil.copytree(saved_checkpoint, tmp_path / "checkpoint-1"))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_files_of_these_tests_are_those_of_a_checkpoint(checkpoint):
    assert sorted(path.name for path in checkpoint.iterdir()) == FILES


def test_manifest_tells_step_configuration_versions_and_every_file(checkpoint):
    manifest = verify_manifest(checkpoint)
    assert manifest["step"] == 1
    assert {"torch", "transformers", "jointmae_hf", "python"} <= set(manifest["versions"])
    assert len(manifest["config"]) == 64
    assert sorted(manifest["files"]) == [name for name in FILES if name != "manifest.json"]
    weights = manifest["files"]["model.safetensors"]
    assert weights["size"] == (checkpoint / "model.safetensors").stat().st_size


@pytest.mark.parametrize("damage", [flip_a_bit, cut, lambda path: path.unlink()], ids=["flipped", "cut", "missing"])
def test_every_damaged_file_is_named(checkpoint, damage):
    for name in FILES:
        original = (checkpoint / name).read_bytes()
        damage(checkpoint / name)
        with pytest.raises(CheckpointError, match=rf"checkpoint-1 is broken: {name} "):
            verify_manifest(checkpoint)
        (checkpoint / name).write_bytes(original)
    verify_manifest(checkpoint)


def test_changed_number_in_the_manifest_is_noticed(checkpoint):
    manifest = checkpoint / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step": 1', '"step": 2'), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"manifest\.json has a checksum mismatch"):
        verify_manifest(checkpoint)


@pytest.mark.parametrize("content", [b"", b"7", b"\xff\xfe", b"{}"])
def test_any_other_manifest_is_refused(checkpoint, content):
    (checkpoint / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        verify_manifest(checkpoint)


def test_checkpoint_of_another_trainer_counts_once_it_has_a_manifest(checkpoint, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    (other / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="not from this package"):
        verify_manifest(other)
    write_manifest(other, verify_manifest(checkpoint)["versions"])
    assert verify_manifest(other) == verify_manifest(checkpoint)


def test_configuration_of_another_model_is_refused_by_its_fields(checkpoint, build_tiny_config):
    check_checkpoint_config(checkpoint, build_tiny_config())
    with pytest.raises(CheckpointError, match=r"other values of num_groups, num_views\. Resume with the flags"):
        check_checkpoint_config(checkpoint, build_tiny_config(num_views=1, num_groups=[16, 8]))


def test_place_and_versions_are_no_part_of_the_configuration(checkpoint, build_tiny_config):
    path = checkpoint / "config.json"
    config = json.loads(path.read_text()) | {"transformers_version": "5.0.0", "architectures": ["Other"]}
    path.write_text(json.dumps(config), encoding="utf-8")
    check_checkpoint_config(checkpoint, build_tiny_config())


def write_checkpoint(output_dir, step, text="weights"):
    """Write a small checkpoint; return it."""
    folder = output_dir / f"checkpoint-{step}"
    folder.mkdir(exist_ok=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "weights").write_text(text, encoding="utf-8")
    write_manifest(folder)
    return folder


def steps_left(output_dir):
    return [int(path.name.rpartition("-")[2]) for path in list_checkpoints(output_dir)]


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


def test_broken_checkpoint_is_skipped_with_a_warning_that_says_why(tmp_path, caplog):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-3" / "weights").unlink()
    (tmp_path / "checkpoint-2" / "weights").write_text("short", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert find_last_checkpoint(tmp_path) == tmp_path / "checkpoint-1"
    messages = [record.getMessage() for record in caplog.records]
    assert "checkpoint-3 is broken: weights is missing." in messages[0]
    assert "checkpoint-2 is broken: weights has 5 bytes instead of 7." in messages[1]


def test_broken_checkpoints_alone_are_refused(tmp_path):
    (write_checkpoint(tmp_path, 1) / "weights").unlink()
    with pytest.raises(CheckpointError, match=r"got 1 broken ones.*weights is missing.*Remove them to start again"):
        find_last_checkpoint(tmp_path)


def test_unfinished_checkpoint_is_skipped(tmp_path, caplog):
    write_checkpoint(tmp_path, 1)
    shutil.copytree(tmp_path / "checkpoint-1", tmp_path / "checkpoint-2")
    (tmp_path / "checkpoint-2" / "manifest.json").unlink()
    with caplog.at_level(logging.WARNING):
        assert find_last_checkpoint(tmp_path) == tmp_path / "checkpoint-1"
    assert "checkpoint-2 is broken: manifest.json is missing. Its save was interrupted" in caplog.text


def test_checkpoint_is_removed_manifest_first(tmp_path, monkeypatch):
    folder, seen = write_checkpoint(tmp_path, 1), []
    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **options: (seen.extend(os.listdir(path)), rmtree(path)))
    remove_checkpoint(folder)
    assert sorted(seen) == ["config.json", "trainer_state.json", "weights"]
    assert not folder.exists()


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
    rotate_checkpoints(tmp_path, limit, kept)
    assert steps_left(tmp_path) == left


def test_unfinished_checkpoint_is_removed_before_an_older_one(tmp_path):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-2" / "manifest.json").unlink()
    rotate_checkpoints(tmp_path, 2, {"checkpoint-3"})
    assert steps_left(tmp_path) == [1, 3]


def test_age_decides_what_is_removed_not_the_step(tmp_path):
    for age, step in enumerate((20, 15)):  # resumed from an older checkpoint than the newest
        os.utime(write_checkpoint(tmp_path, step), ns=(age, age))
    write_checkpoint(tmp_path, 16)
    rotate_checkpoints(tmp_path, 2, {"checkpoint-16"})
    assert steps_left(tmp_path) == [15, 16]
