"""Gradient norms at the encoder and losses of trivial predictors."""

import pytest
import torch

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.training.diagnostics import encoder_gradient_norms, reference_losses


@pytest.fixture
def forward(build_tiny_config):
    def run(**changes):
        torch.manual_seed(0)
        config = build_tiny_config(**changes)
        model = JointMAEForPreTraining(config).eval()
        points = torch.nn.functional.normalize(torch.randn(2, config.num_points, 3), dim=-1)
        return model, points, model(points)

    return run


def test_gradient_norms_match_backward(forward):
    _, _, outputs = forward()
    norms = encoder_gradient_norms(outputs)
    outputs.last_hidden_state.retain_grad()
    outputs.loss_2d.backward()
    assert norms["gradient_norm_2d"] == pytest.approx(outputs.last_hidden_state.grad.norm().item(), rel=1e-5)


def test_gradient_norms_leave_the_graph_alive(forward):
    _, _, outputs = forward()
    encoder_gradient_norms(outputs)
    outputs.loss.backward()


def test_trivial_3d_loss_is_the_chamfer_distance_to_the_centers(forward):
    _, _, outputs = forward()
    groups = outputs.target_points.unflatten(1, (16, -1)) - outputs.centers[:, :, None]
    squared = groups[outputs.mask_3d].square().sum(dim=-1)
    expected = squared.mean() + squared.amin(dim=1).mean()
    model, points, outputs = forward()
    assert reference_losses(model, points, outputs)["loss_3d_trivial"] == pytest.approx(expected.item(), rel=1e-5)


def test_trivial_2d_loss_is_the_mean_square_of_hidden_pixels(forward):
    model, points, outputs = forward()
    patches = torch.nn.functional.pixel_unshuffle(outputs.depth_map, 16).flatten(2).transpose(1, 2)
    expected = patches[outputs.mask_2d].square().mean().item()
    assert reference_losses(model, points, outputs)["loss_2d_trivial"] == pytest.approx(expected, rel=1e-5)


def test_perfect_reconstruction_has_a_lower_cross_loss_than_a_trivial_one(forward):
    losses = reference_losses(*forward())
    assert 0 < losses["loss_3d_2d_perfect"] < losses["loss_3d_2d_trivial"]


def test_references_of_the_3d_only_model_are_3d(forward):
    assert set(reference_losses(*forward(use_2d_branch=False))) == {"loss_3d_trivial"}


def test_references_compare_with_the_whole_cloud_when_it_is_the_target(forward):
    model, points, outputs = forward(loss_3d_target="cloud")
    visible = outputs.target_points.unflatten(1, (16, -1))[~outputs.mask_3d]
    assert reference_losses(model, points, outputs)["loss_3d_trivial"] > 0
    assert len(visible) == 2 * 4
