"""Local-aligned attention: what each token depends on, by the gradient from the input of one block."""

import pytest
import torch

from jointmae_hf import JointMAEForPreTraining, JointMAEModel
from jointmae_hf.model.depth_projection import patch_index
from jointmae_hf.model.point_ops import bounding_sphere


DIRECTIONS = pytest.mark.parametrize(
    ("local_2d_to_3d", "local_3d_to_2d"), [(False, False), (True, False), (False, True), (True, True)]
)


def dependencies(model, inputs):
    """True where a token (row) depends on a token of the input of the first block (column), for one sample."""
    captured = []

    def capture(module, args):
        captured.append(args[0].detach().requires_grad_())
        return (captured[0], *args[1:])

    model.layers[0].register_forward_pre_hook(capture)
    tokens = model(**inputs).last_hidden_state
    weights = torch.randn(tokens.shape[-1])  # the sum of a normalized token would be constant
    rows = []
    for token in range(tokens.shape[1]):
        (gradient,) = torch.autograd.grad((tokens[0, token] * weights).sum(), captured[0], retain_graph=True)
        rows.append(gradient[0].abs().amax(dim=1) > 0)
    return torch.stack(rows)


def correlation(model, inputs):
    """The paper's rule, computed again: pairs of 3D and 2D tokens of the first sample."""
    center, radius = bounding_sphere(inputs["points"])
    centers = (model(inputs["points"]).centers - center) / radius
    patches = patch_index(centers, inputs["view"], 1.6, 32, 16)
    return patches[0][:, None] == torch.arange(4)


@DIRECTIONS
def test_token_depends_on_correlated_tokens_of_the_other_modality_alone(
    build_tiny_config, joint_inputs, local_2d_to_3d, local_3d_to_2d
):
    switches = {"local_2d_to_3d": local_2d_to_3d, "local_3d_to_2d": local_3d_to_2d}
    model = JointMAEModel(build_tiny_config(num_hidden_layers=1, **switches)).eval()
    is_correlated = correlation(model, joint_inputs)
    expected = torch.ones(20, 20, dtype=torch.bool)
    if local_3d_to_2d:
        expected[:16, 16:] = is_correlated
    if local_2d_to_3d:
        expected[16:, :16] = is_correlated.T
    assert torch.equal(dependencies(model, joint_inputs), expected)


def test_encoder_projects_centers_in_the_frame_that_it_is_given(build_tiny_config, joint_inputs):
    model = JointMAEModel(build_tiny_config(num_hidden_layers=1)).eval()
    center, radius = bounding_sphere(joint_inputs["points"])
    expected = dependencies(model, joint_inputs)
    assert torch.equal(dependencies(model, joint_inputs | {"frame": (center, radius)}), expected)
    assert not torch.equal(dependencies(model, joint_inputs | {"frame": (center + 0.5, radius)}), expected)


def test_encoder_ignores_distant_patches_when_attention_is_local(build_tiny_config, joint_inputs):
    config = build_tiny_config(num_hidden_layers=1, embedding_2d="flat")
    model = JointMAEModel(config).eval()
    is_correlated = correlation(model, joint_inputs)[:, 0]
    before = model(**joint_inputs).last_hidden_state[0, :16]
    joint_inputs["pixel_values"][:, :, :16, :16] += 1  # the first patch
    changed = (model(**joint_inputs).last_hidden_state[0, :16] != before).any(dim=1)
    assert torch.equal(changed, is_correlated)
    assert is_correlated.any()


def test_encoder_sees_all_patches_when_attention_is_global(build_tiny_config, joint_inputs):
    switches = {"local_2d_to_3d": False, "local_3d_to_2d": False}
    model = JointMAEModel(build_tiny_config(num_hidden_layers=1, embedding_2d="flat", **switches)).eval()
    before = model(**joint_inputs).last_hidden_state[0, :16]
    joint_inputs["pixel_values"][:, :, :16, :16] += 1
    assert (model(**joint_inputs).last_hidden_state[0, :16] != before).any(dim=1).all()


def test_points_alone_equal_both_modalities_when_nothing_correlates(build_tiny_config, joint_inputs, tolerance):
    model = JointMAEModel(build_tiny_config()).eval()
    joint_inputs["view"] = joint_inputs["view"] * torch.tensor([1.0, 1, 1, -1])  # all points behind the camera
    tokens = model(**joint_inputs).last_hidden_state[:, :16]
    expected = model(joint_inputs["points"]).last_hidden_state
    torch.testing.assert_close(tokens, expected, **tolerance[torch.float32])


def test_group_correlation_contains_center_correlation(build_tiny_config, joint_inputs, record_calls):
    masks = []
    for rule in ("center", "group"):
        torch.manual_seed(0)
        model = JointMAEModel(build_tiny_config(correlation=rule)).eval()
        calls = record_calls(model.layers[0])
        model(**joint_inputs)
        masks.append(calls[0][0][2][:, 0, :16, 16:])
    assert masks[1][masks[0]].all()
    assert masks[1].sum() > masks[0].sum()


@pytest.mark.parametrize("alignment", ["aligned", "independent"])
def test_aligned_masks_keep_patches_of_visible_centers(build_tiny_config, unit_sphere_cloud, alignment):
    config = build_tiny_config(
        image_size=128, mask_alignment=alignment, mask_ratio=0.8, mask_ratio_2d=0.9, neighborhood="all"
    )
    outputs = JointMAEForPreTraining(config).eval()(unit_sphere_cloud)
    center, radius = bounding_sphere(unit_sphere_cloud)
    patches = patch_index((outputs.centers - center) / radius, outputs.view, 1.6, 128, 16)
    hidden = [
        mask_2d[patches[~mask_3d]].any()
        for mask_2d, mask_3d, patches in zip(outputs.mask_2d, outputs.mask_3d, patches, strict=True)
    ]
    assert any(hidden) == (alignment == "independent")
    assert outputs.mask_2d.sum(dim=1).tolist() == [57, 57]


@pytest.mark.parametrize("with_noise", [False, True])
def test_eager_attention_equals_sdpa(encoder, joint_inputs, random_arguments, tolerance, with_noise):
    inputs = {**joint_inputs, **random_arguments} if with_noise else joint_inputs
    expected = encoder(**inputs).last_hidden_state
    encoder.set_attn_implementation("eager")
    torch.testing.assert_close(encoder(**inputs).last_hidden_state, expected, **tolerance[torch.float32])


def test_eager_attention_returns_no_weight_for_uncorrelated_pairs(encoder, joint_inputs):
    encoder.set_attn_implementation("eager")
    attentions = encoder(**joint_inputs, output_attentions=True).attentions
    is_correlated = correlation(encoder, joint_inputs)
    assert len(attentions) == 2
    assert attentions[0].shape == (2, 4, 20, 20)
    assert torch.equal(attentions[0][0, 0, :16, 16:] > 0, is_correlated)


@pytest.mark.parametrize("implementation", ["flash_attention_2", "flex_attention"])
def test_model_refuses_attention_that_would_drop_the_mask(tiny_config, implementation):
    with pytest.raises((ValueError, ImportError)):
        JointMAEModel._from_config(tiny_config, attn_implementation=implementation)
