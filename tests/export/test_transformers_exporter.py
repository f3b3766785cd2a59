"""Export by `OnnxExporter` of transformers, which finds the translation of our operator by itself."""

import onnxruntime  # noqa: F401 - the exported model runs in it
import pytest
import torch

from jointmae_hf import (
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)
from jointmae_hf.model.depth_projection import sample_views


exporters = pytest.importorskip("transformers.exporters")


@pytest.mark.parametrize(
    ("model_class", "name"),
    [
        (JointMAEModel, "pooler_output"),
        (JointMAEForPreTraining, "loss"),
        (JointMAEForPointCloudClassification, "logits"),
        (JointMAEForPointCloudSegmentation, "logits"),
    ],
)
def test_onnx_exporter_of_transformers_agrees(tiny_config, settle, make_cloud, tolerance, model_class, name):
    model, inputs = settle(model_class(tiny_config)), {"points": make_cloud()}
    if model_class is JointMAEForPreTraining:
        view = sample_views(torch.rand(2, 2), 2.0, 45.0)
        inputs |= {"view": view, "noise_3d": torch.rand(2, 16), "noise_2d": torch.rand(2, 4)}
    exported = exporters.OnnxExporter().export(model, dict(inputs), config=exporters.OnnxConfig())
    with torch.no_grad():
        expected = model(**inputs)[name]
    result = torch.as_tensor(exported(**inputs)[name])
    torch.testing.assert_close(result, expected, **tolerance[torch.float32])
