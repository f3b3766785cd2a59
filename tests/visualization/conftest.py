"""A tiny model with its trace, and clouds that it has never seen."""

import pytest
import torch

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.visualization import trace_pipeline


@pytest.fixture
def build_model(build_tiny_config):
    """Build a tiny model in evaluation mode; its image has 4 x 4 patches."""

    def build(**overrides):
        torch.manual_seed(0)
        return JointMAEForPreTraining(build_tiny_config(image_size=64, **overrides)).eval()

    return build


@pytest.fixture
def model(build_model):
    return build_model()


@pytest.fixture
def trace(model, unit_sphere_cloud):
    return trace_pipeline(model, unit_sphere_cloud, seed=3)
