import pytest
import torch

from jointmae_hf.model.losses import (
    cross_reconstruction_loss,
    patchify,
    reconstruction_loss_2d,
    reconstruction_loss_3d,
    unpatchify,
)


def test_patchify_cuts_in_row_major_order():
    patches = patchify(torch.arange(16.0).reshape(1, 1, 4, 4), 2)
    assert patches.tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]]


def test_unpatchify_inverts_patchify():
    depth_map = torch.rand(2, 1, 12, 12)
    assert torch.equal(unpatchify(patchify(depth_map, 4), 4, 12), depth_map)


def test_reconstruction_loss_3d_equals_a_case_by_hand():
    predicted = torch.tensor([[[[0.0, 0, 0], [1.0, 0, 0]], [[0.0, 0, 0], [0.0, 0, 0]]]])
    target = torch.tensor([[[[0.0, 0, 0]], [[0.0, 2, 0]]]])
    # First group: (0 + 1) / 2 + 0; second: 4 + 4.
    assert reconstruction_loss_3d(predicted, target).item() == pytest.approx((0.5 + 8) / 2)


def test_reconstruction_loss_3d_does_not_depend_on_the_order_of_points():
    predicted, target = torch.randn(2, 3, 8, 3), torch.randn(2, 3, 8, 3)
    loss = reconstruction_loss_3d(predicted[:, :, torch.randperm(8)], target)
    torch.testing.assert_close(loss, reconstruction_loss_3d(predicted, target))


def test_reconstruction_loss_2d_equals_a_case_by_hand():
    predicted, target = torch.tensor([[[1.0, 0.0], [0.5, 1.0]]]), torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    assert reconstruction_loss_2d(predicted, target).item() == pytest.approx(1.25 / 4)


def test_reconstruction_loss_2d_is_float32_at_least():
    assert reconstruction_loss_2d(torch.rand(1, 2, 4).half(), torch.rand(1, 2, 4)).dtype == torch.float32


def test_cross_reconstruction_loss_averages_over_views():
    predicted, target = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    target[0, 1, 0, 0] = 2.0
    assert cross_reconstruction_loss(predicted, target).item() == pytest.approx(4 / 8)


@pytest.mark.parametrize("loss", [reconstruction_loss_3d, reconstruction_loss_2d, cross_reconstruction_loss])
def test_losses_pass_gradcheck(loss):
    predicted, target = (torch.rand(1, 2, 3, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(loss, (predicted, target))
