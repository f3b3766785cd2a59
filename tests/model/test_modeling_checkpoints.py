"""Saving and loading, and loading a pre-training checkpoint into the other models."""

import copy

import pytest
import torch
from transformers import AutoModel

from jointmae_hf import (
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)
from jointmae_hf.model.modeling_jointmae import JointMAEUnitScaleLinear


HEADS = [JointMAEForPointCloudClassification, JointMAEForPointCloudSegmentation]
CLASSES = [JointMAEModel, JointMAEForPreTraining, *HEADS]


@pytest.fixture
def pretrained(pretrainer, tmp_path, transformers_log):
    pretrainer.save_pretrained(tmp_path)
    return tmp_path


def assert_equal_weights(first, second):
    first, second = first.state_dict(), second.state_dict()
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("model_class", CLASSES)
@pytest.mark.parametrize("fields", [{}, {"position_embedding_2d": "learned"}, {"use_2d_branch": False}], ids=str)
def test_model_is_bitwise_equal_when_saved_and_loaded(
    build_tiny_config, settle, tmp_path, transformers_log, unit_sphere_cloud, random_arguments, model_class, fields
):
    model = settle(model_class(build_tiny_config(**fields)))
    model.save_pretrained(tmp_path)
    again = model_class.from_pretrained(tmp_path)
    assert_equal_weights(model, again)
    inputs = random_arguments if model_class is JointMAEForPreTraining else {}
    outputs, expected = again(unit_sphere_cloud, **inputs), model(unit_sphere_cloud, **inputs)
    assert all(torch.equal(outputs[name], expected[name]) for name in expected if name != "feature_maps")
    assert transformers_log.text == ""


def test_joint_features_are_equal_when_saved_and_loaded(encoder, joint_inputs, tmp_path):
    encoder.save_pretrained(tmp_path)
    again = JointMAEModel.from_pretrained(tmp_path)
    assert torch.equal(again(**joint_inputs).last_hidden_state, encoder(**joint_inputs).last_hidden_state)


def test_twenty_loads_are_equal(pretrained, pretrainer, unit_sphere_cloud, random_arguments):
    """Tensors that are built on the meta device and not loaded hold uninitialized memory."""
    expected = pretrainer(unit_sphere_cloud, **random_arguments)
    for _ in range(20):
        model = JointMAEForPreTraining.from_pretrained(pretrained)
        outputs = model(unit_sphere_cloud, **random_arguments)
        assert torch.equal(outputs.loss, expected.loss)
        assert torch.equal(outputs.last_hidden_state, expected.last_hidden_state)


def test_every_buffer_is_saved(pretrainer):
    buffers = {name for name, _ in pretrainer.named_buffers()}
    assert buffers <= pretrainer.state_dict().keys()


@pytest.mark.parametrize("model_class", [JointMAEModel, AutoModel])
def test_pretraining_checkpoint_loads_whole_into_the_encoder(pretrained, pretrainer, transformers_log, model_class):
    model, info = model_class.from_pretrained(pretrained, output_loading_info=True)
    assert_equal_weights(model, pretrainer.jointmae)
    assert not info["missing_keys"]
    assert transformers_log.text == ""


@pytest.mark.parametrize("model_class", HEADS)
def test_pretraining_checkpoint_leaves_only_the_head_to_be_trained(pretrained, pretrainer, model_class):
    model, info = model_class.from_pretrained(pretrained, output_loading_info=True)
    head = "classifier." if model_class is JointMAEForPointCloudClassification else "segmenter."
    expected = {name for name in model.state_dict() if name.startswith(head) and "num_batches" not in name}
    assert {name for name in info["missing_keys"] if "num_batches" not in name} == expected
    loaded, trained = model.jointmae.state_dict(), pretrainer.jointmae.state_dict()
    assert [name for name in loaded if not torch.equal(loaded[name], trained[name])] == []


@pytest.mark.parametrize("model_class", HEADS)
def test_pretraining_checkpoint_loads_silently_without_the_other_parts(pretrained, transformers_log, model_class):
    model_class.from_pretrained(pretrained)
    assert "UNEXPECTED" not in transformers_log.text
    assert "decoder." not in transformers_log.text
    assert "2d" not in transformers_log.text


@pytest.mark.parametrize("model_class", HEADS)
def test_head_checkpoint_loads_into_the_3d_encoder(build_tiny_config, tmp_path, unit_sphere_cloud, model_class):
    model = model_class(build_tiny_config()).eval()
    model.save_pretrained(tmp_path)
    encoder = JointMAEModel.from_pretrained(tmp_path, add_2d_branch=False)
    expected = model.jointmae(unit_sphere_cloud).last_hidden_state
    assert torch.equal(encoder(unit_sphere_cloud).last_hidden_state, expected)


def test_fields_may_be_changed_on_loading(pretrained, unit_sphere_cloud):
    model = JointMAEForPointCloudClassification.from_pretrained(pretrained, num_labels=7, classifier_dropout=0.1)
    assert model(unit_sphere_cloud).logits.shape == (2, 7)
    assert model.classifier.dropout.p == 0.1


def test_head_of_another_size_needs_permission(build_tiny_config, tmp_path, unit_sphere_cloud):
    JointMAEForPointCloudClassification(build_tiny_config(num_labels=3)).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError):
        JointMAEForPointCloudClassification.from_pretrained(tmp_path, num_labels=5)
    arguments = {"num_labels": 5, "ignore_mismatched_sizes": True}
    model = JointMAEForPointCloudClassification.from_pretrained(tmp_path, **arguments)
    assert model(unit_sphere_cloud).logits.shape == (2, 5)


def test_model_may_be_copied(pretrainer, unit_sphere_cloud, random_arguments):
    copied = copy.deepcopy(pretrainer)
    expected = pretrainer(unit_sphere_cloud, **random_arguments).loss
    assert torch.equal(copied(unit_sphere_cloud, **random_arguments).loss, expected)


def test_weights_have_their_initial_scale(build_tiny_config):
    model = JointMAEForPreTraining(build_tiny_config(hidden_size=128, position_embedding_2d="learned"))
    unit_scale = {f"{name}.weight": m for name, m in model.named_modules() if isinstance(m, JointMAEUnitScaleLinear)}
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            std = unit_scale[name].in_features ** -0.5 if name in unit_scale else 0.02
            assert 0.5 * std < parameter.std() < 1.5 * std, name
        elif name.endswith("bias"):
            assert parameter.abs().max() == 0, name
        else:
            assert (parameter == 1).all(), name
