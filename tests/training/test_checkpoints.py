"""Sealed checkpoints: what the manifest holds, and every change of any file is noticed."""

import json
import shutil
from pathlib import Path

import pytest

from jointmae_hf.training import CheckpointError, seal_checkpoint, verify_checkpoint
from jointmae_hf.training.checkpoints import check_checkpoint_config


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
    manifest = verify_checkpoint(checkpoint)
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
            verify_checkpoint(checkpoint)
        (checkpoint / name).write_bytes(original)
    verify_checkpoint(checkpoint)


def test_changed_number_in_the_manifest_is_noticed(checkpoint):
    manifest = checkpoint / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"step": 1', '"step": 2'), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"manifest\.json has other bytes"):
        verify_checkpoint(checkpoint)


@pytest.mark.parametrize("content", [b"", b"7", b"\xff\xfe", b"{}"])
def test_any_other_manifest_is_refused(checkpoint, content):
    (checkpoint / "manifest.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        verify_checkpoint(checkpoint)


def test_checkpoint_of_another_trainer_counts_once_it_is_sealed(checkpoint, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    (other / "manifest.json").unlink()
    with pytest.raises(CheckpointError, match="not by this package"):
        verify_checkpoint(other)
    seal_checkpoint(other)
    assert verify_checkpoint(other) == verify_checkpoint(checkpoint)


def test_configuration_of_another_model_is_refused_by_its_fields(checkpoint, build_tiny_config):
    check_checkpoint_config(checkpoint, build_tiny_config())
    with pytest.raises(CheckpointError, match=r"other values of num_groups, num_views\. Resume with the flags"):
        check_checkpoint_config(checkpoint, build_tiny_config(num_views=1, num_groups=[16, 8]))


def test_place_and_versions_are_no_part_of_the_configuration(checkpoint, build_tiny_config):
    path = checkpoint / "config.json"
    config = json.loads(path.read_text()) | {"transformers_version": "5.0.0", "architectures": ["Other"]}
    path.write_text(json.dumps(config), encoding="utf-8")
    check_checkpoint_config(checkpoint, build_tiny_config())
