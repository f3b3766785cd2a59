"""What a token attends to in the cloud and in the depth map, with local-aligned and with global attention."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.model import JointMAEForPreTraining

from .figure_layout import (
    HIGHLIGHTS,
    MUTED_COLOR,
    TEXT_COLOR,
    bare_axes,
    empty_figure,
    to_numpy,
    write_heading,
    write_text,
)
from .model_reconstruction import reconstruct
from .pipeline_trace import attention_pairs, attention_setting, check_2d_branch
from .reconstruction_tiles import CONTEXT_COLOR, TILE_COLOR
from .sphere_renderer import render_points


if TYPE_CHECKING:
    from matplotlib.figure import Figure

ATTENTION_COLORMAP, QUERY_COLOR = "YlGnBu", HIGHLIGHTS[3]
TILE, GAP, LEFT, BLOCK_GAP, TITLE_HEIGHT, CAPTION = 2.55, 0.08, 0.34, 0.30, 0.42, 0.52  # Inches.
TILE_PIXELS, RADIUS = 510, 0.026


@torch.no_grad()
def attention_maps(
    model: JointMAEForPreTraining,
    points: Tensor,
    depth_map: Tensor,
    view: Tensor,
    is_local: bool | None = None,
    layer: int = -1,
) -> Tensor:
    """Attention of one encoder block among all tokens, none hidden, averaged over heads.

    Args:
        model (`JointMAEForPreTraining`):
            The model; its attention implementation and settings are put back.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Clouds in the unit sphere, y up.
        depth_map (`torch.Tensor` of shape `(batch_size, 1, image_size, image_size)`):
            Their depth maps.
        view (`torch.Tensor` of shape `(batch_size, 3, 4)`):
            Poses of the depth maps.
        is_local (`bool`, *optional*):
            Local-aligned or global attention in both directions, whatever the model was trained with; by default as it
            was configured.
        layer (`int`, *optional*, defaults to -1):
            Block of the encoder.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_tokens, num_tokens)`: Rows are queries and add up to 1; 3D tokens
        first.

    Raises:
        ValueError: If the model has no 2D branch or no such block.
    """
    check_2d_branch(model)
    num_layers = model.config.num_hidden_layers
    if not -num_layers <= layer < num_layers:
        raise ValueError(f"`layer` must be one of {num_layers} blocks, got {layer}.")
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")  # the only one that returns its weights
    try:
        with attention_setting(model, is_local):
            outputs = model.jointmae(points, depth_map, view, output_attentions=True)
    finally:
        model.set_attn_implementation(before)
    return outputs.attentions[layer].mean(dim=1)


def attention_figure(
    model: JointMAEForPreTraining,
    points: Tensor,
    token: int | None = None,
    layer: int = -1,
    azimuth: float = 35.0,
    elevation: float = 20.0,
) -> "Figure":
    """Draw what a 3D token and the patch that it is projected into attend to, locally and globally.

    Points are coloured by the attention to the token whose centre is nearest, patches by the attention to theirs. Each
    half of a row has its scale, from the least to the 99th percentile. What a query must not attend to stays grey. Weights are the same in both halves; the half
    that the model was not trained with shows what lifting or adding the mask changes.

    Args:
        model (`JointMAEForPreTraining`):
            The model; it needs the 2D branch.
        points (`torch.Tensor` of shape `(num_points, 3)`):
            A cloud in the unit sphere, y up.
        token (`int`, *optional*):
            3D token that asks, in the order of farthest point sampling; by default the first of the patch that holds
            most centres.
        layer (`int`, *optional*, defaults to -1):
            Block of the encoder.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis, of the camera and of the depth map.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.

    Returns:
        `matplotlib.figure.Figure`: Save it by [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the model has no 2D branch, no such block or no such token.
    """
    check_2d_branch(model)
    outputs = reconstruct(model, points[None], azimuth=azimuth, elevation=elevation)
    inputs = points[None].to(model.device), outputs.depth_map, outputs.view
    centers = to_numpy(outputs.centers[0])
    is_valid = to_numpy(attention_pairs(model, *inputs, is_local=True)[0])
    is_correlated = is_valid[: len(centers), len(centers) :]
    token, patch = _choose_queries(is_correlated, token)
    nearest = to_numpy(torch.cdist(points.float().cpu(), outputs.centers[0].float().cpu()).argmin(dim=1))
    scene = {
        "points": to_numpy(points),
        "centers": centers,
        "nearest": nearest,
        "map": to_numpy(outputs.depth_map[0, 0]),
    }

    width = LEFT + 4 * TILE + 2 * GAP + BLOCK_GAP + 0.12
    row_height = TILE + CAPTION
    figure = empty_figure(width, TITLE_HEIGHT + 2 * row_height)
    lefts = [LEFT, LEFT + TILE + GAP, LEFT + 2 * TILE + GAP + BLOCK_GAP, LEFT + 3 * TILE + 2 * GAP + BLOCK_GAP]
    write_heading(figure, "Local-aligned attention", lefts[0], lefts[1] + TILE)
    write_heading(figure, "Global attention", lefts[2], lefts[3] + TILE)
    maps = [to_numpy(attention_maps(model, *inputs, is_local, layer)[0]) for is_local in (True, False)]
    queries = [("3D token asks", token), ("2D token asks", None if patch is None else len(centers) + patch)]
    for row, (name, query) in enumerate(queries):
        top = TITLE_HEIGHT + row * row_height
        write_text(figure, 0.16, top + TILE / 2, name, rotation=90, fontsize=10.5, fontweight="bold", ha="center")
        if query is None:
            write_text(figure, LEFT, top + TILE / 2, "The token's center is projected outside the frame.", fontsize=9)
            continue
        for half, weights in enumerate(maps):
            shown = weights[query].copy()
            if half == 0:
                shown[~is_valid[query]] = np.nan
            places = lefts[2 * half], lefts[2 * half + 1], top
            limits = float(np.nanmin(shown)), max(float(np.nanquantile(shown, 0.99)), float(np.nanmin(shown)) + 1e-9)
            asked = token if row == 0 else None, patch
            _draw_pair(figure, scene, shown, limits, asked, places, (azimuth, elevation))
            _draw_scale(figure, limits, lefts[2 * half] + TILE + GAP / 2, top + TILE + 0.32)
    return figure


def _choose_queries(is_correlated: np.ndarray, token: int | None) -> tuple[int, int | None]:
    """The 3D token that asks and its patch, `None` outside the frame."""
    if token is None:
        token = int(is_correlated[:, is_correlated.sum(axis=0).argmax()].argmax())
    if not 0 <= token < len(is_correlated):
        raise ValueError(f"`token` must be one of {len(is_correlated)} tokens, got {token}.")
    return token, int(is_correlated[token].argmax()) if is_correlated[token].any() else None


def _draw_pair(
    figure: "Figure",
    scene: dict[str, np.ndarray],
    weights: np.ndarray,
    limits: tuple[float, float],
    query: tuple[int | None, int | None],
    places: tuple[float, float, float],
    camera: tuple[float, float],
) -> None:
    """Draw attention in the cloud and in the depth map, with its shares below; NaN is not allowed."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    centers, (token, patch), (left_3d, left_2d, top) = scene["centers"], query, places
    scaled = (weights - limits[0]) / (limits[1] - limits[0])
    of_3d, of_2d = scaled[: len(centers)], scaled[len(centers) :]
    colors = _attention_colors(of_3d)[scene["nearest"]]
    cloud, radii = scene["points"], np.full(len(scene["points"]), RADIUS)
    if token is not None:
        from matplotlib.colors import to_rgb

        cloud = np.concatenate([cloud, centers[token, None]])
        colors, radii = np.concatenate([colors, [to_rgb(QUERY_COLOR)]]), np.append(radii, 2.6 * RADIUS)
    axis = bare_axes(figure, left_3d, top, TILE, TILE)
    axis.imshow(render_points(cloud, colors, TILE_PIXELS, radii, *camera, background=TILE_COLOR))

    num_rows = int(of_2d.size**0.5)
    size = len(scene["map"]) // num_rows
    gray = 0.93 - 0.55 * scene["map"][..., None].repeat(3, axis=2)
    grid = np.kron(np.nan_to_num(of_2d).reshape(num_rows, num_rows), np.ones((size, size)))
    is_given = np.kron(np.isfinite(of_2d).reshape(num_rows, num_rows), np.ones((size, size)))[..., None]
    overlay = colormaps[ATTENTION_COLORMAP](np.clip(grid, 0.0, 1.0))[..., :3]
    axis = bare_axes(figure, left_2d, top, TILE, TILE)
    axis.imshow(gray * (1 - 0.7 * is_given) + 0.7 * is_given * overlay, interpolation="nearest")
    if patch is not None:
        corner = patch % num_rows * size - 0.5, patch // num_rows * size - 0.5
        style: dict[str, Any] = {"linewidth": 2.4, "linestyle": "-" if token is None else (0, (2, 1))}
        axis.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=QUERY_COLOR, **style))
    for left, part, name in ((left_3d, weights[: len(centers)], "3D"), (left_2d, weights[len(centers) :], "2D")):
        share = f"{100 * np.nansum(part):.0f} % to {np.isfinite(part).sum()} of {part.size} {name} tokens"
        write_text(figure, left, top + TILE + 0.12, share, fontsize=8.5, color=TEXT_COLOR)


def _attention_colors(weights: np.ndarray) -> np.ndarray:
    """RGB of attention weights; grey where it is not allowed."""
    from matplotlib import colormaps

    colors = colormaps[ATTENTION_COLORMAP](np.clip(np.nan_to_num(weights), 0.0, 1.0))[:, :3]
    return np.where(np.isfinite(weights)[:, None], colors, CONTEXT_COLOR)


def _draw_scale(figure: "Figure", limits: tuple[float, float], middle: float, top: float) -> None:
    """Draw the scale of both tiles of a half below them."""
    axis = bare_axes(figure, middle - 0.5, top - 0.04, 1.0, 0.08)
    axis.imshow(np.linspace(0.0, 1.0, 64)[None], cmap=ATTENTION_COLORMAP, aspect="auto")
    style: dict[str, Any] = {"fontsize": 7.5, "color": MUTED_COLOR}
    write_text(figure, middle - 0.55, top, f"attention {limits[0]:.3f}", ha="right", **style)
    write_text(figure, middle + 0.55, top, f"{limits[1]:.3f}", **style)
