"""Clouds for all benchmarks: uniform samples of procedural surfaces in the unit sphere."""

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data import generate_shape


def make_clouds(num_clouds: int, num_points: int) -> Tensor:
    """Return float32 clouds `(num_clouds, num_points, 3)` of 8 shapes, which repeat with permuted points."""
    generator = np.random.default_rng(0)
    shapes = [generate_shape(0, "train", index, num_points=num_points).points for index in range(min(num_clouds, 8))]
    clouds = [shapes[index % 8][generator.permutation(num_points)] for index in range(num_clouds)]
    points = torch.from_numpy(np.stack(clouds)).float()
    points = points - points.mean(dim=1, keepdim=True)
    return points / points.norm(dim=-1).amax(dim=1)[:, None, None]
