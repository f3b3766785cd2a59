"""The encoder: shapes, which inputs an output depends on, and refused inputs."""

import pytest
import torch

from jointmae_hf import JointMAEForPreTraining, JointMAEModel


def test_model_encodes_points_alone(encoder, unit_sphere_cloud):
    outputs = encoder(unit_sphere_cloud)
    assert outputs.last_hidden_state.shape == (2, 16, 32)
    assert outputs.pooler_output.shape == (2, 32)
    assert outputs.centers.shape == (2, 16, 3)


def test_model_encodes_both_modalities_3d_first(encoder, joint_inputs, record_calls):
    calls_3d, calls = record_calls(encoder.embeddings_3d), record_calls(encoder.layers[0])
    assert encoder(**joint_inputs).last_hidden_state.shape == (2, 16 + 4, 32)
    assert torch.equal(calls[0][0][0][:, :16], calls_3d[0][2] + encoder.modality_token_3d)


def test_model_encodes_a_depth_map_alone(encoder, joint_inputs):
    outputs = encoder(pixel_values=joint_inputs["pixel_values"])
    assert outputs.last_hidden_state.shape == (2, 4, 32)
    assert (outputs.pooler_output, outputs.centers) == (None, None)


def test_model_pools_3d_tokens_alone(encoder, joint_inputs):
    outputs = encoder(**joint_inputs)
    tokens = outputs.last_hidden_state[:, :16]
    torch.testing.assert_close(outputs.pooler_output, tokens.mean(dim=1) + tokens.amax(dim=1))


def test_model_hides_tokens_only_when_noise_is_given(encoder, joint_inputs, random_arguments):
    outputs = encoder(**{**joint_inputs, **random_arguments})
    assert outputs.last_hidden_state.shape == (2, 4 + 1, 32)
    assert (outputs.mask_3d.sum().item(), outputs.mask_2d.sum().item()) == (2 * 12, 2 * 3)
    assert encoder(**joint_inputs).mask_3d is None


def test_model_returns_only_tensors(encoder, joint_inputs, random_arguments):
    outputs = encoder(**{**joint_inputs, **random_arguments}, output_hidden_states=True, output_attentions=True)
    for value in outputs.values():
        assert all(type(item) is torch.Tensor for item in (value if type(value) is tuple else (value,)))


def test_model_returns_boolean_masks_by_name_but_not_in_a_tuple(encoder, joint_inputs, random_arguments):
    inputs = {**joint_inputs, **random_arguments}
    outputs, as_tuple = encoder(**inputs), encoder(**inputs, return_dict=False)
    assert outputs.mask_3d.dtype == outputs["mask_2d"].dtype == torch.bool
    named = [value for name, value in outputs.items() if name not in ("mask_3d", "mask_2d")]
    torch.testing.assert_close(as_tuple, tuple(named))


def test_model_centers_are_points_of_the_cloud(encoder, unit_sphere_cloud):
    centers = encoder(unit_sphere_cloud).centers
    is_equal = (centers[:, :, None] == unit_sphere_cloud[:, None]).all(dim=-1)
    assert is_equal.sum(dim=2).tolist() == [[1] * 16] * 2


def test_model_takes_any_number_of_points(encoder, make_cloud):
    assert encoder(make_cloud(2, 300)).last_hidden_state.shape == (2, 16, 32)


def test_model_does_not_change_its_inputs(encoder, joint_inputs, random_arguments):
    inputs = {**joint_inputs, **random_arguments}
    before = {name: value.clone() for name, value in inputs.items()}
    encoder(**inputs)
    assert all(torch.equal(inputs[name], before[name]) for name in inputs)


def test_model_writes_no_attribute_in_forward(pretrainer, unit_sphere_cloud):
    before = {name: set(vars(module)) for name, module in pretrainer.named_modules()}
    pretrainer(unit_sphere_cloud)
    assert {name: set(vars(module)) for name, module in pretrainer.named_modules()} == before


def test_model_treats_each_cloud_alone(encoder, joint_inputs, tolerance):
    together = encoder(**joint_inputs).last_hidden_state[1:]
    alone = encoder(**{name: value[1:] for name, value in joint_inputs.items()}).last_hidden_state
    torch.testing.assert_close(alone, together, **tolerance[torch.float32])


def test_model_does_not_depend_on_the_order_of_points(encoder, make_cloud, tolerance):
    points = make_cloud(2, 200)
    expected, outputs = encoder(points), encoder(points[:, torch.randperm(200)])
    torch.testing.assert_close(outputs.last_hidden_state, expected.last_hidden_state, **tolerance[torch.float32])


def test_model_starts_at_the_first_point_when_told(build_tiny_config, unit_sphere_cloud):
    model = JointMAEModel(build_tiny_config(fps_start="first"))
    assert torch.equal(model(unit_sphere_cloud).centers[:, 0], unit_sphere_cloud[:, 0])


def test_model_starts_at_a_random_point_in_training_alone(build_tiny_config, unit_sphere_cloud):
    model = JointMAEForPreTraining(build_tiny_config(fps_start="random"))
    starts = {tuple(model(unit_sphere_cloud).centers[0, 0].tolist()) for _ in range(8)}
    assert len(starts) > 1
    model.eval()
    starts = {tuple(model(unit_sphere_cloud).centers[0, 0].tolist()) for _ in range(8)}
    assert len(starts) == 1


def test_model_returns_feature_maps_before_the_norm(encoder, unit_sphere_cloud):
    outputs = encoder(unit_sphere_cloud, output_hidden_states=True)
    assert len(outputs.feature_maps) == 2
    assert torch.equal(encoder.layernorm(outputs.feature_maps[-1]), outputs.last_hidden_state)


def test_model_gives_every_parameter_a_gradient(encoder, joint_inputs):
    encoder.train()
    (encoder(**joint_inputs).last_hidden_state * torch.randn(2, 20, 32)).sum().backward()
    assert not [name for name, parameter in encoder.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.zeros(2, 64, 3, dtype=torch.long), r"`points` must be a floating point tensor, got torch\.int64"),
        ([[[0.0, 0.0, 0.0]]], "`points` must be a floating point tensor, got list"),
        (
            torch.zeros(2, 64, 3, dtype=torch.complex64),
            r"`points` must be a floating point tensor, got torch\.complex",
        ),
    ],
)
def test_model_refuses_points_of_another_type(encoder, points, message):
    with pytest.raises(TypeError, match=message):
        encoder(points)


@pytest.mark.parametrize("shape", [(64, 3), (2, 3, 64), (2, 64, 6), (1, 2, 64, 3)], ids=str)
def test_model_refuses_points_of_another_shape(encoder, shape):
    with pytest.raises(ValueError, match=r"`points` must have shape \(batch_size, num_points, 3\), got \("):
        encoder(torch.zeros(shape))


def test_model_refuses_too_few_points(encoder):
    with pytest.raises(ValueError, match=r"at least `num_groups\[0\]` points, got 31 and 32"):
        encoder(torch.zeros(2, 31, 3))


def test_model_refuses_no_input(encoder):
    with pytest.raises(ValueError, match="`points` or `pixel_values` must be given, got neither"):
        encoder()


def test_model_refuses_both_modalities_without_a_view(encoder, joint_inputs):
    del joint_inputs["view"]
    with pytest.raises(ValueError, match="`view` must be given with `points` and `pixel_values`, got None"):
        encoder(**joint_inputs)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("pixel_values", (2, 3, 32, 32)),
        ("pixel_values", (2, 1, 64, 64)),
        ("pixel_values", (1, 1, 32, 32)),
        ("view", (3, 4)),
        ("view", (2, 4, 4)),
        ("view", (1, 3, 4)),
        ("noise_3d", (2, 15)),
        ("noise_3d", (1, 16)),
        ("noise_2d", (2, 5)),
        ("noise_2d", (1, 4)),
    ],
    ids=str,
)
def test_model_names_the_argument_of_another_shape(encoder, joint_inputs, random_arguments, name, shape):
    inputs = {**joint_inputs, **random_arguments, name: torch.zeros(shape)}
    with pytest.raises(ValueError, match=rf"`{name}` must have shape \(2, .*\), got \({shape[0]}, "):
        encoder(**inputs)


def test_model_without_2d_branch_refuses_a_depth_map(tiny_config, joint_inputs):
    with pytest.raises(ValueError, match="`pixel_values` must be None for a model without 2D branch"):
        JointMAEModel(tiny_config, add_2d_branch=False)(**joint_inputs)
