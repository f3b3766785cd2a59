"""Clouds from outside through feature extractor, models and pipelines: a finite result, or an error with their index."""

import resource

import numpy as np
import pytest
import torch
from outside_clouds import CLOUD, CONTAINERS, INVALID, SHAPES
from transformers import pipeline

from jointmae_hf import (
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)


MODELS = [
    JointMAEModel,
    JointMAEForPreTraining,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
]
PIPELINES = {
    "point-cloud-classification": JointMAEForPointCloudClassification,
    "point-cloud-segmentation": JointMAEForPointCloudSegmentation,
    "point-cloud-feature-extraction": JointMAEModel,
}
VALID = {**SHAPES, **CONTAINERS}
# A tensor that a model computes with in float32, without the feature extractor before it.
TENSORS = {name: cloud for name, cloud in SHAPES.items() if len(cloud) == 64 and np.abs(cloud).max() < 1e18}


@pytest.fixture
def extractor():
    return JointMAEFeatureExtractor(num_points=64)


@pytest.fixture
def build_model(build_tiny_config, settle):
    """Build a tiny model of a class, in evaluation mode."""
    return lambda model_class: settle(model_class(build_tiny_config(id2label={0: "chair", 1: "lamp"})))


@pytest.fixture
def build_pipeline(build_model, extractor):
    return lambda task: pipeline(task, model=build_model(PIPELINES[task]), feature_extractor=extractor)


def tensors_of(outputs):
    return {
        name: value for name, value in outputs.items() if isinstance(value, torch.Tensor) and value.is_floating_point()
    }


def labels_of(model, batch_size):
    """Labels of a batch for the heads, nothing for the other models."""
    shape = {
        JointMAEForPointCloudClassification: (batch_size,),
        JointMAEForPointCloudSegmentation: (batch_size, 64),
    }.get(type(model))
    return {} if shape is None else {"labels": torch.ones(shape, dtype=torch.long)}


def numbers_of(result):
    """All numbers in what a pipeline returned for one cloud."""
    if isinstance(result, list):
        return [guess["score"] for guess in result]
    return result["scores"] if isinstance(result, dict) else result


@pytest.mark.parametrize("name", VALID)
def test_extractor_returns_finite_points_in_the_unit_sphere(extractor, name):
    points = extractor(VALID[name], return_tensors="pt")["points"]
    assert (points.shape, points.dtype) == ((1, 64, 3), torch.float32)
    assert points.isfinite().all()
    assert points.norm(dim=-1).max() <= 1 + 1e-6


@pytest.mark.parametrize("name", INVALID)
def test_extractor_names_index_and_rule_of_what_is_no_cloud(extractor, name):
    value, rule = INVALID[name]
    with pytest.raises((TypeError, ValueError), match=rf"`points\[2\]` must .*{rule}"):
        extractor([CLOUD, CLOUD[:7], value])


@pytest.mark.parametrize("model_class", MODELS)
def test_model_gives_finite_outputs_and_gradients_for_degenerate_clouds(build_model, model_class):
    model = build_model(model_class)
    for mode in (False, True):
        model.train(mode)
        for name, cloud in TENSORS.items():
            points = torch.from_numpy(np.stack([CLOUD, cloud])).float().requires_grad_()
            outputs = tensors_of(model(points, **labels_of(model, 2)))
            assert all(value.isfinite().all() for value in outputs.values()), name
            model.zero_grad()
            outputs.get("loss", next(iter(outputs.values())).sum()).backward()
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            assert gradients, name
            assert all(gradient.isfinite().all() for gradient in [*gradients, points.grad]), name


@pytest.mark.parametrize("model_class", MODELS)
def test_model_gives_finite_outputs_for_all_that_the_extractor_prepares(build_model, extractor, model_class):
    points = extractor(list(VALID.values()), return_tensors="pt")["points"]
    with torch.no_grad():
        outputs = tensors_of(build_model(model_class)(points))
    for index, name in enumerate(VALID):
        assert all(value[index].isfinite().all() for value in outputs.values() if value.ndim), name
    assert all(value.isfinite().all() for value in outputs.values())


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_model_names_the_cloud_that_it_cannot_compute_with(build_model, model_class, value, dtype):
    points = torch.from_numpy(np.stack([CLOUD] * 4)).to(dtype)
    points[2, 5, 1] = value
    with pytest.raises(ValueError, match=r"`points\[2\]` must be finite and at most 1e\+18 .* at point 5\."):
        build_model(model_class)(points)


@pytest.mark.parametrize("model_class", MODELS)
@pytest.mark.parametrize(
    ("points", "rule"),
    [
        (torch.from_numpy(CLOUD), r"shape \(batch_size, num_points, 3\)"),
        (torch.zeros(2, 3, 64), r"shape \(batch_size, num_points, 3\)"),
        (torch.zeros(2, 64, 2), r"shape \(batch_size, num_points, 3\)"),
        (torch.zeros(2, 0, 3), r"at least `num_groups\[0\]` points"),
        (torch.zeros(2, 31, 3), r"at least `num_groups\[0\]` points"),
        (torch.zeros(2, 64, 3, dtype=torch.int16), "floating point tensor"),
        (torch.zeros(2, 64, 3, dtype=torch.complex64), "floating point tensor"),
        (np.zeros((2, 64, 3)), "floating point tensor"),
    ],
    ids=["one_cloud", "transposed", "flat", "empty", "too_few", "integers", "complex", "numpy"],
)
def test_model_names_the_rule_of_a_batch_that_is_none(build_model, model_class, points, rule):
    with pytest.raises((TypeError, ValueError), match=rf"`points` must .*{rule}"):
        build_model(model_class)(points)


@pytest.mark.parametrize("task", PIPELINES)
def test_pipeline_gives_finite_results_for_every_cloud(build_pipeline, task):
    results = build_pipeline(task)(list(VALID.values()), batch_size=8)
    for name, result in zip(VALID, results, strict=True):
        assert np.isfinite(numbers_of(result)).all(), name


def test_segmentation_pipeline_labels_every_point_that_was_given(build_pipeline):
    results = build_pipeline("point-cloud-segmentation")(list(SHAPES.values()))
    for (name, cloud), result in zip(SHAPES.items(), results, strict=True):
        np.testing.assert_array_equal(result["points"], cloud, err_msg=name)
        assert len(result["labels"]) == len(cloud), name


@pytest.mark.parametrize("task", PIPELINES)
def test_pipeline_names_index_and_rule_of_what_is_no_cloud(build_pipeline, task):
    run = build_pipeline(task)
    for name, (value, rule) in INVALID.items():
        with pytest.raises((TypeError, ValueError), match=rf"`inputs\[1\]` must .*{rule}"):
            pytest.fail(f"{name} gave {run([CLOUD, value])}")


@pytest.mark.slow
def test_ten_million_points_become_a_vector_in_bounded_memory(build_pipeline):
    cloud = np.random.default_rng(0).normal(size=(10_000_000, 3)).astype(np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    features = build_pipeline("point-cloud-feature-extraction")(cloud)
    assert np.isfinite(features).all()
    # Float64 and its intermediate results: a few hundred bytes a point would be a leak.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 200 * len(cloud)
