"""The trainer that resumes as if it had not stopped: non-finite numbers, what it resumes from, what it refuses.

That a resumed run equals the uninterrupted one is in `tests/reliability/test_resume.py`, signals are in `test_signals.py`.
"""

import copy
import json
import logging
import shutil

import pytest
import torch

from jointmae_hf.training import CheckpointError, NonFiniteError, list_checkpoints, verify_manifest, write_manifest


SAVING = {"save_strategy": "steps", "save_steps": 1}


def change_loss(trainer, call, function):
    """Change the loss of the compute number `call`, from 1, by a function."""
    calls, compute = iter(range(1, 1000)), trainer.compute_loss

    def compute_loss(*arguments, **options):
        loss = compute(*arguments, **options)
        return function(loss) if next(calls) == call else loss

    trainer.compute_loss = compute_loss


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_before_the_optimizer(make_trainer, tmp_path, factor):
    trainer = make_trainer(**SAVING)
    change_loss(trainer, 3, lambda loss: loss * factor)
    with pytest.raises(NonFiniteError, match=r"at step 3, samples \d, \d\."):
        trainer.train()
    assert trainer.state.global_step == 2
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == ["checkpoint-1", "checkpoint-2"]
    verify_manifest(tmp_path / "run" / "checkpoint-2")


def test_gradient_that_is_not_finite_stops_before_the_optimizer(make_trainer):
    trainer = make_trainer()
    change_loss(
        trainer, 2, lambda loss: loss + 0 * torch.sqrt(loss - loss.detach())
    )  # finite, with a gradient of 0 * inf
    with pytest.raises(NonFiniteError, match=r"gradient norm of nan at step 2, samples \d, \d\."):
        trainer.train()
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


@pytest.mark.parametrize("logging_nan_inf_filter", [False, True])
def test_accumulated_step_names_the_batch_that_is_not_finite(make_trainer, logging_nan_inf_filter):
    trainer = make_trainer(gradient_accumulation_steps=2, logging_nan_inf_filter=logging_nan_inf_filter)
    change_loss(trainer, 4, lambda loss: loss * float("nan"))
    with pytest.raises(NonFiniteError, match=r"got [\d.]+, nan with .* at step 2, samples \d, \d\."):
        trainer.train()
    assert trainer.state.global_step == 1


def test_run_that_had_reached_its_last_step_takes_no_other(make_trainer):
    straight = make_trainer(**SAVING, max_steps=3)
    straight.train()
    weights = copy.deepcopy(straight.model.state_dict())
    resumed = make_trainer(**SAVING, max_steps=3)
    assert resumed.train(resume_from_checkpoint=True).global_step == 3
    assert all(torch.equal(value, weights[name]) for name, value in resumed.model.state_dict().items())


def test_run_can_be_made_longer(make_trainer):
    make_trainer(**SAVING, max_steps=3).train()
    assert make_trainer(**SAVING, max_steps=5).train(resume_from_checkpoint=True).global_step == 5


def test_last_checkpoint_of_an_epoch_holds_what_was_due_at_its_end(make_trainer, tmp_path):
    make_trainer(**SAVING, max_steps=4, eval_strategy="epoch", logging_strategy="epoch").train()
    state = json.loads((tmp_path / "run" / "checkpoint-4" / "trainer_state.json").read_text(encoding="utf-8"))
    assert [sorted({"loss", "eval_loss"} & set(entry)) for entry in state["log_history"]] == [["loss"], ["eval_loss"]]


def test_evaluation_leaves_random_states_alone(make_trainer):
    trainer = make_trainer()
    before = torch.get_rng_state()
    trainer.evaluate()
    assert torch.equal(torch.get_rng_state(), before)


def test_summary_counts_the_time_of_earlier_starts(make_trainer, tmp_path):
    make_trainer(**SAVING, max_steps=2).train()
    folder = tmp_path / "run" / "checkpoint-2"
    position = torch.load(folder / "position.pt", weights_only=True)
    torch.save(position | {"seconds": 1000.0}, folder / "position.pt")
    write_manifest(folder)
    metrics = make_trainer(**SAVING, max_steps=4).train(resume_from_checkpoint=True).metrics
    assert 1000 < metrics["train_runtime"] < 1100
    assert metrics["train_steps_per_second"] == pytest.approx(4 / metrics["train_runtime"], abs=1e-3)
    assert metrics["train_samples_per_second"] == pytest.approx(8 / metrics["train_runtime"], abs=1e-3)


def test_checkpoint_of_another_number_of_processes_warns(make_trainer, saved_checkpoint, tmp_path, caplog):
    folder = tmp_path / "run" / "checkpoint-1"
    shutil.copytree(saved_checkpoint, folder)
    trainer = make_trainer(max_steps=2)
    (folder / "position.pt").rename(folder / "position_0.pt")
    (folder / "manifest.json").unlink()
    write_manifest(folder)
    with caplog.at_level(logging.WARNING):
        assert trainer.train(resume_from_checkpoint=True).global_step == 2
    assert "of another number of processes" in caplog.text


@pytest.mark.parametrize("requested", [True, "True", "path"])
def test_resume_goes_on_at_the_last_step(make_trainer, tmp_path, requested):
    make_trainer(**SAVING, max_steps=2).train()
    trainer = make_trainer(**SAVING, max_steps=3)
    assert trainer.train(str(tmp_path / "run" / "checkpoint-2") if requested == "path" else requested).global_step == 3


def test_resume_takes_an_older_checkpoint_and_warns(make_trainer, tmp_path, caplog):
    make_trainer(**SAVING, max_steps=3).train()
    (tmp_path / "run" / "checkpoint-3" / "optimizer.pt").unlink()
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(**SAVING, max_steps=3)
        trainer.train(resume_from_checkpoint=True)
    assert "checkpoint-3 is broken: optimizer.pt is missing." in caplog.text
    verify_manifest(tmp_path / "run" / "checkpoint-3")  # written again, over the broken one


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
    assert "checkpoint-1 is from an earlier run" in caplog.text


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
    monkeypatch.setattr("jointmae_hf.training.point_cloud_trainer.installed_versions", lambda: {"torch": "0.1"})
    with caplog.at_level(logging.WARNING):
        make_trainer(**SAVING, max_steps=2).train(resume_from_checkpoint=True)
    assert "-> 0.1" in caplog.text
