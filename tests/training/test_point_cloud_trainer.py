"""What the trainer does once instead of in every step, and how it draws the points of a batch."""

import pytest
import torch
from transformers import Trainer

from jointmae_hf.data import PointCloudCollator


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


@pytest.fixture
def drawn():
    """What a transform got, a list of (epoch, index, first coordinates of the points), and the transform."""
    seen = []

    def record(points, *, epoch, index):
        seen.extend((epoch, *pair) for pair in zip(index.tolist(), map(tuple, points[..., 0].tolist()), strict=True))
        return points

    return seen, record


def draw_from_clouds_of_two_sizes(trainer, record, num_points):
    """Let a trainer of four epochs draw points of clouds of two sizes."""
    clouds = [torch.randn(num_points + 5 * (1 + index % 2), 3).numpy() for index in range(2)]
    trainer.train_dataset = [{"points": points, "index": index} for index, points in enumerate(clouds)]
    trainer.transform = record
    return trainer


@pytest.mark.parametrize("workers", [{}, {"dataloader_num_workers": 1, "dataloader_persistent_workers": True}])
def test_training_draws_other_points_in_each_epoch(make_trainer, tiny_config, drawn, workers):
    seen, record = drawn
    collator = PointCloudCollator(tiny_config.num_points)
    trainer = draw_from_clouds_of_two_sizes(
        make_trainer(data_collator=collator, max_steps=3, **workers), record, tiny_config.num_points
    )
    trainer.train()
    assert sorted(step[:2] for step in seen) == [(epoch, index) for epoch in range(3) for index in range(2)]
    assert len({points for *_, points in seen}) == 6


def test_a_resumed_run_draws_the_points_of_its_epoch(make_trainer, tiny_config, drawn, tmp_path):
    seen, record = drawn
    for resume in (None, str(tmp_path / "run" / "checkpoint-3")):
        trainer = make_trainer(
            data_collator=PointCloudCollator(tiny_config.num_points),
            per_device_train_batch_size=1,
            save_strategy="steps",
            save_steps=3,
        )
        torch.manual_seed(0)
        draw_from_clouds_of_two_sizes(trainer, record, tiny_config.num_points).train(resume_from_checkpoint=resume)
    assert len(seen) == 5
    assert seen[4] == seen[3]


def test_evaluation_draws_the_same_points_in_every_epoch(make_trainer, tiny_config, drawn):
    seen, record = drawn
    trainer = make_trainer(
        data_collator=PointCloudCollator(tiny_config.num_points), max_steps=3, eval_strategy="epoch"
    )
    trainer = draw_from_clouds_of_two_sizes(trainer, lambda points, **_: points, tiny_config.num_points)
    trainer.eval_dataset, trainer.evaluation_transform = trainer.train_dataset, record
    trainer.train()
    assert len(seen) == 6
    assert len({points for *_, points in seen}) == 2
