"""Fig. 5 of the paper from a model: reconstruct some clouds by fixed masks and a fixed view, and draw them."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data import RandomStream, counter_uniform
from jointmae_hf.model import JointMAEForPreTraining
from jointmae_hf.model.depth_projection import view_from_angles
from jointmae_hf.model.modeling_jointmae import JointMAEForPreTrainingOutput

from .figure_layout import to_numpy
from .reconstruction_figure import reconstruction_figure
from .reconstruction_tiles import GIVEN_COLOR, depth_tiles, height_colors, point_tiles


if TYPE_CHECKING:
    from matplotlib.figure import Figure


@torch.no_grad()
def reconstruct(
    model: JointMAEForPreTraining, points: Tensor, seed: int = 0, azimuth: float = 35.0, elevation: float = 20.0
) -> JointMAEForPreTrainingOutput:
    """Reconstruct clouds in evaluation mode, with masks that depend on `seed` and the row alone.

    Args:
        model (`JointMAEForPreTraining`):
            The model; its training mode is put back.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Clouds in the unit sphere, y up.
        seed (`int`, *optional*, defaults to 0):
            Seed of the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis of the depth map's view.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane of the depth map's view.

    Returns:
        `JointMAEForPreTrainingOutput`: Output of the model.
    """
    config, device = model.config, model.device
    index = torch.arange(len(points), device=device)
    arguments = {"noise_3d": counter_uniform(seed, 0, index, RandomStream.MASK_3D, (config.num_groups[-1],))}
    if config.use_2d_branch:
        arguments["noise_2d"] = counter_uniform(seed, 0, index, RandomStream.MASK_2D, (config.num_patches,))
        angles = torch.full((len(points),), math.radians(azimuth)), torch.full((len(points),), math.radians(elevation))
        arguments["view"] = view_from_angles(*angles, config.camera_distance).to(device)
    was_training = model.training
    model.eval()
    outputs = model(points=points.to(device), **arguments)
    model.train(was_training)
    return outputs


def draw_reconstructions(
    model: JointMAEForPreTraining,
    points: Tensor,
    titles: Sequence[str] | None = None,
    seed: int = 0,
    azimuth: float = 35.0,
    elevation: float = 20.0,
) -> "Figure":
    """Draw Fig. 5 for some clouds, points and depth maps seen from the same side.

    Args:
        model (`JointMAEForPreTraining`):
            The model; it needs the 2D branch.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Clouds in the unit sphere, y up.
        titles (`Sequence[str]`, *optional*):
            Name of each row.
        seed (`int`, *optional*, defaults to 0):
            Seed of the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.

    Returns:
        `matplotlib.figure.Figure`: The figure.

    Raises:
        ValueError: If the model has no 2D branch.
    """
    if not model.config.use_2d_branch:
        raise ValueError("`model` must have a 2D branch to draw depth maps, got `use_2d_branch=False`.")
    outputs = reconstruct(model, points, seed, azimuth, elevation)
    group_size = model.config.target_group_size
    is_hidden = outputs.mask_3d.repeat_interleave(group_size, dim=1)
    visible_points = [cloud[~hidden] for cloud, hidden in zip(outputs.target_points, is_hidden, strict=True)]
    if model.config.loss_3d_target == "cloud":  # the points of visible tokens are predicted too
        is_hidden = torch.ones_like(is_hidden)
    return reconstruction_figure(
        points,
        outputs.centers,
        visible_points,
        outputs.reconstructed_points,
        is_hidden,
        outputs.depth_map,
        outputs.mask_2d,
        outputs.reconstructed_pixels,
        titles=titles,
        azimuth=azimuth,
        elevation=elevation,
    )


def reconstruction_pictures(
    model: JointMAEForPreTraining,
    points: Tensor,
    seed: int = 0,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    size: int = 324,
    radius: float = 0.022,
) -> dict[str, np.ndarray]:
    """Draw the columns of Fig. 5 of one cloud as single pictures.

    Args:
        model (`JointMAEForPreTraining`):
            The model; without a 2D branch there are no depth maps.
        points (`torch.Tensor` of shape `(num_points, 3)`):
            A cloud in the unit sphere, y up.
        seed (`int`, *optional*, defaults to 0):
            Seed of the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis, of the camera and of the depth map.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.
        size (`int`, *optional*, defaults to 324):
            Pixels of a rendered cloud.
        radius (`float`, *optional*, defaults to 0.022):
            Of the spheres, in units of `points`.

    Returns:
        `dict[str, np.ndarray]`: RGB as uint8: `points`, `centers`, `visible_points` and `reconstruction` of shape
        `(size, size, 3)`; `depth_map`, `visible_patches` and `reconstructed_depth_map` of the size of the depth map.
    """
    outputs = reconstruct(model, points[None], seed, azimuth, elevation)
    is_hidden = to_numpy(outputs.mask_3d[0].repeat_interleave(model.config.target_group_size))
    is_whole = model.config.loss_3d_target == "cloud"  # the points of visible tokens are predicted too
    shape = {
        "points": to_numpy(points),
        "centers": to_numpy(outputs.centers[0]),
        "masked_points": to_numpy(outputs.target_points[0])[~is_hidden],
        "reconstructed_points": to_numpy(outputs.reconstructed_points[0]),
        "is_hidden": np.ones_like(is_hidden) if is_whole else is_hidden,
    }
    names = ["points", "centers", "visible_points", "reconstruction"]
    tiles = point_tiles(shape, size, radius, azimuth, elevation)
    if model.config.use_2d_branch:
        depth = {
            "depth_map": to_numpy(outputs.depth_map[0, 0]),
            "mask_2d": to_numpy(outputs.mask_2d[0]),
            "reconstructed_pixels": to_numpy(outputs.reconstructed_pixels[0, 0]),
        }
        names += ["depth_map", "visible_patches", "reconstructed_depth_map"]
        tiles += [(255.0 * tile + 0.5).astype(np.uint8) for tile in depth_tiles(depth)]
    return dict(zip(names, tiles, strict=True))


def colored_reconstructions(model: JointMAEForPreTraining, points: Tensor, seed: int = 0) -> list[np.ndarray]:
    """Reconstruct clouds as rows of coordinates and colours, such as 3D viewers take.

    Args:
        model (`JointMAEForPreTraining`):
            The model.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Clouds in the unit sphere, y up.
        seed (`int`, *optional*, defaults to 0):
            Seed of the masks.

    Returns:
        `list[np.ndarray]`: For each cloud float64 of shape `(num_reconstructed, 6)`: xyz, then red, green and blue as whole
        numbers from 0 to 255. Given points are grey, predicted ones have the colour of their height in the input.
    """
    outputs = reconstruct(model, points, seed)
    group_size = model.config.target_group_size
    is_hidden = to_numpy(outputs.mask_3d.repeat_interleave(group_size, dim=1))
    clouds = []
    for cloud, rebuilt, hidden in zip(points, outputs.reconstructed_points, is_hidden, strict=True):
        heights, rebuilt = to_numpy(cloud)[:, 1], to_numpy(rebuilt).astype(np.float64)
        colors = height_colors(rebuilt, float(heights.min()), float(heights.max()))
        if model.config.loss_3d_target == "groups":  # else the points of visible tokens are predicted too
            colors[~hidden] = GIVEN_COLOR
        clouds.append(np.concatenate([rebuilt, np.rint(255.0 * colors)], axis=1))
    return clouds
