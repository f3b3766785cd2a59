"""The three reconstruction losses of Joint-MAE Sec. 3.4 and their targets."""

from typing import NamedTuple

import torch
from torch import Tensor

from .masking import TokenMask
from .point_ops import chamfer_distance


class ReconstructionTargets(NamedTuple):
    """What a reconstruction is compared with, and what of it was hidden, without gradient.

    Attributes:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Input cloud P.
        groups (`torch.Tensor` of shape `(batch_size, num_groups, target_group_size, 3)`):
            Nearest points of each center, relative to it.
        mask_3d (`TokenMask`):
            Hidden 3D tokens.
        mask_2d (`TokenMask` or `None`):
            Hidden 2D tokens; None for the 3D-only model.
        patches (`torch.Tensor` of shape `(batch_size, num_patches, pixels_of_patch)` or `None`):
            Pixels of the input depth map I for each 2D token; None for the 3D-only model.
        depth_maps (`torch.Tensor` of shape `(batch_size, num_views, height, width)` or `None`):
            Projections of P for the cross loss, I first.
        views (`torch.Tensor` of shape `(batch_size, num_views, 3, 4)` or `None`):
            Their world-to-camera poses.
        frame (`tuple[torch.Tensor, torch.Tensor]`):
            Center and radius of P, see [`bounding_sphere`].
    """

    points: Tensor
    groups: Tensor
    mask_3d: TokenMask
    mask_2d: TokenMask | None
    patches: Tensor | None
    depth_maps: Tensor | None
    views: Tensor | None
    frame: tuple[Tensor, Tensor]


class Reconstruction(NamedTuple):
    """What the heads predict for hidden tokens, and the whole cloud and depth map that contain it.

    Attributes:
        predicted_groups (`torch.Tensor` of shape `(batch_size, num_hidden, target_group_size, 3)`):
            Points of hidden tokens, relative to their centers; if the loss is on the whole cloud, of all tokens,
            visible ones first.
        points (`torch.Tensor` of shape `(batch_size, num_groups * target_group_size, 3)`):
            The cloud, group by group in token order.
        predicted_patches (`torch.Tensor` of shape `(batch_size, num_hidden_patches, pixels_of_patch)` or `None`):
            Pixels of hidden patches; None for the 3D-only model.
        pixels (`torch.Tensor` of shape `(batch_size, 1, image_size, image_size)` or `None`):
            The depth map; None for the 3D-only model.
    """

    predicted_groups: Tensor
    points: Tensor
    predicted_patches: Tensor | None = None
    pixels: Tensor | None = None


def patchify(depth_map: Tensor, patch_size: int) -> Tensor:
    """Split a depth map into patches.

    Args:
        depth_map (`torch.Tensor` of shape `(batch_size, 1, height, width)`):
            Depth map whose sides are divisible by `patch_size`.
        patch_size (`int`):
            Side of a patch in pixels.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_patches, patch_size ** 2)`: Patches and pixels in row-major order.
    """
    return torch.nn.functional.pixel_unshuffle(depth_map, patch_size).flatten(2).transpose(1, 2)


def unpatchify(patches: Tensor, patch_size: int, image_size: int) -> Tensor:
    """Join patches to a depth map, the inverse of [`patchify`] for square images.

    Args:
        patches (`torch.Tensor` of shape `(batch_size, num_patches, patch_size ** 2)`):
            Pixels in row-major order.
        patch_size (`int`):
            Side of a patch in pixels.
        image_size (`int`):
            Side of the image in pixels.

    Returns:
        `torch.Tensor` of shape `(batch_size, 1, image_size, image_size)`: Depth map.
    """
    num_rows = image_size // patch_size
    pixels = patches.transpose(1, 2).reshape(patches.shape[0], -1, num_rows, num_rows)
    return torch.nn.functional.pixel_shuffle(pixels, patch_size)


def reconstruction_loss_3d(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute L_3D of Eq. 5: the Chamfer distance of predicted and true groups, averaged over groups.

    Args:
        predicted (`torch.Tensor` of shape `(batch_size, num_groups, group_size, 3)`):
            Predicted points.
        target (`torch.Tensor` of shape `(batch_size, num_groups, target_group_size, 3)`):
            True points, relative to the same centers.

    Returns:
        `torch.Tensor` of shape `()`: Loss, in squared units of the points.
    """
    return chamfer_distance(predicted.flatten(0, 1), target.flatten(0, 1)).mean()


def reconstruction_loss_2d(predicted: Tensor, target: Tensor) -> Tensor:
    """Compute L_2D of Eq. 5: the mean squared error of pixels, on masked patches as in MAE.

    Args:
        predicted (`torch.Tensor` of shape `(batch_size, num_patches, pixels_of_patch)`):
            Predicted pixels.
        target (`torch.Tensor` of shape `(batch_size, num_patches, pixels_of_patch)`):
            True pixels.

    Returns:
        `torch.Tensor` of shape `()`: Loss, in squared units of closeness.
    """
    dtype = torch.promote_types(predicted.dtype, torch.float32)
    return torch.nn.functional.mse_loss(predicted.to(dtype), target.to(dtype))


def cross_reconstruction_loss(predicted_maps: Tensor, target_maps: Tensor) -> Tensor:
    """Compute L_3D-2D of Eq. 6: the mean squared error between projections of the reconstructed and the input cloud.

    Args:
        predicted_maps (`torch.Tensor` of shape `(batch_size, num_views, ..., height, width)`):
            Projections of the reconstructed cloud.
        target_maps (`torch.Tensor` of the same shape):
            Projections of the input cloud by the same views.

    Returns:
        `torch.Tensor` of shape `()`: Loss averaged over views (Table 8), in squared units of closeness.
    """
    return torch.nn.functional.mse_loss(predicted_maps, target_maps)
