"""What the paper specifies, asserted on the default configuration."""

import pytest
import torch
from torch import nn

from jointmae_hf import JointMAEConfig, JointMAEForPointCloudClassification, JointMAEForPreTraining
from jointmae_hf.model.depth_projection import project_points, rotate_views, view_from_angles
from jointmae_hf.model.point_ops import bounding_sphere, chamfer_distance, group_points


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return JointMAEForPreTraining(JointMAEConfig()).eval()


@pytest.fixture(scope="module")
def points():
    return torch.rand(1, 2048, 3, generator=torch.Generator().manual_seed(0)) - 0.5


@pytest.fixture(scope="module")
def calls(model, points):
    """One forward pass: inputs and output of each module by name."""
    calls = {}

    def record(name):
        return lambda _, args, kwargs, output: calls.setdefault(name, []).append((args, kwargs, output))

    handles = [module.register_forward_hook(record(name), with_kwargs=True) for name, module in model.named_modules()]
    with torch.no_grad():
        model(points)
    for handle in handles:
        handle.remove()
    return calls


@pytest.fixture(scope="module")
def outputs(calls):
    return calls[""][0][2]


def test_sizes_of_section_4_1():
    config = JointMAEConfig()
    assert (config.num_points, config.image_size, config.hidden_size) == (2048, 224, 384)


def test_scales_are_n_over_8_and_n_over_32():
    assert JointMAEConfig().num_groups == [2048 // 8, 2048 // 32]


def test_2d_tokens_are_hw_over_256():
    assert JointMAEConfig().num_patches == 224 * 224 // 256


def test_depth_map_has_one_channel(outputs):
    assert outputs.depth_map.shape == (1, 1, 224, 224)


def test_view_is_random_at_every_iteration(build_tiny_config, unit_sphere_cloud):
    model = JointMAEForPreTraining(build_tiny_config())
    assert not torch.equal(model(unit_sphere_cloud).view, model(unit_sphere_cloud).view)


def test_projection_is_a_perspective():
    view = view_from_angles(torch.zeros(1), torch.zeros(1), 2.0)
    coordinates, depths = project_points(torch.tensor([[[0.2, 0, 0.5], [0.2, 0, -0.5]]]), view)
    assert coordinates[0, 0, 0] / coordinates[0, 1, 0] == pytest.approx((depths[0, 1] / depths[0, 0]).item())


def test_3d_embedding_is_a_linear_projection_and_two_grouping_blocks(calls):
    inside = "jointmae.embeddings_3d."
    assert calls[inside + "projection"][0][2].shape[-1] == 96
    assert calls[inside + "fine_grouping"][0][2].shape[-1] == 192
    assert calls[inside + "coarse_grouping"][0][2].shape == (1, 16, 384)


def test_2d_embedding_is_patches_of_4_and_two_convolutions_of_3(calls):
    inside = "jointmae.embeddings_2d."
    assert calls[inside + "projection"][0][2].shape == (1, 96, 56, 56)
    assert calls[inside + "fine_block"][0][2].shape == (1, 192, 28, 28)
    assert calls[inside + "coarse_block"][0][2].shape == (1, 384, 14, 14)


def test_2d_convolutions_have_kernel_3_and_stride_2(model):
    convolutions = [module for module in model.jointmae.embeddings_2d.modules() if isinstance(module, nn.Conv2d)]
    assert [(conv.kernel_size, conv.stride) for conv in convolutions] == [((4, 4),) * 2, *[((3, 3), (2, 2))] * 2]


def test_three_quarters_of_each_modality_are_hidden(outputs):
    assert (outputs.mask_3d.sum().item(), outputs.mask_2d.sum().item()) == (48, 147)


def test_encoder_has_12_blocks_and_decoder_2_and_1_each(model):
    assert len(model.jointmae.layers) == 12
    decoder = model.decoder
    assert (len(decoder.layers), len(decoder.layers_3d), len(decoder.layers_2d)) == (2, 1, 1)


def test_encoder_sees_visible_tokens_alone_3d_first(calls):
    args, _, _ = calls["jointmae.layers.0"][0]
    assert args[0].shape == (1, 16 + 49, 384)


@pytest.mark.parametrize(("name", "rows"), [("3d", slice(0, 16)), ("2d", slice(16, 65))])
def test_modality_token_is_added_to_all_tokens_of_its_modality(model, points, calls, name, rows, record_calls):
    shifted = record_calls(model.jointmae.layers[0])
    parameter = getattr(model.jointmae, f"modality_token_{name}")
    arguments = {key: calls["jointmae"][0][0][i] for key, i in (("view", 2), ("noise_3d", 3), ("noise_2d", 4))}
    with torch.no_grad():
        parameter += 1
        model(points, **arguments)
        parameter -= 1
    shift = shifted[0][0][0] - calls["jointmae.layers.0"][0][0][0]
    expected = torch.zeros(1, 65, 384)
    expected[:, rows] = 1
    torch.testing.assert_close(shift, expected, rtol=0, atol=1e-5)


def test_local_alignment_is_in_every_block_of_the_encoder(calls):
    masks = [calls[f"jointmae.layers.{block}"][0][0][2] for block in range(12)]
    assert all(mask is masks[0] for mask in masks)
    assert masks[0][0, 0, :16, :16].all()
    assert masks[0][0, 0, 16:, 16:].all()
    assert masks[0][0, 0, :16, 16:].float().mean() < 0.05


def test_mask_tokens_are_one_learnable_vector_for_each_modality(model):
    assert model.decoder.mask_token_3d.shape == model.decoder.mask_token_2d.shape == (1, 1, 384)


def test_shared_decoder_attends_to_all_encoded_and_mask_tokens(model, calls):
    args, kwargs, _ = calls["decoder.layers.0"][0]
    encoded = calls["jointmae"][0][2].last_hidden_state
    mask_tokens = [model.decoder.mask_token_3d.expand(1, 48, -1), model.decoder.mask_token_2d.expand(1, 147, -1)]
    expected = [encoded[:, :16], mask_tokens[0], encoded[:, 16:], mask_tokens[1]]
    assert torch.equal(args[0], torch.cat(expected, dim=1))
    assert len(args) + len(kwargs) == 2  # neither a mask nor other keys


@pytest.mark.parametrize(("name", "rows"), [("3d", slice(0, 16)), ("2d", slice(16, 65))])
def test_specific_decoder_takes_keys_and_values_from_the_encoder(calls, name, rows):
    args, _, _ = calls[f"decoder.layers_{name}.0"][0]
    encoded = calls["jointmae"][0][2].last_hidden_state
    assert torch.equal(args[3], encoded[:, rows])


@pytest.mark.parametrize(("name", "rows"), [("3d", slice(16, 64)), ("2d", slice(-147, None))])
def test_specific_decoder_takes_queries_from_the_shared_decoder(calls, name, rows):
    args, _, _ = calls[f"decoder.layers_{name}.0"][0]
    assert torch.equal(args[0], calls["decoder.layers.1"][0][2][:, rows])


def test_reconstruction_heads_are_linear_layers(model):
    assert isinstance(model.reconstruction_head_3d, nn.Linear)
    assert isinstance(model.reconstruction_head_2d, nn.Linear)
    assert (model.reconstruction_head_3d.out_features, model.reconstruction_head_2d.out_features) == (96, 256)


def test_loss_3d_is_the_chamfer_distance_of_hidden_groups_eq_5(outputs, points):
    predicted = outputs.reconstructed_points.unflatten(1, (64, 32)) - outputs.centers[:, :, None]
    target = group_points(points, outputs.centers, 32)
    expected = chamfer_distance(predicted[outputs.mask_3d], target[outputs.mask_3d]).mean()
    torch.testing.assert_close(outputs.loss_3d, expected)


def test_loss_2d_is_the_squared_error_of_hidden_patches_eq_5(outputs):
    error = (outputs.reconstructed_pixels - outputs.depth_map).square()
    patches = nn.functional.avg_pool2d(error, 16).flatten(1)
    torch.testing.assert_close(outputs.loss_2d, patches[outputs.mask_2d].mean())


def test_loss_3d_2d_is_the_squared_error_of_4_projections_eq_6(model, outputs, points):
    views = rotate_views(outputs.view, 4)
    target = model.project(points, views)
    predicted = model.project(outputs.reconstructed_points, views, bounding_sphere(points))
    torch.testing.assert_close(outputs.loss_3d_2d, (predicted - target).square().mean())


def test_first_projection_of_the_cross_loss_is_the_input_depth_map(model, outputs, points):
    assert torch.equal(model.project(points, rotate_views(outputs.view, 4))[:, :1], outputs.depth_map)


def test_loss_is_the_sum_of_three_eq_7(outputs):
    torch.testing.assert_close(outputs.loss, outputs.loss_3d + outputs.loss_2d + outputs.loss_3d_2d)


def test_downstream_keeps_the_3d_branch_alone(build_tiny_config):
    names = [name for name, _ in JointMAEForPointCloudClassification(build_tiny_config()).named_parameters()]
    assert not [name for name in names if "2d" in name or "decoder" in name]
