"""Quantized models: inputs keep their dtype, and what reads coordinates stays in floating point."""

import copy

import pytest
import torch
from torch import nn
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from jointmae_hf import (
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)
from jointmae_hf.model.modeling_jointmae import compute_dtype


CLASSES = [
    JointMAEModel,
    JointMAEForPreTraining,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
]
FLAT = {"embedding_3d": "flat", "embedding_2d": "flat", "num_groups": [16], "group_size": [4]}
EMBEDDINGS = pytest.mark.parametrize("fields", [{}, FLAT], ids=["hierarchical", "flat"])
WITH_OUTPUT = pytest.mark.parametrize(
    ("model_class", "name", "largest_error"),
    [
        (JointMAEModel, "pooler_output", 0.03),
        (JointMAEForPreTraining, "loss", 0.01),
        (JointMAEForPreTraining, "reconstructed_points", 0.01),
        (JointMAEForPointCloudClassification, "logits", 0.25),  # random weights, where batch norm amplifies rounding
        (JointMAEForPointCloudSegmentation, "logits", 0.25),
    ],
)


class Int8Linear(nn.Module):
    """Linear layer with int8 weights and one scale for each output, as bitsandbytes and torchao keep them."""

    def __init__(self, linear):
        super().__init__()
        scale = linear.weight.abs().amax(dim=1, keepdim=True) / 127
        self.weight = nn.Parameter((linear.weight / scale).round().to(torch.int8), requires_grad=False)
        self.scale = nn.Buffer(scale.detach())
        self.bias = linear.bias

    def forward(self, features):
        return nn.functional.linear(features, self.weight * self.scale, self.bias)


def with_int8_weights(model):
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear):
            model.set_submodule(name, Int8Linear(module))
    return model


def relative_error(model, quantized, name, points, inputs):
    with torch.no_grad():
        expected, result = model(points, **inputs)[name], quantized(points, **inputs)[name]
    return (result - expected).norm() / expected.norm()


@EMBEDDINGS
@WITH_OUTPUT
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dynamically_quantized_model_is_close_to_float32(
    build_tiny_config, settle, unit_sphere_cloud, random_arguments, fields, model_class, name, largest_error
):
    model = settle(model_class(build_tiny_config(**fields)))
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    inputs = random_arguments if model_class is JointMAEForPreTraining else {}
    assert relative_error(model, quantized, name, unit_sphere_cloud, inputs) < largest_error


@EMBEDDINGS
@WITH_OUTPUT
def test_model_with_int8_weights_is_close_to_float32(
    build_tiny_config, settle, unit_sphere_cloud, random_arguments, fields, model_class, name, largest_error
):
    model = settle(model_class(build_tiny_config(**fields)))
    inputs = random_arguments if model_class is JointMAEForPreTraining else {}
    assert relative_error(model, with_int8_weights(model), name, unit_sphere_cloud, inputs) < largest_error


@pytest.mark.parametrize("model_class", CLASSES)
def test_quantizers_skip_what_reads_coordinates(tiny_config, model_class):
    model = model_class(tiny_config)
    skipped = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    of_coordinates = {name for name in linear if "embeddings_3d." in name}
    assert len(of_coordinates) >= 7
    assert {name for name in linear if not should_convert_module(name, skipped)} == of_coordinates


@pytest.mark.parametrize("model_class", CLASSES)
def test_model_loads_in_float16(tiny_config, tmp_path, unit_sphere_cloud, model_class):
    model_class(tiny_config).save_pretrained(tmp_path)
    model = model_class.from_pretrained(tmp_path, dtype=torch.float16).eval()
    dtypes = {name: parameter.dtype for name, parameter in model.named_parameters()}
    in_float32 = {name for name, dtype in dtypes.items() if dtype == torch.float32}
    assert in_float32 == {name for name in dtypes if "embeddings_3d." in name}
    assert model(unit_sphere_cloud)[0].isfinite().all()


def test_compute_dtype_is_never_that_of_integers():
    linear = nn.Linear(3, 4).to(torch.bfloat16)
    assert compute_dtype(linear) == torch.bfloat16
    assert compute_dtype(Int8Linear(linear)) == torch.bfloat16
    assert compute_dtype(Int8Linear(nn.Linear(3, 4, bias=False))) == torch.float32
