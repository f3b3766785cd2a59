"""Running statistics of batch norm in the first batches of a model."""

import pytest
import torch

from jointmae_hf.training import RunningStatisticsCallback


@pytest.fixture
def watch_batch_norm():
    """Record mean of the input and momentum at each training batch of a model's first batch norm."""

    def watch(trainer):
        layer, seen = trainer.unwrapped_model.jointmae.embeddings_3d.fine_grouping.norm1, []

        def record(module, inputs):
            if module.training:
                points = inputs[0].detach()
                axes = [axis for axis in range(points.ndim) if axis != 1]
                seen.append((points.mean(dim=axes), module.momentum))

        layer.register_forward_pre_hook(record)
        return layer, seen

    return watch


@pytest.mark.parametrize("num_batches", [1, 2])
def test_running_statistics_average_the_first_batches_of_a_new_model(make_trainer, watch_batch_norm, num_batches):
    trainer = make_trainer(gradient_accumulation_steps=num_batches)
    layer, seen = watch_batch_norm(trainer)
    trainer.add_callback(RunningStatisticsCallback())
    trainer.train()
    assert len(seen) == 4 * num_batches
    torch.testing.assert_close(layer.running_mean, torch.stack([mean for mean, _ in seen]).mean(dim=0))
    assert layer.momentum == 0.1


def test_running_statistics_keep_their_momentum_after_ten_batches(make_trainer, watch_batch_norm):
    trainer = make_trainer(max_steps=12)
    _, seen = watch_batch_norm(trainer)
    trainer.add_callback(RunningStatisticsCallback())
    trainer.train()
    assert [momentum for _, momentum in seen] == [*(1 / count for count in range(1, 11)), 0.1, 0.1]


def test_running_statistics_of_trained_weights_go_on(make_trainer, watch_batch_norm):
    trainer = make_trainer()
    layer, seen = watch_batch_norm(trainer)
    layer.num_batches_tracked.fill_(1000)
    trainer.add_callback(RunningStatisticsCallback())
    trainer.train()
    assert {momentum for _, momentum in seen} == {0.1}
