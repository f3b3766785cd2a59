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

from .figure_layout import to_numpy
from .tiles import Shape


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


def shape_arrays(
    model: JointMAEForPreTraining, points: Tensor, outputs: JointMAEForPreTrainingOutput, row: int
) -> Shape:
    """Return what Fig. 5 shows of one cloud of a batch."""
    is_hidden = outputs.mask_3d[row].repeat_interleave(model.config.target_group_size)
    is_whole = model.config.loss_3d_target == "cloud"  # the points of visible tokens are predicted too
    tensors = {
        "points": points[row],
        "centers": outputs.centers[row],
        "visible_points": outputs.target_points[row][~is_hidden],
        "reconstructed_points": outputs.reconstructed_points[row],
        "is_hidden": torch.ones_like(is_hidden) if is_whole else is_hidden,
    }
    if model.config.use_2d_branch:
        tensors |= {
            "depth_map": outputs.depth_map[row, 0],
            "mask_2d": outputs.mask_2d[row],
            "reconstructed_pixels": outputs.reconstructed_pixels[row, 0],
        }
    return {name: to_numpy(tensor) for name, tensor in tensors.items()}


@dataclass(frozen=True)
class PipelineTrace:
    """Hold the tensors of one forward pass.

    Args:
        model (`JointMAEForPreTraining`):
            The model.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Input P of the model.
        camera (`tuple[float, float]`):
            Azimuth and elevation of the depth maps, in degrees; figures show the points from there too.
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

    model: JointMAEForPreTraining
    points: Tensor
    camera: tuple[float, float]
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
    stages = {
        "fine_features_2d": encoder.embeddings_2d.projection,
        "encoded": encoder.layernorm,
        "decoded_3d": decoder.layernorm_3d,
        "decoded_2d": decoder.layernorm_2d,
        "predicted_groups": model.reconstruction_head_3d,
        "predicted_patches": model.reconstruction_head_2d,
    }
    if len(decoder.layers):
        stages["decoded"] = decoder.layers[-1]
    with _recorded({**stages, "embedding": encoder.embeddings_3d, "block": encoder.layers[0]}) as calls:
        outputs = reconstruct(model, points, seed, azimuth, elevation)
    tensors = {name: calls[name][1] for name in stages}
    tensors["fine_centers"] = calls["embedding"][0][2]
    tensors["visible_tokens"] = calls["block"][0][0]
    tensors["predicted_groups"] = tensors["predicted_groups"].unflatten(-1, (-1, 3))
    return PipelineTrace(model, points, (azimuth, elevation), outputs, tensors, _as_pairs(calls["block"][0]))


@torch.no_grad()
def attention_pairs(trace: PipelineTrace, is_local: bool | None = None) -> Tensor:
    """Return which pairs of tokens may attend to each other, with no token hidden.

    Args:
        trace ([`PipelineTrace`]):
            The clouds and their depth maps, from [`trace_pipeline`].
        is_local (`bool`, *optional*):
            Local-aligned or global attention in both directions; by default as configured.

    Returns:
        `torch.BoolTensor` of shape `(batch_size, num_tokens, num_tokens)`: **True = may attend**, 3D tokens first,
        queries are rows.
    """
    encoder = trace.model.jointmae
    with attention_setting(trace.model, is_local), _recorded({"block": encoder.layers[0]}) as calls:
        encoder(trace.points.to(encoder.device), trace.outputs.depth_map, trace.outputs.view)
    return _as_pairs(calls["block"][0])


@contextmanager
def _recorded(modules: dict[str, nn.Module]) -> Iterator[dict[str, tuple[tuple[Any, ...], Any]]]:
    """Record the positional arguments and the output of modules by name."""
    calls: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            calls[name] = arguments, output

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _as_pairs(arguments: tuple[Any, ...]) -> Tensor:
    """Return the attention mask of a block, boolean or additive, as bool `(batch_size, num_tokens, num_tokens)`."""
    tokens, _, mask = arguments[:3]
    batch_size, num_tokens = tokens.shape[:2]
    if mask is None:
        return torch.ones(batch_size, num_tokens, num_tokens, dtype=torch.bool, device=tokens.device)
    pairs = mask if mask.dtype == torch.bool else mask == 0
    return pairs[:, 0].expand(batch_size, num_tokens, num_tokens)
