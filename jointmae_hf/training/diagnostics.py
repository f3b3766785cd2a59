"""Diagnostics of pre-training: gradient norms at the encoder, and the losses of trivial predictors."""

import torch
from torch import Tensor

from jointmae_hf.model import JointMAEForPreTraining
from jointmae_hf.model.depth_projection import render_colors, rotate_views
from jointmae_hf.model.losses import (
    cross_reconstruction_loss,
    patchify,
    reconstruction_loss_2d,
    reconstruction_loss_3d,
)
from jointmae_hf.model.modeling_jointmae import JointMAEForPreTrainingOutput
from jointmae_hf.model.point_ops import bounding_sphere


def encoder_gradient_norms(outputs: JointMAEForPreTrainingOutput) -> dict[str, Tensor]:
    """Return the gradient norm of each unweighted loss at the encoder's output: the share of each in what it learns.

    Eq. 7 adds losses of different units. Keys are `gradient_norm_3d`, `gradient_norm_2d` and `gradient_norm_3d_2d`, as far as
    the model has the loss. The graph of `outputs` must exist and is kept.
    """
    norms = {}
    for name in ("loss_3d", "loss_2d", "loss_3d_2d"):
        if name in outputs:
            (gradient,) = torch.autograd.grad(outputs[name], outputs.last_hidden_state, retain_graph=True)
            norms[name.replace("loss", "gradient_norm")] = gradient.float().norm()
    return norms


@torch.no_grad()
def reference_losses(
    model: JointMAEForPreTraining, points: Tensor, outputs: JointMAEForPreTrainingOutput
) -> dict[str, Tensor]:
    """Return the losses of predictors that have learned nothing, and the cross loss of a perfect reconstruction.

    The trivial predictors put all points of a hidden token on its center and set all pixels of a hidden patch to the
    background. A loss that is not below its trivial value has learned nothing. A perfect reconstruction has a cross loss
    above zero, because the groups of all tokens are not the input cloud: they overlap and leave points out. `points` are the
    input of the forward pass. Keys are `loss_3d_trivial` and, with a 2D branch, `loss_2d_trivial`, `loss_3d_2d_trivial` and
    `loss_3d_2d_perfect`.
    """
    config = model.config
    group_size = config.target_group_size
    centers = outputs.centers.repeat_interleave(group_size, dim=1)
    is_hidden = outputs.mask_3d.repeat_interleave(group_size, dim=1)[..., None]
    trivial_points = torch.where(is_hidden, centers, outputs.target_points)
    if config.loss_3d_target == "cloud":
        losses = {"loss_3d_trivial": reconstruction_loss_3d(trivial_points[:, None], points[:, None])}
    else:
        offsets = (outputs.target_points - centers).unflatten(1, (-1, group_size))
        hidden_groups = offsets[outputs.mask_3d][None]
        losses = {"loss_3d_trivial": reconstruction_loss_3d(torch.zeros_like(hidden_groups), hidden_groups)}
    if not config.use_2d_branch:
        return losses
    hidden_patches = patchify(outputs.depth_map, config.token_patch_size)[outputs.mask_2d]
    losses["loss_2d_trivial"] = reconstruction_loss_2d(torch.zeros_like(hidden_patches), hidden_patches)
    views, frame = rotate_views(outputs.view, config.num_views), bounding_sphere(points)
    maps = [model.project(cloud, views, frame) for cloud in (points, trivial_points, outputs.target_points)]
    if config.projection_mode == "rendered":
        maps = [render_colors(depth_maps) for depth_maps in maps]
    losses["loss_3d_2d_trivial"] = cross_reconstruction_loss(maps[1], maps[0])
    losses["loss_3d_2d_perfect"] = cross_reconstruction_loss(maps[2], maps[0])
    return losses
