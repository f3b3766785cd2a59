"""Fig. 4 of the paper, drawn from real tensors: inputs and errors of the three losses."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jointmae_hf.model.depth_projection import render_colors, rotate_views
from jointmae_hf.model.losses import patchify, unpatchify
from jointmae_hf.model.point_ops import bounding_sphere

from .figure_layout import (
    HIGHLIGHTS,
    MUTED_COLOR,
    draw_scale,
    draw_tile,
    empty_figure,
    map_colors,
    to_numpy,
    write_row_name,
    write_text,
)
from .pipeline_trace import PipelineTrace
from .tiles import CONTEXT_COLOR, TILE_COLOR, color_depth_map, depth_scale, height_colors, point_tile


if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDE, GAP, LEFT, TITLE_HEIGHT, BLOCK_GAP, BAR = 2.1, 0.08, 0.12, 0.50, 0.45, 0.36  # Inches.
TILE_PIXELS, RADIUS = 420, 0.026


@torch.no_grad()
def loss_terms(trace: PipelineTrace, row: int = 0) -> dict[str, np.ndarray]:
    """Compute what the three losses compare for one cloud, and every individual error.

    Args:
        trace ([`PipelineTrace`]):
            The forward pass, from [`trace_pipeline`].
        row (`int`, *optional*, defaults to 0):
            Index of the cloud in the batch.

    Returns:
        `dict[str, np.ndarray]`: For L_3D, `predicted_points` and `target_points` `(num_hidden, group_size, 3)` in
        world coordinates, of hidden groups or of whole clouds, as the loss compares; `predicted_errors` and
        `target_errors` `(num_hidden, group_size)`, squared distances to the nearest point on the other side, whose
        means add up to L_3D. For L_2D, `predicted_map`, `target_map` and `map_errors` `(image_size, image_size)`, NaN
        in visible patches. For L_3D-2D, `predicted_views`, `target_views` and `view_errors` `(num_views, image_size,
        image_size)`. The means of `map_errors` and `view_errors` are the losses.
    """
    model, outputs, config = trace.model, trace.outputs, trace.model.config
    hidden_patches = to_numpy(outputs.mask_2d[row])
    size, image_size = config.token_patch_size, config.image_size
    pixels = torch.stack([outputs.reconstructed_pixels[row], outputs.depth_map[row]])
    patches = patchify(pixels, size)
    patches[:, torch.as_tensor(~hidden_patches)] = torch.nan
    predicted_map, target_map = to_numpy(unpatchify(patches, size, image_size)[:, 0])

    one = slice(row, row + 1)
    points = trace.points[one].to(outputs.view.device)
    views, frame = rotate_views(outputs.view[one], config.num_views), bounding_sphere(points)
    clouds = outputs.reconstructed_points[one], points
    projections = torch.stack([model.project(cloud, views, frame)[0] for cloud in clouds])
    is_rendered = config.projection_mode == "rendered"  # the loss compares colors then (Table 8, last row)
    compared = render_colors(projections) if is_rendered else projections[:, :, None]
    return {
        **_point_errors(trace, row),
        "predicted_map": predicted_map,
        "target_map": target_map,
        "map_errors": (predicted_map - target_map) ** 2,
        "predicted_views": to_numpy(projections[0]),
        "target_views": to_numpy(projections[1]),
        "view_errors": to_numpy((compared[0] - compared[1]).square().mean(dim=1)),
    }


def _point_errors(trace: PipelineTrace, row: int) -> dict[str, np.ndarray]:
    """Return predicted and true points that L_3D compares, with their squared distances to the other side."""
    outputs, config = trace.outputs, trace.model.config
    if config.loss_3d_target == "cloud":
        sides = [outputs.reconstructed_points[row][None], trace.points[row][None].to(outputs.view.device)]
    else:
        is_hidden = outputs.mask_3d[row]
        clouds = outputs.reconstructed_points[row], outputs.target_points[row]
        sides = [cloud.unflatten(0, (-1, config.target_group_size))[is_hidden] for cloud in clouds]
    squared = (sides[0][:, :, None] - sides[1][:, None, :]).square().sum(dim=-1)
    return {
        "predicted_points": to_numpy(sides[0]),
        "target_points": to_numpy(sides[1]),
        "predicted_errors": to_numpy(squared.amin(dim=2)),
        "target_errors": to_numpy(squared.amin(dim=1)),
    }


def loss_figure(trace: PipelineTrace, row: int = 0) -> "Figure":
    """Draw what each loss compares for one cloud, and the errors. Source: Joint-MAE Sec. 3.4, Fig. 4.

    Args:
        trace ([`PipelineTrace`]):
            The forward pass, from [`trace_pipeline`].
        row (`int`, *optional*, defaults to 0):
            Index of the cloud in the batch.

    Returns:
        `matplotlib.figure.Figure`: The figure, see [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
    """
    terms, config = loss_terms(trace, row), trace.model.config
    num_views = config.num_views
    rows_height = 2 * (WIDE + BAR + TITLE_HEIGHT)
    narrow = (rows_height - TITLE_HEIGHT - BAR - 2 * GAP - 0.1) / 3
    second = LEFT + 3 * WIDE + 2 * GAP + BLOCK_GAP
    width = second + 0.22 + num_views * narrow + (num_views - 1) * GAP + 0.12
    figure = empty_figure(width, rows_height + 0.08)
    lefts = [LEFT + column * (WIDE + GAP) for column in range(3)]

    loss_3d = terms["predicted_errors"].mean() + terms["target_errors"].mean()
    _write_block(figure, "L_3D: Chamfer distance of hidden groups", f"{loss_3d:.4f}, squared units", LEFT, 0.0)
    limit = _draw_clouds(figure, to_numpy(trace.points[row]), terms, lefts, trace.camera)
    _draw_limits(figure, limit, "distance", lefts[2], TITLE_HEIGHT + WIDE, WIDE)
    top = WIDE + BAR + TITLE_HEIGHT
    loss_2d = np.nanmean(terms["map_errors"])
    _write_block(figure, "L_2D: pixels of hidden patches", f"{loss_2d:.4f}, squared closeness", LEFT, top)
    limit = _draw_maps(figure, terms, lefts, top + TITLE_HEIGHT)
    _draw_limits(figure, limit, "error", lefts[2], top + TITLE_HEIGHT + WIDE, WIDE)

    title = f"L_3D-2D: projections of reconstruction and input, {num_views} views"
    if config.loss_3d_2d_weight == 0:
        title += " (weight 0)"
    _write_block(figure, title, f"{terms['view_errors'].mean():.4f}, squared closeness", second + 0.22, 0.0)
    limit = _draw_views(figure, terms, second + 0.22, narrow)
    last = second + 0.22 + (num_views - 1) * (narrow + GAP)
    _draw_limits(figure, limit, "error", last, TITLE_HEIGHT + 3 * narrow + 2 * GAP, narrow)
    return figure


def _write_block(figure: "Figure", title: str, value: str, left: float, top: float) -> None:
    """Write the title of a loss and its value for this cloud."""
    write_text(figure, left, top + 0.15, title, fontsize=10.5, fontweight="bold")
    write_text(figure, left, top + 0.36, f"this cloud: {value}", fontsize=8.5, color=MUTED_COLOR)


def _draw_clouds(
    figure: "Figure",
    points: np.ndarray,
    terms: dict[str, np.ndarray],
    lefts: list[float],
    camera: tuple[float, float],
) -> float:
    """Draw predicted and true points, and the error of the predicted ones; return the end of its scale."""
    predicted, target = terms["predicted_points"].reshape(-1, 3), terms["target_points"].reshape(-1, 3)
    distances = np.sqrt(terms["predicted_errors"].ravel())
    limit = max(float(np.quantile(distances, 0.98)), 1e-6)
    tiles = [
        ("predicted points", predicted, height_colors(predicted, points)),
        ("true points", target, height_colors(target, points)),
        ("distance to the nearest true point", predicted, map_colors(distances / limit)),
    ]
    for left, (name, cloud, colors) in zip(lefts, tiles, strict=True):
        picture = point_tile((cloud, colors, np.ones(len(cloud))), TILE_PIXELS, RADIUS, camera)
        _name_tile(draw_tile(figure, picture, left, TITLE_HEIGHT, WIDE), name)
    return limit


def _draw_maps(figure: "Figure", terms: dict[str, np.ndarray], lefts: list[float], top: float) -> float:
    """Draw predicted and true pixels of hidden patches, and their error; return the end of its scale."""
    is_visible = np.isnan(terms["target_map"])
    names = "predicted_map", "target_map", "map_errors"
    predicted, target, errors = (np.nan_to_num(terms[name]) for name in names)
    limit = max(float(np.nanquantile(np.sqrt(terms["map_errors"]), 0.995)), 1e-6)
    scale = depth_scale(target)
    tiles = [
        ("predicted pixels", color_depth_map(predicted, *scale)),
        ("true pixels", color_depth_map(target, *scale)),
        ("absolute error", _error_picture(np.sqrt(errors), limit)),
    ]
    for left, (name, picture) in zip(lefts, tiles, strict=True):
        masked = np.where(is_visible[..., None], CONTEXT_COLOR, picture)
        _name_tile(draw_tile(figure, masked, left, top, WIDE, interpolation="nearest"), name)
    return limit


def _draw_views(figure: "Figure", terms: dict[str, np.ndarray], left: float, tile: float) -> float:
    """Draw projections of reconstruction and input in every view, and their error; return the end of its scale."""
    errors = np.sqrt(terms["view_errors"])
    limit = max(float(np.quantile(errors, 0.995)), 1e-6)
    scale = depth_scale(terms["target_views"])
    rows = [
        ("Project(reconstruction)", [color_depth_map(view, *scale) for view in terms["predicted_views"]]),
        ("Project(input)", [color_depth_map(view, *scale) for view in terms["target_views"]]),
        ("absolute error", [_error_picture(view, limit) for view in errors]),
    ]
    style: dict[str, Any] = {"fontsize": 8, "fontweight": "normal", "color": MUTED_COLOR}
    for row, (name, pictures) in enumerate(rows):
        top = TITLE_HEIGHT + row * (tile + GAP)
        write_row_name(figure, left - 0.11, top + tile / 2, name, **style)
        for view, picture in enumerate(pictures):
            axis = draw_tile(figure, picture, left + view * (tile + GAP), top, tile, interpolation="nearest")
            if row == 0:
                _name_tile(axis, "view of I" if view == 0 else f"rotated {360 * view // len(errors)}°")
    return limit


def _error_picture(errors: np.ndarray, limit: float) -> np.ndarray:
    """Return RGB of errors, fading into the background at zero."""
    cover = np.clip(errors / limit * 8.0, 0.0, 1.0)[..., None]
    return cover * map_colors(errors / limit) + (1.0 - cover) * np.array(TILE_COLOR)


def _name_tile(axis: Any, name: str) -> None:
    """Write a name into the upper left corner of a tile."""
    box = {"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    axis.text(0.025, 0.975, name, transform=axis.transAxes, fontsize=7.5, va="top", color=HIGHLIGHTS[0], bbox=box)


def _draw_limits(figure: "Figure", limit: float, name: str, left: float, top: float, width: float) -> None:
    """Draw the scale of an error, from zero to a limit, below a tile."""
    draw_scale(figure, left, top + 0.06, width)
    style: dict[str, Any] = {"fontsize": 7, "color": MUTED_COLOR}
    write_text(figure, left, top + 0.22, "0", **style)
    write_text(figure, left + width / 2, top + 0.22, name, ha="center", **style)
    write_text(figure, left + width, top + 0.22, f"{limit:.3g}", ha="right", **style)
