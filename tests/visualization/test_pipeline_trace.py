import pytest
import torch

from jointmae_hf.visualization import attention_pairs, trace_pipeline
from jointmae_hf.visualization.pipeline_trace import attention_setting


def test_trace_holds_the_tensors_that_the_model_returned(trace):
    assert trace.tensors["encoded"].equal(trace.outputs.last_hidden_state)


def test_trace_holds_the_predictions_that_were_assembled(trace):
    outputs, group_size = trace.outputs, trace.tensors["predicted_groups"].shape[2]
    groups = outputs.reconstructed_points.unflatten(1, (-1, group_size)) - outputs.centers[:, :, None]
    torch.testing.assert_close(groups[outputs.mask_3d], trace.tensors["predicted_groups"].flatten(0, 1))


@pytest.mark.parametrize("name", ["fine_centers", "fine_features_2d", "visible_tokens", "decoded", "decoded_2d"])
def test_trace_names_every_stage(trace, name):
    assert len(trace.tensors[name]) == 2


def test_trace_goes_without_shared_decoder(build_model, unit_sphere_cloud):
    trace = trace_pipeline(build_model(decoder_num_hidden_layers=0), unit_sphere_cloud)
    assert "decoded" not in trace.tensors


def test_trace_leaves_no_hook_behind(model, unit_sphere_cloud):
    trace_pipeline(model, unit_sphere_cloud)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_trace_refuses_a_model_without_2d_branch(build_model, unit_sphere_cloud):
    with pytest.raises(ValueError, match="`model` must have a 2D branch"):
        trace_pipeline(build_model(use_2d_branch=False), unit_sphere_cloud)


def test_visible_pairs_are_those_of_all_tokens(model, trace):
    outputs = trace.outputs
    pairs = attention_pairs(trace)
    is_visible = torch.cat([~outputs.mask_3d, ~outputs.mask_2d], dim=1)
    for row in range(len(pairs)):
        assert trace.may_attend[row].equal(pairs[row][is_visible[row]][:, is_visible[row]])


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_pairs_are_valid_within_a_modality_and_symmetric(model, trace, implementation):
    model.set_attn_implementation(implementation)
    pairs = attention_pairs(trace)
    num_3d = trace.outputs.centers.shape[1]
    assert pairs[:, :num_3d, :num_3d].all()
    assert pairs[:, num_3d:, num_3d:].all()
    assert 0 < pairs[:, :num_3d, num_3d:].sum() <= pairs.shape[0] * num_3d
    assert pairs.equal(pairs.transpose(1, 2))


def test_attention_pairs_are_all_valid_when_attention_is_global(model, trace):
    assert attention_pairs(trace, is_local=False).all()


def test_attention_setting_puts_the_configuration_back_after_an_error(build_model):
    model = build_model(local_2d_to_3d=False).train()
    with pytest.raises(RuntimeError), attention_setting(model, is_local=True):
        raise RuntimeError
    assert (model.config.local_2d_to_3d, model.config.local_3d_to_2d, model.training) == (False, True, True)
