"""What a token attends to in the cloud and in the depth map, with local-aligned and global attention."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.model import JointMAEForPreTraining

from .figure_layout import (
    HIGHLIGHTS,
    MUTED_COLOR,
    draw_scale,
    draw_tile,
    empty_figure,
    frame_patch,
    map_colors,
    to_numpy,
    write_heading,
    write_row_name,
    write_text,
)
from .pipeline_trace import PipelineTrace, attention_pairs, attention_setting, trace_pipeline
from .tiles import CONTEXT_COLOR, SphereCloud, point_tile, repeat_patches


if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUERY_COLOR = HIGHLIGHTS[3]
TILE, GAP, LEFT, BLOCK_GAP, TITLE_HEIGHT, CAPTION = 2.55, 0.08, 0.34, 0.30, 0.42, 0.52  # Inches.
TILE_PIXELS, RADIUS = 510, 0.026


@torch.no_grad()
def attention_maps(trace: PipelineTrace, is_local: bool | None = None, layer: int = -1) -> Tensor:
    """Return the attention of an encoder block, averaged over heads, with no token hidden.

    Args:
        trace ([`PipelineTrace`]):
            The clouds and their depth maps, from [`trace_pipeline`].
        is_local (`bool`, *optional*):
            Local-aligned or global attention in both directions, regardless of how the model was trained; by default
            as configured.
        layer (`int`, *optional*, defaults to -1):
            Index of the encoder block.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_tokens, num_tokens)`: Rows are queries and sum to 1; 3D tokens
        first.

    Raises:
        ValueError: If the model has no such block.
    """
    model, outputs = trace.model, trace.outputs
    num_layers = model.config.num_hidden_layers
    if not -num_layers <= layer < num_layers:
        raise ValueError(f"`layer` must be one of {num_layers} blocks, got {layer}.")
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")  # the only one that returns its weights
    try:
        with attention_setting(model, is_local):
            points = trace.points.to(model.device)
            attentions = model.jointmae(points, outputs.depth_map, outputs.view, output_attentions=True).attentions
    finally:
        model.set_attn_implementation(before)
    return attentions[layer].mean(dim=1)


def attention_figure(
    model: JointMAEForPreTraining,
    points: Tensor,
    token: int | None = None,
    layer: int = -1,
    azimuth: float = 35.0,
    elevation: float = 20.0,
) -> "Figure":
    """Draw what a 3D token and its patch attend to, with local-aligned and with global attention.

    Points are colored by the attention to the token with the nearest center, patches by the attention to their token;
    what a query must not attend to is gray. Each half of a row has its own scale, from the minimum to the 99th
    percentile. Both halves use the same weights: the one that the model was not trained with shows the effect of
    lifting or adding the mask.

    Args:
        model (`JointMAEForPreTraining`):
            The model; must have a 2D branch.
        points (`torch.Tensor` of shape `(num_points, 3)`):
            A cloud in the unit sphere, y up.
        token (`int`, *optional*):
            3D token used as query, in the order of farthest point sampling; by default the first one of the patch that
            contains the most centers.
        layer (`int`, *optional*, defaults to -1):
            Index of the encoder block.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis, for the camera and the depth map.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.

    Returns:
        `matplotlib.figure.Figure`: The figure, see [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the model has no 2D branch, no such block or no such token.
    """
    trace = trace_pipeline(model, points[None], azimuth=azimuth, elevation=elevation)
    outputs = trace.outputs
    centers = to_numpy(outputs.centers[0])
    is_valid = to_numpy(attention_pairs(trace, is_local=True)[0])
    is_correlated = is_valid[: len(centers), len(centers) :]
    token, patch = _choose_queries(is_correlated, token)
    nearest = to_numpy(torch.cdist(points.float().cpu(), outputs.centers[0].float().cpu()).argmin(dim=1))
    cloud, depth_map = to_numpy(points), to_numpy(outputs.depth_map[0, 0])

    width = LEFT + 4 * TILE + 2 * GAP + BLOCK_GAP + 0.12
    row_height = TILE + CAPTION
    figure = empty_figure(width, TITLE_HEIGHT + 2 * row_height)
    maps = [to_numpy(attention_maps(trace, is_local, layer)[0]) for is_local in (True, False)]
    lefts = [LEFT, LEFT + 2 * TILE + GAP + BLOCK_GAP]
    for left, heading in zip(lefts, ("Local-aligned attention", "Global attention"), strict=True):
        write_heading(figure, heading, left, left + 2 * TILE + GAP)
    queries = [("Query: 3D token", token), ("Query: 2D token", None if patch is None else len(centers) + patch)]
    for row, (name, query) in enumerate(queries):
        top = TITLE_HEIGHT + row * row_height
        write_row_name(figure, 0.16, top + TILE / 2, name)
        if query is None:
            write_text(
                figure, LEFT, top + TILE / 2, "The center of the token is projected outside the frame.", fontsize=9
            )
            continue
        query_center = centers[token] if row == 0 else None
        for left, weights, is_allowed in zip(lefts, maps, (is_valid[query], True), strict=True):
            shown = np.where(is_allowed, weights[query], np.nan)
            lowest = float(np.nanmin(shown))
            limits = lowest, max(float(np.nanquantile(shown, 0.99)), lowest + 1e-9)
            scaled = np.split((shown - limits[0]) / (limits[1] - limits[0]), [len(centers)])
            picture = point_tile(
                _color_cloud(cloud, scaled[0][nearest], query_center), TILE_PIXELS, RADIUS, (azimuth, elevation)
            )
            draw_tile(figure, picture, left, top, TILE)
            _draw_map(figure, depth_map, scaled[1], patch, row == 0, left + TILE + GAP, top)
            _write_captions(figure, np.split(shown, [len(centers)]), limits, left, top + TILE)
    return figure


def _choose_queries(is_correlated: np.ndarray, token: int | None) -> tuple[int, int | None]:
    """Return the 3D token used as query and its patch, `None` outside the frame."""
    if token is None:
        token = int(is_correlated[:, is_correlated.sum(axis=0).argmax()].argmax())
    if not 0 <= token < len(is_correlated):
        raise ValueError(f"`token` must be one of {len(is_correlated)} tokens, got {token}.")
    return token, int(is_correlated[token].argmax()) if is_correlated[token].any() else None


def _color_cloud(points: np.ndarray, weights: np.ndarray, center: np.ndarray | None) -> SphereCloud:
    """Color points by attention, gray where it is not allowed; add the center of the query, if any."""
    from matplotlib.colors import to_rgb

    colors = np.where(np.isfinite(weights)[:, None], map_colors(np.nan_to_num(weights)), CONTEXT_COLOR)
    sizes = np.ones(len(points))
    if center is None:
        return points, colors, sizes
    return np.vstack([points, center]), np.vstack([colors, to_rgb(QUERY_COLOR)]), np.append(sizes, 2.6)


def _draw_map(
    figure: "Figure",
    depth_map: np.ndarray,
    weights: np.ndarray,
    patch: int | None,
    is_key: bool,
    left: float,
    top: float,
) -> None:
    """Draw attention over the depth map and a frame around the token's patch, dashed if it is a key."""
    num_rows = math.isqrt(weights.size)
    gray = 0.93 - 0.55 * depth_map[..., None].repeat(3, axis=2)
    cover = 0.7 * repeat_patches(np.isfinite(weights), depth_map)[..., None]
    overlay = map_colors(repeat_patches(np.nan_to_num(weights), depth_map))
    axis = draw_tile(figure, gray * (1 - cover) + cover * overlay, left, top, TILE, interpolation="nearest")
    if patch is not None:
        line: dict[str, Any] = {"linewidth": 2.4, "linestyle": (0, (2, 1)) if is_key else "-"}
        frame_patch(axis, patch, num_rows, len(depth_map) // num_rows, fill=False, edgecolor=QUERY_COLOR, **line)


def _write_captions(
    figure: "Figure", parts: list[np.ndarray], limits: tuple[float, float], left: float, top: float
) -> None:
    """Write the share of each modality below its tile, and the scale of both below that."""
    for column, (name, part) in enumerate(zip(("3D", "2D"), parts, strict=True)):
        share = f"{100 * np.nansum(part):.0f} % to {np.isfinite(part).sum()} of {part.size} {name} tokens"
        write_text(figure, left + column * (TILE + GAP), top + 0.12, share, fontsize=8.5)
    middle = left + TILE + GAP / 2
    draw_scale(figure, middle - 0.5, top + 0.28, 1.0)
    style: dict[str, Any] = {"fontsize": 7.5, "color": MUTED_COLOR}
    write_text(figure, middle - 0.55, top + 0.32, f"attention {limits[0]:.3f}", ha="right", **style)
    write_text(figure, middle + 0.55, top + 0.32, f"{limits[1]:.3f}", **style)
