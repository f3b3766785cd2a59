"""Callbacks for checkpoints: the manifest last, rotation, pushes, the best checkpoint, the end of an epoch."""

import json
from pathlib import Path

import pytest
import torch
from transformers import Trainer, TrainerCallback

from jointmae_hf.training import CheckpointError, list_checkpoints, verify_manifest


SAVING = {"save_strategy": "steps", "save_steps": 1}


def test_every_checkpoint_has_a_manifest_and_nothing_else_is_left(make_trainer, tmp_path):
    make_trainer(**SAVING, max_steps=3, save_total_limit=2).train()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint-2", "checkpoint-3"]
    assert [verify_manifest(path)["step"] for path in list_checkpoints(tmp_path / "run")] == [2, 3]


def test_checkpoint_records_the_arguments_as_they_are(make_trainer, tmp_path):
    make_trainer(**SAVING, max_steps=1, save_total_limit=2).train()
    saved = torch.load(tmp_path / "run" / "checkpoint-1" / "training_args.bin", weights_only=False)
    assert saved.save_total_limit == 2


def test_old_checkpoint_goes_only_after_the_new_one_has_its_manifest(make_trainer, tmp_path, monkeypatch):
    make_trainer(**SAVING, max_steps=1, save_total_limit=1).train()

    def fail(folder, versions):
        assert [path.name for path in list_checkpoints(folder.parent)] == ["checkpoint-1", "checkpoint-2"]
        raise OSError("disk full")

    monkeypatch.setattr("jointmae_hf.training.resilience.callbacks.write_manifest", fail)
    with pytest.raises(CheckpointError, match="disk full"):
        make_trainer(**SAVING, max_steps=2, save_total_limit=1).train(resume_from_checkpoint=True)
    verify_manifest(tmp_path / "run" / "checkpoint-1")
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == ["checkpoint-1"]


def test_checkpoint_that_is_overwritten_is_not_valid_meanwhile(make_trainer, tmp_path, monkeypatch):
    make_trainer(**SAVING, max_steps=2).train()
    seen, save_model = [], Trainer.save_model

    def look_and_save(self, folder, **options):
        seen.append(Path(folder, "manifest.json").exists())
        save_model(self, folder, **options)

    monkeypatch.setattr(Trainer, "save_model", look_and_save)
    make_trainer(**SAVING, max_steps=2).train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-1"))
    assert seen == [False]
    verify_manifest(tmp_path / "run" / "checkpoint-2")


def test_best_checkpoint_is_recorded_and_kept(make_trainer, tmp_path):
    best = {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "eval_loss", "save_total_limit": 1}
    trainer = make_trainer(**SAVING, **best)
    trainer.train()
    losses = {entry["eval_loss"]: entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry}
    folder = tmp_path / "run" / f"checkpoint-{losses[min(losses)]}"
    assert trainer.state.best_model_checkpoint == str(folder)
    verify_manifest(folder)
    state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    assert state["best_model_checkpoint"] == str(folder)


def test_best_weights_that_changed_are_refused(make_trainer, tmp_path):
    best = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True}

    class DamagingCallback(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            (tmp_path / "run" / "checkpoint-1" / "model.safetensors").write_bytes(b"other")

    trainer = make_trainer(**SAVING, **best, max_steps=1)
    trainer.add_callback(DamagingCallback())
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        trainer.train()


def test_checkpoint_is_pushed_once_it_has_its_manifest(make_trainer, tmp_path, monkeypatch):
    pushed = []
    monkeypatch.setattr(
        Trainer, "_push_from_checkpoint", lambda self, folder: pushed.append(verify_manifest(Path(folder)))
    )
    monkeypatch.setattr(Trainer, "init_hf_repo", lambda self, *arguments, **options: None)
    trainer = make_trainer(**SAVING, max_steps=1)
    trainer.args.push_to_hub = True
    trainer.train()
    assert [manifest["step"] for manifest in pushed] == [1]


@pytest.mark.parametrize("steps", [3, 4, 6])
def test_last_step_of_an_epoch_is_saved_after_its_evaluation(make_trainer, steps):
    events = []

    class Recorder(TrainerCallback):
        def on_evaluate(self, args, state, control, **kwargs):
            events.append(("evaluated", state.global_step))

        def on_save(self, args, state, control, **kwargs):
            events.append(("saved", state.global_step))

    trainer = make_trainer(**SAVING, max_steps=steps, eval_strategy="epoch")
    trainer.add_callback(Recorder())
    trainer.train()
    ends = sorted({min(4, steps), steps})
    saved_before = {step: ("saved", step) in events[: events.index(("evaluated", step))] for step in ends}
    assert saved_before == dict.fromkeys(ends, False)
    assert [step for kind, step in events if kind == "saved"] == list(range(1, steps + 1))
