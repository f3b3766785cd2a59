"""Figure 4: its errors add up to the losses of the model."""

import numpy as np
import pytest

from jointmae_hf.visualization import loss_figure, loss_terms, trace_pipeline


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


def test_loss_figure_writes_the_values_of_its_cloud(model, trace, texts):
    figure = loss_figure(trace, row=1)
    written = [text for text in texts(figure) if text.startswith("this cloud")]
    values = [float(text.split()[2].rstrip(",")) for text in written]
    np.testing.assert_allclose(sorted(values), sorted(means(loss_terms(trace, 1))), atol=5e-5)
