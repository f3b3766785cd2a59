"""The trainer that seals its checkpoints: what it leaves, what it resumes from, what it refuses."""

import json
import logging
from pathlib import Path

import pytest
from transformers import Trainer

from jointmae_hf.training import CheckpointError, list_checkpoints, verify_checkpoint


SAVING = {"save_strategy": "steps", "save_steps": 1}


def names(output_dir):
    return [path.name for path in list_checkpoints(output_dir)]


def test_every_checkpoint_is_sealed_and_nothing_else_is_left(make_trainer, tmp_path):
    make_trainer(**SAVING, max_steps=3, save_total_limit=2).train()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint-2", "checkpoint-3"]
    assert [verify_checkpoint(path)["step"] for path in list_checkpoints(tmp_path / "run")] == [2, 3]


def test_old_checkpoint_goes_only_after_the_new_one_is_published(make_trainer, tmp_path, monkeypatch):
    module = "jointmae_hf.training.sealed_trainer.publish_checkpoint"
    make_trainer(**SAVING, max_steps=1, save_total_limit=1).train()
    monkeypatch.setattr(module, lambda *folders: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(CheckpointError, match="disk full"):
        make_trainer(**SAVING, max_steps=2, save_total_limit=1).train(resume_from_checkpoint=True)
    verify_checkpoint(tmp_path / "run" / "checkpoint-1")


@pytest.mark.parametrize("asked", [True, "True", "path"])
def test_resume_goes_on_at_the_last_step(make_trainer, tmp_path, asked):
    make_trainer(**SAVING, max_steps=2).train()
    trainer = make_trainer(**SAVING, max_steps=3)
    assert trainer.train(str(tmp_path / "run" / "checkpoint-2") if asked == "path" else asked).global_step == 3


def test_resume_takes_an_older_checkpoint_and_warns(make_trainer, tmp_path, caplog):
    make_trainer(**SAVING, max_steps=3).train()
    (tmp_path / "run" / "checkpoint-3" / "optimizer.pt").unlink()
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(**SAVING, max_steps=3)
        trainer.train(resume_from_checkpoint=True)
    assert "checkpoint-3 is broken: optimizer.pt is missing." in caplog.text
    verify_checkpoint(tmp_path / "run" / "checkpoint-3")  # written anew, in place of the broken one


def test_resume_from_a_broken_path_is_refused(make_trainer, tmp_path):
    make_trainer(**SAVING, max_steps=2).train()
    broken = tmp_path / "run" / "checkpoint-2"
    (broken / "rng_state.pth").unlink()
    with pytest.raises(CheckpointError, match=r"rng_state\.pth is missing"):
        make_trainer(**SAVING).train(resume_from_checkpoint=str(broken))


def test_resume_without_any_checkpoint_starts_and_says_so(make_trainer, caplog):
    with caplog.at_level(logging.WARNING):
        assert make_trainer(max_steps=1).train(resume_from_checkpoint=True).global_step == 1
    assert "the run starts at its first step" in caplog.text


def test_new_run_beside_old_checkpoints_warns(make_trainer, caplog):
    make_trainer(**SAVING, max_steps=1).train()
    with caplog.at_level(logging.WARNING):
        make_trainer(**SAVING, max_steps=1).train(resume_from_checkpoint="False")
    assert "checkpoint-1 is of an earlier run" in caplog.text


def test_resume_of_another_model_is_refused(make_trainer, build_tiny_config):
    make_trainer(**SAVING, max_steps=1).train()
    with pytest.raises(CheckpointError, match="other values of num_views"):
        make_trainer(build_tiny_config(num_views=1), **SAVING).train(resume_from_checkpoint=True)


def test_resume_of_weights_without_their_optimizer_is_refused(make_trainer):
    make_trainer(**SAVING, max_steps=1, save_only_model=True).train()
    with pytest.raises(CheckpointError, match="must hold the state of the optimizer"):
        make_trainer(**SAVING, max_steps=2).train(resume_from_checkpoint=True)


def test_resume_with_other_versions_warns(make_trainer, monkeypatch, caplog):
    make_trainer(**SAVING, max_steps=1).train()
    monkeypatch.setattr("jointmae_hf.training.sealed_trainer.installed_versions", lambda: {"torch": "0.1"})
    with caplog.at_level(logging.WARNING):
        make_trainer(**SAVING, max_steps=2).train(resume_from_checkpoint=True)
    assert "-> 0.1" in caplog.text


def test_best_checkpoint_is_recorded_by_its_final_name_and_kept(make_trainer, tmp_path):
    best = {"eval_strategy": "steps", "eval_steps": 1, "metric_for_best_model": "eval_loss", "save_total_limit": 1}
    trainer = make_trainer(**SAVING, **best)
    trainer.train()
    losses = {entry["eval_loss"]: entry["step"] for entry in trainer.state.log_history if "eval_loss" in entry}
    folder = tmp_path / "run" / f"checkpoint-{losses[min(losses)]}"
    assert trainer.state.best_model_checkpoint == str(folder)
    verify_checkpoint(folder)
    state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
    assert state["best_model_checkpoint"] == str(folder)


def test_best_weights_that_changed_are_refused(make_trainer, tmp_path):
    best = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True}
    trainer = make_trainer(**SAVING, **best, max_steps=1)
    trainer.train()
    (tmp_path / "run" / "checkpoint-1" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        trainer._load_best_model()


def test_checkpoint_is_pushed_after_it_was_published(make_trainer, tmp_path, monkeypatch):
    pushed = []
    monkeypatch.setattr(
        Trainer, "_push_from_checkpoint", lambda self, folder: pushed.append(verify_checkpoint(Path(folder)))
    )
    monkeypatch.setattr(Trainer, "init_hf_repo", lambda self, *arguments, **options: None)
    trainer = make_trainer(**SAVING, max_steps=1)
    trainer.args.push_to_hub = True
    trainer._push_from_checkpoint("unfinished")
    assert pushed == []
    trainer.train()
    assert [manifest["step"] for manifest in pushed] == [1]
