"""A tiny model with its trace, arrays of a reconstruction, and the texts of a figure."""

import numpy as np
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


@pytest.fixture
def shapes():
    """Arrays of two shapes, as `reconstruction_figure` takes them."""
    random = np.random.default_rng(0)
    points = random.uniform(-0.5, 0.5, (2, 64, 3))
    depth_map = np.zeros((2, 1, 32, 32))
    depth_map[:, :, 8:24, 8:24] = random.uniform(0.4, 0.9, (2, 1, 16, 16))
    mask_2d = np.zeros((2, 4), dtype=bool)
    mask_2d[:, 0] = True
    return {
        "points": points,
        "centers": points[:, :16],
        "visible_points": [points[0, :16], points[1, :20]],
        "reconstructed_points": points,
        "is_hidden": np.arange(64)[None].repeat(2, axis=0) >= 16,
        "depth_map": depth_map,
        "mask_2d": mask_2d,
        "reconstructed_pixels": depth_map,
    }


@pytest.fixture
def texts():
    """Function that lists the texts of a figure."""
    return lambda figure: [text.get_text() for text in figure.texts]
