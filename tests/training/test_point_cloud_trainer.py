"""What the trainer does once instead of in every step."""

import pytest
from transformers import Trainer


@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_norm_of_gradients_is_computed_by_clipping_alone(make_trainer, monkeypatch, max_grad_norm):
    def compute(model):
        raise AssertionError("the norm of the gradients is computed twice")

    trainer = make_trainer(max_grad_norm=max_grad_norm)
    monkeypatch.setattr("jointmae_hf.training.resilience.non_finite_check.gradient_norm", compute)
    trainer.train()
    assert trainer.state.global_step == 4


def test_parameters_are_counted_once_for_each_shape_of_a_batch(make_trainer, monkeypatch):
    trainer, counted = make_trainer(), []
    count = trainer.model.num_parameters
    monkeypatch.setattr(trainer.model, "num_parameters", lambda **kwargs: counted.append(kwargs) or count(**kwargs))
    trainer.train()
    assert len(counted) == 1


def test_operations_are_those_of_transformers(make_trainer):
    trainer = make_trainer()
    inputs = next(iter(trainer.get_train_dataloader()))
    assert trainer.floating_point_ops(inputs) == Trainer.floating_point_ops(trainer, inputs) > 0
