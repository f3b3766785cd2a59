"""Attention maps and their figure."""

import pytest
import torch

from jointmae_hf.visualization import attention_figure, attention_maps


def test_attention_maps_are_distributions_over_what_is_allowed(model, trace):
    weights = attention_maps(trace, is_local=True)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:2]))
    num_3d = trace.outputs.centers.shape[1]
    assert (weights[:, :num_3d, num_3d:] > 0).sum(dim=-1).max() == 1


def test_attention_maps_differ_when_attention_is_global(model, trace):
    assert (attention_maps(trace, is_local=False) > 0).all()


def test_attention_maps_put_the_implementation_back(model, trace):
    attention_maps(trace)
    assert model.config._attn_implementation == "sdpa"


def test_attention_maps_name_the_layer_when_it_is_wrong(model, trace):
    with pytest.raises(ValueError, match="`layer` must be one of 2 blocks, got 2"):
        attention_maps(trace, layer=2)


def test_attention_figure_gives_shares_that_add_up(model, unit_sphere_cloud, texts):
    shares = [text for text in texts(attention_figure(model, unit_sphere_cloud[0])) if "% to" in text]
    assert len(shares) == 8
    values = [int(share.split()[0]) for share in shares]
    assert all(abs(a + b - 100) <= 1 for a, b in zip(values[::2], values[1::2], strict=True))


def test_attention_figure_names_the_token_when_it_is_wrong(model, unit_sphere_cloud):
    with pytest.raises(ValueError, match="`token` must be one of 16 tokens, got 16"):
        attention_figure(model, unit_sphere_cloud[0], token=16)
