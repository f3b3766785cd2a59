"""Clouds that benchmarks measure on: uniform samples of procedural surfaces in the unit sphere."""

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data import generate_shape


def make_clouds(num_clouds: int, num_points: int) -> Tensor:
    """Generate clouds.

    Args:
        num_clouds (`int`):
            Clouds; from the ninth on they repeat with their points in another order.
        num_points (`int`):
            Points of each.

    Returns:
        `torch.Tensor` of shape `(num_clouds, num_points, 3)`: float32.
    """
    generator = np.random.default_rng(0)
    shapes = [generate_shape(0, "train", index, num_points=num_points).points for index in range(min(num_clouds, 8))]
    clouds = [shapes[index % 8][generator.permutation(num_points)] for index in range(num_clouds)]
    points = torch.from_numpy(np.stack(clouds)).float()
    points = points - points.mean(dim=1, keepdim=True)
    return points / points.norm(dim=-1).amax(dim=1)[:, None, None]
