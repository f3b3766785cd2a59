"""The trainer that goes on as if it had not stopped: numbers that are not finite, and what the base class would do.

That a resumed run is the uninterrupted one is in `tests/reliability/test_resume.py`, signals are in `test_signals.py`.
"""

import copy
import logging
import shutil

import pytest
import torch

from jointmae_hf.training import NonFiniteError, list_checkpoints, seal_checkpoint, verify_checkpoint


SAVING = {"save_strategy": "steps", "save_steps": 1}


def spoil(trainer, call, function):
    """Change the loss of the compute number `call`, from 1, by a function."""
    calls, compute = iter(range(1, 1000)), trainer.compute_loss

    def compute_loss(*arguments, **options):
        loss = compute(*arguments, **options)
        return function(loss) if next(calls) == call else loss

    trainer.compute_loss = compute_loss


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_before_the_optimizer(make_trainer, tmp_path, factor):
    trainer = make_trainer(**SAVING)
    spoil(trainer, 3, lambda loss: loss * factor)
    with pytest.raises(NonFiniteError, match=r"at step 3, samples \d, \d\."):
        trainer.train()
    assert trainer.state.global_step == 2
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == ["checkpoint-1", "checkpoint-2"]
    verify_checkpoint(tmp_path / "run" / "checkpoint-2")


def test_gradient_that_is_not_finite_stops_before_the_optimizer(make_trainer):
    trainer = make_trainer()
    spoil(trainer, 2, lambda loss: loss + 0 * torch.sqrt(loss - loss.detach()))  # finite, with a gradient of 0 * inf
    with pytest.raises(NonFiniteError, match=r"gradient norm of nan at step 2, samples \d, \d\."):
        trainer.train()
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


@pytest.mark.parametrize("logging_nan_inf_filter", [False, True])
def test_accumulated_step_names_the_batch_that_is_not_finite(make_trainer, logging_nan_inf_filter):
    trainer = make_trainer(gradient_accumulation_steps=2, logging_nan_inf_filter=logging_nan_inf_filter)
    spoil(trainer, 4, lambda loss: loss * float("nan"))
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


def test_evaluation_that_was_due_at_the_end_of_an_epoch_is_done_after_the_resume(make_trainer):
    make_trainer(**SAVING, max_steps=4).train()
    resumed = make_trainer(max_steps=6, eval_strategy="epoch")
    resumed.train(resume_from_checkpoint=True)
    assert [entry["step"] for entry in resumed.state.log_history if "eval_loss" in entry] == [4, 6]


def test_checkpoint_of_another_number_of_processes_warns(make_trainer, saved_checkpoint, tmp_path, caplog):
    folder = tmp_path / "run" / "checkpoint-1"
    shutil.copytree(saved_checkpoint, folder)
    trainer = make_trainer(max_steps=2)
    (folder / "position.pt").rename(folder / "position_0.pt")
    (folder / "manifest.json").unlink()
    seal_checkpoint(folder)
    with caplog.at_level(logging.WARNING):
        assert trainer.train(resume_from_checkpoint=True).global_step == 2
    assert "of another number of processes" in caplog.text
