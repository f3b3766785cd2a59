"""Checks of inputs. The tests of each model show which inputs it refuses."""

import pytest
import torch

from jointmae_hf import (
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)
from jointmae_hf.model import input_checks, modeling_jointmae
from jointmae_hf.model.input_checks import LARGEST_COORDINATE, check_points


@pytest.mark.parametrize(
    "model_class",
    [
        JointMAEModel,
        JointMAEForPreTraining,
        JointMAEForPointCloudClassification,
        JointMAEForPointCloudSegmentation,
    ],
)
def test_points_are_checked_once_in_a_call(tiny_config, unit_sphere_cloud, monkeypatch, model_class):
    checked = []
    for module in (input_checks, modeling_jointmae):
        monkeypatch.setattr(module, "check_points", lambda points, num_centers: checked.append(points))
    model_class(tiny_config)(unit_sphere_cloud)
    assert len(checked) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2 * LARGEST_COORDINATE])
def test_check_points_names_the_first_invalid_point(unit_sphere_cloud, value):
    unit_sphere_cloud[1, 5, 2] = value
    with pytest.raises(ValueError, match=r"`points\[1\]` must be finite and at most 1e\+18 in size.* at point 5"):
        check_points(unit_sphere_cloud, 32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_check_points_accepts_floating_point_clouds(unit_sphere_cloud, dtype):
    check_points(unit_sphere_cloud.to(dtype), 64)


@pytest.mark.parametrize(
    ("model_class", "labels"),
    [(JointMAEForPointCloudClassification, (2,)), (JointMAEForPointCloudSegmentation, (2, 64))],
)
@pytest.mark.parametrize("points", [[[[0.0, 0.0, 0.0]]], torch.zeros(64, 3), torch.zeros(2, 64, 3, dtype=torch.long)])
def test_invalid_points_are_named_before_labels(tiny_config, model_class, labels, points):
    with pytest.raises((TypeError, ValueError), match="`points` must"):
        model_class(tiny_config)(points, labels=torch.zeros(labels, dtype=torch.long))
