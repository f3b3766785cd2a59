"""With `neighborhood="visible"` nothing hidden reaches the encoder; with `"all"` it does."""

import pytest
import torch

from jointmae_hf import JointMAEModel
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import nearest_center_is_visible


NEIGHBORHOODS = pytest.mark.parametrize("neighborhood", ["visible", "all"])
EMBEDDINGS = pytest.mark.parametrize(
    "embedding",
    [
        {"group_size": [16, 8]},
        {"embedding_3d": "flat", "num_groups": [16], "group_size": [16], "embedding_2d": "flat"},
    ],
    ids=["hierarchical", "flat"],
)


@NEIGHBORHOODS
@EMBEDDINGS
def test_moving_hidden_points_changes_the_encoder_output_only_with_all(
    build_tiny_config, settle, make_cloud, random_arguments, neighborhood, embedding
):
    model = settle(JointMAEModel(build_tiny_config(neighborhood=neighborhood, **embedding)))
    points, noise_3d = make_cloud(2, 200), random_arguments["noise_3d"]
    indices, outputs = farthest_point_sample(points, 32), model(points, noise_3d=noise_3d)
    offsets = 1e-4 * torch.randn(2, 200, 3)
    stays_hidden = [
        ~nearest_center_is_visible(p, outputs.centers, outputs.mask_3d) for p in (points, points + offsets)
    ]
    is_moved = (stays_hidden[0] & stays_hidden[1]).scatter(1, indices, False)
    moved = points + is_moved[..., None] * offsets
    assert torch.equal(farthest_point_sample(moved, 32), indices)
    before, after = (model(cloud, noise_3d=noise_3d).last_hidden_state for cloud in (points, moved))
    assert torch.equal(before, after) == (neighborhood == "visible")


@NEIGHBORHOODS
@EMBEDDINGS
def test_encoder_output_has_a_gradient_at_hidden_points_only_with_all(
    build_tiny_config, settle, make_cloud, random_arguments, neighborhood, embedding
):
    model = settle(JointMAEModel(build_tiny_config(neighborhood=neighborhood, **embedding)))
    points, noise_3d = make_cloud(2, 200).requires_grad_(), random_arguments["noise_3d"]
    outputs = model(points, noise_3d=noise_3d)
    tokens = outputs.last_hidden_state
    (gradient,) = torch.autograd.grad((tokens * torch.randn_like(tokens)).sum(), points)
    is_hidden = ~nearest_center_is_visible(points, outputs.centers, outputs.mask_3d)
    assert (gradient[~is_hidden] != 0).any()
    assert bool((gradient[is_hidden] != 0).any()) == (neighborhood == "all")


@pytest.mark.parametrize(
    ("neighborhood", "embedding_2d", "leaks"),
    [("visible", "hierarchical", False), ("all", "hierarchical", True), ("all", "flat", False)],
)
def test_hidden_pixels_reach_the_encoder_only_through_convolutions_with_all(
    build_tiny_config, joint_inputs, random_arguments, neighborhood, embedding_2d, leaks
):
    config = build_tiny_config(image_size=64, neighborhood=neighborhood, embedding_2d=embedding_2d)
    model = JointMAEModel(config).eval()
    pixel_values, noise_2d = torch.rand(2, 1, 64, 64), torch.rand(2, 16)
    before = model(pixel_values=pixel_values, noise_2d=noise_2d)
    is_hidden = before.mask_2d.reshape(2, 1, 4, 4).repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    after = model(pixel_values=pixel_values + is_hidden * torch.rand(2, 1, 64, 64), noise_2d=noise_2d)
    assert torch.equal(before.last_hidden_state, after.last_hidden_state) == (not leaks)


def test_hidden_centers_do_not_reach_the_encoder(build_tiny_config, make_cloud, random_arguments, record_calls):
    model = JointMAEModel(build_tiny_config()).eval()
    calls = record_calls(model.position_embeddings_3d)
    outputs = model(make_cloud(2, 200), noise_3d=random_arguments["noise_3d"])
    assert torch.equal(calls[0][0][0], outputs.centers[~outputs.mask_3d].reshape(2, 4, 3))


@NEIGHBORHOODS
def test_visible_tokens_alone_are_embedded_only_with_visible(
    build_tiny_config, make_cloud, random_arguments, record_calls, neighborhood
):
    model = JointMAEModel(build_tiny_config(neighborhood=neighborhood)).eval()
    calls = record_calls(model.embeddings_3d)
    model(make_cloud(2, 200), noise_3d=random_arguments["noise_3d"])
    assert calls[0][2].shape[1] == (4 if neighborhood == "visible" else 16)


def test_neighborhood_makes_no_difference_downstream(build_tiny_config, settle, make_cloud):
    outputs = []
    for neighborhood in ("visible", "all"):
        torch.manual_seed(0)
        outputs.append(settle(JointMAEModel(build_tiny_config(neighborhood=neighborhood)))(make_cloud(2, 200)))
    assert torch.equal(outputs[0].last_hidden_state, outputs[1].last_hidden_state)
