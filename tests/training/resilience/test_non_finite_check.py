"""The check of every step before the optimizer takes it."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from jointmae_hf.training.resilience import NonFiniteCheck, NonFiniteError


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


@pytest.fixture
def layer():
    """A layer with a gradient of norm 5."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, 4.0]])
    return layer


def make_check(losses=(1.0,), scaler=None, others=None):
    """Build a check with one batch of two samples for each loss; `others` is what other processes tell."""
    processes = 1 if others is None else 2
    gather = lambda own: torch.cat([own, torch.tensor([others])])  # noqa: E731
    check = NonFiniteCheck(SimpleNamespace(scaler=scaler, num_processes=processes, gather=gather))
    for number, loss in enumerate(losses):
        check.add(torch.tensor(loss), torch.tensor([2 * number, 2 * number + 1]))
    return check


def test_finite_step_passes_and_is_forgotten():
    check = make_check((1.0, 2.0))
    assert check.check(1, torch.tensor(3.0)) == 0
    check.add(torch.tensor(float("nan")), torch.tensor([9]))
    with pytest.raises(NonFiniteError, match=r"at step 2, samples 9\."):
        check.check(2, torch.tensor(3.0))


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_names_its_samples_alone(loss):
    with pytest.raises(NonFiniteError, match=rf"got 1, {loss:g} with .* at step 7, samples 2, 3\."):
        make_check((1.0, loss)).check(7, torch.tensor(3.0))


@pytest.mark.parametrize("norm", [torch.tensor(float("nan")), float("inf")])
def test_gradient_that_is_not_finite_names_all_samples_of_the_step(norm):
    with pytest.raises(NonFiniteError, match=r"gradient norm of (nan|inf) at step 7, samples 0, 1, 2, 3\."):
        make_check((1.0, 2.0)).check(7, norm)


def test_scaler_of_float16_is_left_its_infinite_gradients():
    check = make_check(scaler=object())
    assert check.check(1, torch.tensor(float("inf"))) == 0


def test_all_processes_stop_where_one_is_not_finite():
    with pytest.raises(NonFiniteError, match="at step 1"):
        make_check(others=[1, 0]).check(1, torch.tensor(1.0))


def test_all_processes_learn_of_a_signal_to_one():
    assert make_check(others=[0, 15]).check(1, torch.tensor(1.0)) == 15
    assert make_check(others=[0, 0]).check(1, torch.tensor(1.0), stop_signal=2) == 2


def test_norm_that_gradients_were_clipped_by_is_kept_once(accelerator, layer):
    check = NonFiniteCheck(accelerator)
    with check.keep_norms():
        accelerator.clip_grad_norm_(layer.parameters(), 1.0)
    assert check.take_norm(layer) == 5
    torch.testing.assert_close(check.take_norm(layer), torch.tensor(1.0))  # computed: nothing is kept any more


def test_clipping_is_that_of_accelerate_again_after_the_block(accelerator):
    before = accelerator.clip_grad_norm_
    with NonFiniteCheck(accelerator).keep_norms():
        assert accelerator.clip_grad_norm_ != before
    assert accelerator.clip_grad_norm_ == before


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_clipping_leaves_gradients_without_a_finite_norm(accelerator, layer, value):
    layer.weight.grad[0, 1] = value
    accelerator.clip_grad_norm_(layer.parameters(), 1.0)
    assert not NonFiniteCheck(accelerator).take_norm(layer).isfinite()
