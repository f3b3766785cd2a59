"""torch.compile and torch.export."""

import pytest
import torch

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEForPreTraining


@pytest.fixture
def model(build_tiny_config):
    return JointMAEForPreTraining(build_tiny_config(drop_path_rate=0.0)).train()


def losses_and_gradients(model, call, points, random_arguments):
    model.zero_grad()
    outputs = call(points, **random_arguments)
    outputs.loss.backward()
    return outputs, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_pretraining_agrees_in_one_graph(model, unit_sphere_cloud, random_arguments, backend, fresh_compiler):
    expected = losses_and_gradients(model, model, unit_sphere_cloud, random_arguments)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    outputs, gradients = losses_and_gradients(model, compiled, unit_sphere_cloud, random_arguments)
    for name in ("loss", "loss_3d", "loss_2d", "loss_3d_2d", "reconstructed_points"):
        torch.testing.assert_close(outputs[name], expected[0][name], rtol=1e-4, atol=1e-5, msg=name)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[1][name], rtol=1e-3, atol=1e-5, msg=name)


def test_compiled_pretraining_draws_new_masks_at_each_call(model, unit_sphere_cloud, fresh_compiler):
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    assert not torch.equal(compiled(unit_sphere_cloud).mask_3d, compiled(unit_sphere_cloud).mask_3d)


def test_compiled_pretraining_is_not_compiled_again_for_new_values(
    model, unit_sphere_cloud, make_cloud, fresh_compiler
):
    counter = torch._dynamo.testing.CompileCounter()
    compiled = torch.compile(model, fullgraph=True, backend=counter)
    for seed in range(3):
        compiled(make_cloud(seed=seed))
    assert counter.frame_count == 1


def test_exported_classification_agrees(build_tiny_config, settle, make_cloud, tolerance):
    model = settle(JointMAEForPointCloudClassification(build_tiny_config()))
    program = torch.export.export(model, (make_cloud(2),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    points = make_cloud(5, seed=1)
    torch.testing.assert_close(program.module()(points).logits, model(points).logits, **tolerance[torch.float32])


def test_exported_joint_encoder_agrees(encoder, joint_inputs, tolerance):
    program = torch.export.export(encoder, (), joint_inputs)
    expected = encoder(**joint_inputs).last_hidden_state
    result = program.module()(**joint_inputs).last_hidden_state
    torch.testing.assert_close(result, expected, **tolerance[torch.float32])


def test_exported_pretraining_agrees(pretrainer, unit_sphere_cloud, random_arguments, tolerance):
    inputs = {"points": unit_sphere_cloud, **random_arguments}
    program = torch.export.export(pretrainer, (), inputs)
    torch.testing.assert_close(program.module()(**inputs).loss, pretrainer(**inputs).loss, **tolerance[torch.float32])


def test_exported_masked_encoder_returns_the_same_masks(encoder, joint_inputs, random_arguments):
    inputs = {**joint_inputs, **random_arguments}
    result, expected = torch.export.export(encoder, (), inputs).module()(**inputs), encoder(**inputs)
    assert torch.equal(result.mask_3d, expected.mask_3d)
    assert torch.equal(result.mask_2d, expected.mask_2d)


def test_exported_masked_encoder_can_be_saved(encoder, joint_inputs, random_arguments, tmp_path):
    inputs = {**joint_inputs, **random_arguments}
    with torch.no_grad():
        torch.export.save(torch.export.export(encoder, (), inputs), tmp_path / "encoder.pt2")
    loaded = torch.export.load(tmp_path / "encoder.pt2").module()
    torch.testing.assert_close(loaded(**inputs).last_hidden_state, encoder(**inputs).last_hidden_state)
