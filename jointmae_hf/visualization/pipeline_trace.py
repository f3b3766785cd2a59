"""Forward passes for the figures: with fixed masks and view, and with the tensors of every stage."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from jointmae_hf.data import RandomStream, counter_uniform
from jointmae_hf.model import JointMAEForPreTraining
from jointmae_hf.model.depth_projection import view_from_angles
from jointmae_hf.model.modeling_jointmae import JointMAEForPreTrainingOutput


def check_2d_branch(model: JointMAEForPreTraining) -> None:
    """Check that a model has depth maps to draw."""
    if not model.config.use_2d_branch:
        raise ValueError("`model` must have a 2D branch to draw depth maps, got `use_2d_branch=False`.")


@contextmanager
def attention_setting(model: JointMAEForPreTraining, is_local: bool | None = None) -> Iterator[None]:
    """Put a model in evaluation mode, with local or global cross-modal attention; restore both afterwards."""
    config, was_training = model.config, model.training
    before = config.local_2d_to_3d, config.local_3d_to_2d
    if is_local is not None:
        config.local_2d_to_3d = config.local_3d_to_2d = is_local
    model.eval()
    try:
        yield
    finally:
        config.local_2d_to_3d, config.local_3d_to_2d = before
        model.train(was_training)


@torch.no_grad()
def reconstruct(
    model: JointMAEForPreTraining, points: Tensor, seed: int = 0, azimuth: float = 35.0, elevation: float = 20.0
) -> JointMAEForPreTrainingOutput:
    """Reconstruct clouds in evaluation mode, with masks that depend only on `seed` and the row.

    Args:
        model (`JointMAEForPreTraining`):
            The model; its training mode is restored.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Clouds in the unit sphere, y up.
        seed (`int`, *optional*, defaults to 0):
            Seed for the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            View of the depth map, degrees about the up axis.
        elevation (`float`, *optional*, defaults to 20.0):
            View of the depth map, degrees above the horizontal plane.

    Returns:
        `JointMAEForPreTrainingOutput`: Outputs of the model.
    """
    config, device = model.config, model.device
    index = torch.arange(len(points), device=device)
    arguments = {"noise_3d": counter_uniform(seed, 0, index, RandomStream.MASK_3D, (config.num_groups[-1],))}
    if config.use_2d_branch:
        arguments["noise_2d"] = counter_uniform(seed, 0, index, RandomStream.MASK_2D, (config.num_patches,))
        angles = torch.full((len(points),), math.radians(azimuth)), torch.full((len(points),), math.radians(elevation))
        arguments["view"] = view_from_angles(*angles, config.camera_distance).to(device)
    with attention_setting(model):
        return model(points=points.to(device), **arguments)


@dataclass(frozen=True)
class PipelineTrace:
    """Hold the tensors of one forward pass.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Input P of the model.
        outputs (`JointMAEForPreTrainingOutput`):
            Outputs of the model.
        tensors (`dict[str, torch.Tensor]`):
            `fine_centers` `(batch_size, num_fine_groups, 3)`, `fine_features_2d` `(batch_size, width, rows, rows)`
            before the convolutions, `visible_tokens` at the input of the encoder, `encoded`, `decoded` of the
            modal-shared decoder if there is one, `decoded_3d` and `decoded_2d` of the modal-specific ones,
            `predicted_groups` `(batch_size, num_hidden, target_group_size, 3)` and `predicted_patches` `(batch_size,
            num_hidden_patches, pixels_of_patch)`. Tokens are `(batch_size, num_tokens, hidden_size)`, 3D first.
        may_attend (`torch.BoolTensor` of shape `(batch_size, num_visible, num_visible)`):
            Attention mask of the encoder, **True = may attend**; queries are rows.
    """

    points: Tensor
    outputs: JointMAEForPreTrainingOutput
    tensors: dict[str, Tensor]
    may_attend: Tensor


def trace_pipeline(
    model: JointMAEForPreTraining, points: Tensor, seed: int = 0, azimuth: float = 35.0, elevation: float = 20.0
) -> PipelineTrace:
    """Run a model in evaluation mode and record the tensors of every stage.

    Args:
        model (`JointMAEForPreTraining`):
            The model; must have a 2D branch.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Clouds in the unit sphere, y up.
        seed (`int`, *optional*, defaults to 0):
            Seed for the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            View of the depth map, degrees about the up axis.
        elevation (`float`, *optional*, defaults to 20.0):
            View of the depth map, degrees above the horizontal plane.

    Returns:
        [`PipelineTrace`]: The recorded tensors.

    Raises:
        ValueError: If the model has no 2D branch.
    """
    check_2d_branch(model)
    encoder, decoder = model.jointmae, model.decoder
    taken = {
        "fine_features_2d": encoder.embeddings_2d.projection,
        "encoded": encoder.layernorm,
        "decoded_3d": decoder.layernorm_3d,
        "decoded_2d": decoder.layernorm_2d,
        "predicted_groups": model.reconstruction_head_3d,
        "predicted_patches": model.reconstruction_head_2d,
    }
    if len(decoder.layers):
        taken["decoded"] = decoder.layers[-1]
    given = {"embedding": encoder.embeddings_3d, "block": encoder.layers[0]}
    with _recorded(taken, given) as tensors:
        outputs = reconstruct(model, points, seed, azimuth, elevation)
    tensors["fine_centers"] = tensors.pop("embedding")[1]
    visible_tokens, _, mask = tensors.pop("block")[:3]
    tensors["visible_tokens"] = visible_tokens
    tensors["predicted_groups"] = tensors["predicted_groups"].unflatten(-1, (-1, 3))
    return PipelineTrace(points, outputs, tensors, _as_pairs(mask, visible_tokens))


@torch.no_grad()
def attention_pairs(
    model: JointMAEForPreTraining,
    points: Tensor,
    depth_map: Tensor,
    view: Tensor,
    is_local: bool | None = None,
) -> Tensor:
    """Return which pairs of tokens may attend to each other, with no token hidden.

    Args:
        model (`JointMAEForPreTraining`):
            The model; must have a 2D branch.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Clouds in the unit sphere, y up.
        depth_map (`torch.Tensor` of shape `(batch_size, 1, image_size, image_size)`):
            Depth maps of the clouds.
        view (`torch.Tensor` of shape `(batch_size, 3, 4)`):
            Views of the depth maps.
        is_local (`bool`, *optional*):
            Local-aligned or global attention in both directions; by default as configured.

    Returns:
        `torch.BoolTensor` of shape `(batch_size, num_tokens, num_tokens)`: **True = may attend**, 3D tokens first,
        queries are rows.

    Raises:
        ValueError: If the model has no 2D branch.
    """
    check_2d_branch(model)
    with attention_setting(model, is_local), _recorded({}, {"block": model.jointmae.layers[0]}) as tensors:
        model.jointmae(points, depth_map, view)
    return _as_pairs(tensors["block"][2], tensors["block"][0])


@contextmanager
def _recorded(taken: dict[str, nn.Module], given: dict[str, nn.Module]) -> Iterator[dict[str, Any]]:
    """Record outputs of the `taken` modules and positional arguments of the `given` modules by name."""
    tensors: dict[str, Any] = {}

    def keep_output(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> None:
            tensors[name] = output

        return hook

    def keep_arguments(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            tensors[name] = arguments

        return hook

    handles = [module.register_forward_hook(keep_output(name)) for name, module in taken.items()]
    handles += [module.register_forward_pre_hook(keep_arguments(name)) for name, module in given.items()]
    try:
        yield tensors
    finally:
        for handle in handles:
            handle.remove()


def _as_pairs(mask: Tensor | None, tokens: Tensor) -> Tensor:
    """Convert an attention mask, boolean or additive, to bool `(batch_size, num_tokens, num_tokens)`."""
    batch_size, num_tokens = tokens.shape[:2]
    if mask is None:
        return torch.ones(batch_size, num_tokens, num_tokens, dtype=torch.bool, device=tokens.device)
    pairs = mask if mask.dtype == torch.bool else mask == 0
    return pairs[:, 0].expand(batch_size, num_tokens, num_tokens)
