"""Short floats, autocast and gradient checkpointing."""

import pytest
import torch

from jointmae_hf import (
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)


SHORT = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
CLASSES = pytest.mark.parametrize(
    "model_class",
    [JointMAEModel, JointMAEForPreTraining, JointMAEForPointCloudClassification, JointMAEForPointCloudSegmentation],
)


@SHORT
@CLASSES
@pytest.mark.parametrize("points_are_short", [False, True])
def test_short_model_is_finite(tiny_config, settle, unit_sphere_cloud, model_class, dtype, points_are_short):
    model = settle(model_class(tiny_config)).to(dtype)
    outputs = model(unit_sphere_cloud.to(dtype) if points_are_short else unit_sphere_cloud)
    tensors = [value for value in outputs.values() if isinstance(value, torch.Tensor)]
    assert all(value.isfinite().all() for value in tensors)


@SHORT
def test_short_model_has_finite_gradients(tiny_config, unit_sphere_cloud, dtype):
    model = JointMAEForPreTraining(tiny_config).to(dtype)
    model(unit_sphere_cloud).loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@SHORT
def test_short_model_keeps_geometry_and_losses_in_float32(pretrainer, unit_sphere_cloud, random_arguments, dtype):
    expected = pretrainer(unit_sphere_cloud, **random_arguments)
    outputs = pretrainer.to(dtype)(unit_sphere_cloud, **random_arguments)
    assert outputs.loss.dtype == outputs.reconstructed_points.dtype == torch.float32
    for name in ("centers", "mask_3d", "mask_2d", "depth_map", "target_points"):
        assert torch.equal(outputs[name], expected[name]), name


@SHORT
def test_short_model_is_close_to_float32(encoder, joint_inputs, tolerance, dtype):
    expected = encoder(**joint_inputs).last_hidden_state
    result = encoder.to(dtype)(**joint_inputs).last_hidden_state
    error = (result.float() - expected).norm() / expected.norm()
    assert error < tolerance[dtype]["rtol"]


@CLASSES
def test_model_loads_in_bfloat16(tiny_config, tmp_path, unit_sphere_cloud, model_class):
    model_class(tiny_config).save_pretrained(tmp_path)
    model = model_class.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model(unit_sphere_cloud)[0].isfinite().all()


def test_autocast_keeps_geometry_and_masks(pretrainer, unit_sphere_cloud, random_arguments, record_calls):
    calls = record_calls(pretrainer.jointmae.layers[0])
    expected = pretrainer(unit_sphere_cloud, **random_arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = pretrainer(unit_sphere_cloud, **random_arguments)
    for name in ("centers", "mask_3d", "mask_2d", "depth_map", "target_points"):
        assert torch.equal(outputs[name], expected[name]), name
    assert torch.equal(calls[0][0][2], calls[1][0][2])


def test_autocast_keeps_losses_in_float32_and_gradients_finite(pretrainer, unit_sphere_cloud, random_arguments):
    pretrainer.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = pretrainer(unit_sphere_cloud, **random_arguments)
    outputs.loss.backward()
    assert {outputs[name].dtype for name in ("loss", "loss_3d", "loss_2d", "loss_3d_2d")} == {torch.float32}
    assert all(parameter.grad.isfinite().all() for parameter in pretrainer.parameters())


def test_double_model_stays_double(pretrainer, unit_sphere_cloud, random_arguments):
    outputs = pretrainer.double()(unit_sphere_cloud.double(), **random_arguments)
    names = ("loss", "reconstructed_points", "depth_map", "last_hidden_state")
    assert {outputs[name].dtype for name in names} == {torch.float64}


def test_gradient_checkpointing_gives_equal_gradients(tiny_config, unit_sphere_cloud, random_arguments):
    gradients = []
    for is_on in (False, True):
        torch.manual_seed(0)
        model = JointMAEForPreTraining(tiny_config).train()
        if is_on:
            model.gradient_checkpointing_enable()
        torch.manual_seed(1)  # of drop path
        model(unit_sphere_cloud, **random_arguments).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-7, msg=name)


def test_two_runs_are_bitwise_equal(tiny_config, unit_sphere_cloud, random_arguments):
    gradients = []
    for _ in range(2):
        torch.manual_seed(0)
        model = JointMAEForPreTraining(tiny_config).train()
        model(unit_sphere_cloud, **random_arguments).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
