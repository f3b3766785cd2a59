"""Figures 2, 3 and 4: what they show are the numbers of the model."""

import numpy as np
import pytest
import torch

from jointmae_hf.visualization import (
    alignment_figure,
    attention_figure,
    attention_maps,
    loss_figure,
    loss_terms,
    pipeline_figure,
    trace_pipeline,
)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def means(terms):
    return [
        terms["predicted_errors"].mean() + terms["target_errors"].mean(),
        np.nanmean(terms["map_errors"]),
        terms["view_errors"].mean(),
    ]


@pytest.mark.parametrize("overrides", [{}, {"projection_mode": "rendered"}, {"loss_3d_target": "cloud"}])
def test_errors_of_the_loss_figure_add_up_to_the_losses(build_model, make_cloud, overrides):
    model = build_model(**overrides)
    trace = trace_pipeline(model, make_cloud(batch_size=1))
    losses = trace.outputs.loss_3d, trace.outputs.loss_2d, trace.outputs.loss_3d_2d
    np.testing.assert_allclose(means(loss_terms(trace)), [loss.item() for loss in losses], rtol=1e-4)


def test_loss_figure_writes_the_values_of_its_cloud(model, trace):
    figure = loss_figure(trace, row=1)
    written = [text for text in texts(figure) if text.startswith("this cloud")]
    values = [float(text.split()[2].rstrip(",")) for text in written]
    np.testing.assert_allclose(sorted(values), sorted(means(loss_terms(trace, 1))), atol=5e-5)


def test_pipeline_figure_gives_the_shape_of_every_stage(trace):
    shapes = texts(pipeline_figure(trace, title="mug"))
    assert {"64 x 3", "32 x 3", "(4 + 4) x 32", "(16 + 16) x 32", "12 x 4 x 3 predicted, given in gray"} <= set(shapes)
    assert "3D branch: mug" in shapes


@pytest.mark.parametrize(
    "overrides", [{"embedding_2d": "flat"}, {"decoder_num_hidden_layers": 0}, {"neighborhood": "all"}]
)
def test_pipeline_figure_draws_the_ablations(build_model, unit_sphere_cloud, overrides):
    trace = trace_pipeline(build_model(**overrides), unit_sphere_cloud)
    assert len(pipeline_figure(trace).axes) >= 14


def test_pipeline_figure_draws_the_flat_3d_embedding(build_model, unit_sphere_cloud):
    model = build_model(embedding_3d="flat", num_groups=[16], group_size=[8])
    figure = pipeline_figure(trace_pipeline(model, unit_sphere_cloud))
    assert "FPS centers, fine scale" not in texts(figure)


def test_alignment_figure_counts_correlated_pairs(model, trace):
    num_3d, visible = trace.outputs.centers.shape[1], int((~trace.outputs.mask_3d[0]).sum())
    counts = [text for text in texts(alignment_figure(trace)) if "correlated" in text]
    assert counts[0].startswith(f"{num_3d} of {num_3d * 16}")  # every center lies in one patch
    assert counts[1].startswith(f"{int(trace.may_attend[0, :visible, visible:].sum())} of ")


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


def test_attention_figure_gives_shares_that_add_up(model, unit_sphere_cloud):
    shares = [text for text in texts(attention_figure(model, unit_sphere_cloud[0])) if "% to" in text]
    assert len(shares) == 8
    values = [int(share.split()[0]) for share in shares]
    assert all(abs(a + b - 100) <= 1 for a, b in zip(values[::2], values[1::2], strict=True))


def test_attention_figure_names_the_token_when_it_is_wrong(model, unit_sphere_cloud):
    with pytest.raises(ValueError, match="`token` must be one of 16 tokens, got 16"):
        attention_figure(model, unit_sphere_cloud[0], token=16)
