"""Figure 2: every stage with its shape, for the model and its ablations."""

import pytest

from jointmae_hf.visualization import pipeline_figure, trace_pipeline


def test_pipeline_figure_gives_the_shape_of_every_stage(trace, texts):
    shapes = texts(pipeline_figure(trace, title="mug"))
    assert {"64 x 3", "32 x 3", "(4 + 4) x 32", "(16 + 16) x 32", "12 x 4 x 3 predicted, given in gray"} <= set(shapes)
    assert "3D branch: mug" in shapes


@pytest.mark.parametrize(
    "overrides", [{"embedding_2d": "flat"}, {"decoder_num_hidden_layers": 0}, {"neighborhood": "all"}]
)
def test_pipeline_figure_draws_the_ablations(build_model, unit_sphere_cloud, overrides):
    trace = trace_pipeline(build_model(**overrides), unit_sphere_cloud)
    assert len(pipeline_figure(trace).axes) >= 14


def test_pipeline_figure_draws_the_flat_3d_embedding(build_model, unit_sphere_cloud, texts):
    model = build_model(embedding_3d="flat", num_groups=[16], group_size=[8])
    figure = pipeline_figure(trace_pipeline(model, unit_sphere_cloud))
    assert "FPS centers, fine scale" not in texts(figure)
