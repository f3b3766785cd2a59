"""Fig. 4 of the paper from real tensors: inputs and errors of the three losses."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jointmae_hf.model import JointMAEForPreTraining
from jointmae_hf.model.depth_projection import render_colors, rotate_views
from jointmae_hf.model.losses import patchify, unpatchify
from jointmae_hf.model.point_ops import bounding_sphere

from .figure_layout import HIGHLIGHTS, MUTED_COLOR, bare_axes, empty_figure, to_numpy, write_text
from .pipeline_trace import PipelineTrace
from .reconstruction_tiles import CONTEXT_COLOR, TILE_COLOR, color_depth_map, depth_scale, height_colors
from .sphere_renderer import render_points


if TYPE_CHECKING:
    from matplotlib.figure import Figure

ERROR_COLORMAP = "YlGnBu"
WIDE, GAP, LEFT, TITLE_HEIGHT, BLOCK_GAP, BAR = 2.1, 0.08, 0.12, 0.50, 0.45, 0.36  # Inches.
TILE_PIXELS, RADIUS = 420, 0.026


@torch.no_grad()
def loss_terms(model: JointMAEForPreTraining, trace: PipelineTrace, row: int = 0) -> dict[str, np.ndarray]:
    """Compute what the three losses compare for one cloud, and each single error.

    Args:
        model (`JointMAEForPreTraining`):
            The model of the trace.
        trace ([`PipelineTrace`]):
            From [`trace_pipeline`].
        row (`int`, *optional*, defaults to 0):
            Cloud of the batch.

    Returns:
        `dict[str, np.ndarray]`: `predicted_points` and `target_points` `(num_hidden, group_size, 3)` of hidden tokens
        (or whole clouds, as the loss compares) in world coordinates with `predicted_errors` and `target_errors` `(num_hidden, group_size)`, squared distances to
        the nearest point on the other side, whose means add up to L_3D; `predicted_map`, `target_map` and `map_errors`
        `(image_size, image_size)`, NaN in visible patches, whose mean is L_2D; `predicted_views`, `target_views` and
        `view_errors` `(num_views, image_size, image_size)`, whose mean is L_3D-2D.
    """
    outputs, config = trace.outputs, model.config
    hidden_patches = to_numpy(outputs.mask_2d[row])
    size, image_size = config.token_patch_size, config.image_size
    pixels = torch.stack([outputs.reconstructed_pixels[row], outputs.depth_map[row]])
    patches = patchify(pixels, size)
    patches[:, torch.as_tensor(~hidden_patches)] = torch.nan
    predicted_map, target_map = to_numpy(unpatchify(patches, size, image_size)[:, 0])

    one = slice(row, row + 1)
    points = trace.points[one].to(outputs.view.device)
    views, frame = rotate_views(outputs.view[one], config.num_views), bounding_sphere(points)
    predicted_views, target_views = (
        to_numpy(model.project(cloud, views, frame)[0]) for cloud in (outputs.reconstructed_points[one], points)
    )
    return {
        **_point_errors(model, trace, row),
        "predicted_map": predicted_map,
        "target_map": target_map,
        "map_errors": (predicted_map - target_map) ** 2,
        "predicted_views": predicted_views,
        "target_views": target_views,
        "view_errors": to_numpy(_view_errors(model, predicted_views, target_views)),
    }


def _view_errors(model: JointMAEForPreTraining, predicted: np.ndarray, target: np.ndarray) -> torch.Tensor:
    """Squared errors of projections, of their colours where the loss compares those (Table 8, last row)."""
    maps = torch.as_tensor(np.stack([predicted, target]))
    if model.config.projection_mode == "rendered":
        maps = render_colors(maps)
        return (maps[0] - maps[1]).square().mean(dim=1)
    return (maps[0] - maps[1]).square()


def _point_errors(model: JointMAEForPreTraining, trace: PipelineTrace, row: int) -> dict[str, np.ndarray]:
    """Points that L_3D compares, predicted and true, with the squared distance of each to the other side."""
    outputs, group_size = trace.outputs, model.config.target_group_size
    if model.config.loss_3d_target == "cloud":
        sides = [outputs.reconstructed_points[row][None], trace.points[row][None].to(outputs.view.device)]
    else:
        is_hidden = outputs.mask_3d[row]
        clouds = outputs.reconstructed_points[row], outputs.target_points[row]
        sides = [cloud.unflatten(0, (-1, group_size))[is_hidden] for cloud in clouds]
    squared = (sides[0][:, :, None] - sides[1][:, None, :]).square().sum(dim=-1)
    return {
        "predicted_points": to_numpy(sides[0]),
        "target_points": to_numpy(sides[1]),
        "predicted_errors": to_numpy(squared.amin(dim=2)),
        "target_errors": to_numpy(squared.amin(dim=1)),
    }


def loss_figure(
    model: JointMAEForPreTraining,
    trace: PipelineTrace,
    row: int = 0,
    azimuth: float = 35.0,
    elevation: float = 20.0,
) -> "Figure":
    """Draw what each loss compares for one cloud, and where it errs. Source: Joint-MAE Sec. 3.4, Fig. 4.

    Args:
        model (`JointMAEForPreTraining`):
            The model of the trace.
        trace ([`PipelineTrace`]):
            From [`trace_pipeline`].
        row (`int`, *optional*, defaults to 0):
            Cloud of the batch.
        azimuth (`float`, *optional*, defaults to 35.0):
            Of the camera for the points, in degrees; that of the trace.
        elevation (`float`, *optional*, defaults to 20.0):
            Of the camera for the points, in degrees.

    Returns:
        `matplotlib.figure.Figure`: Save it by [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
    """
    terms, num_views = loss_terms(model, trace, row), model.config.num_views
    rows_height = 2 * (WIDE + BAR + TITLE_HEIGHT)
    narrow = (rows_height - TITLE_HEIGHT - BAR - 2 * GAP - 0.1) / 3
    second = LEFT + 3 * WIDE + 2 * GAP + BLOCK_GAP
    width = second + 0.22 + num_views * narrow + (num_views - 1) * GAP + 0.12
    figure = empty_figure(width, rows_height + 0.08)
    lefts = [LEFT + column * (WIDE + GAP) for column in range(3)]

    loss_3d = terms["predicted_errors"].mean() + terms["target_errors"].mean()
    _write_block(figure, "L_3D: Chamfer distance of hidden groups", f"{loss_3d:.4f}, squared units", LEFT, 0.0)
    cloud_errors = _draw_clouds(figure, trace, row, terms, lefts, (azimuth, elevation))
    top = WIDE + BAR + TITLE_HEIGHT
    loss_2d = np.nanmean(terms["map_errors"])
    _write_block(figure, "L_2D: pixels of hidden patches", f"{loss_2d:.4f}, squared closeness", LEFT, top)
    map_errors = _draw_maps(figure, terms, lefts, top + TITLE_HEIGHT)
    for errors, name, bar_top in (
        (cloud_errors, "distance", TITLE_HEIGHT + WIDE),
        (map_errors, "error", top + TITLE_HEIGHT + WIDE),
    ):
        _draw_bar(figure, errors, name, lefts[2], bar_top, WIDE)

    title = f"L_3D-2D: projections of reconstruction and input, {num_views} views"
    if model.config.loss_3d_2d_weight == 0:
        title += " (weight 0)"
    _write_block(figure, title, f"{terms['view_errors'].mean():.4f}, squared closeness", second + 0.22, 0.0)
    view_errors = _draw_views(figure, terms, second + 0.22, narrow)
    last = second + 0.22 + (num_views - 1) * (narrow + GAP)
    _draw_bar(figure, view_errors, "error", last, TITLE_HEIGHT + 3 * narrow + 2 * GAP, narrow)
    return figure


def _write_block(figure: "Figure", title: str, value: str, left: float, top: float) -> None:
    """Write the title of a loss and its value for this cloud."""
    write_text(figure, left, top + 0.15, title, fontsize=10.5, fontweight="bold")
    write_text(figure, left, top + 0.36, f"this cloud: {value}", fontsize=8.5, color=MUTED_COLOR)


def _draw_clouds(
    figure: "Figure",
    trace: PipelineTrace,
    row: int,
    terms: dict[str, np.ndarray],
    lefts: list[float],
    camera: tuple[float, float],
) -> Any:
    """Draw predicted and true points of hidden tokens and the error of each predicted one."""
    from matplotlib import colormaps

    points = to_numpy(trace.points[row])
    heights = float(points[:, 1].min()), float(points[:, 1].max())
    predicted, target = terms["predicted_points"].reshape(-1, 3), terms["target_points"].reshape(-1, 3)
    distances = np.sqrt(terms["predicted_errors"].ravel())
    limit = max(float(np.quantile(distances, 0.98)), 1e-6)
    error_colors = colormaps[ERROR_COLORMAP](np.clip(distances / limit, 0.0, 1.0))[:, :3]
    tiles = [
        ("predicted points", predicted, height_colors(predicted, *heights)),
        ("true points", target, height_colors(target, *heights)),
        ("distance to the nearest true point", predicted, error_colors),
    ]
    for left, (name, cloud, colors) in zip(lefts, tiles, strict=True):
        axis = bare_axes(figure, left, TITLE_HEIGHT, WIDE, WIDE)
        axis.imshow(render_points(cloud, colors, TILE_PIXELS, RADIUS, *camera, background=TILE_COLOR))
        _name_tile(axis, name)
    return 0.0, limit


def _draw_maps(figure: "Figure", terms: dict[str, np.ndarray], lefts: list[float], top: float) -> Any:
    """Draw predicted and true pixels of hidden patches and their error; visible patches stay empty."""
    scale = depth_scale(np.nan_to_num(terms["target_map"]))
    is_visible = np.isnan(terms["target_map"])
    limit = max(float(np.nanquantile(np.sqrt(terms["map_errors"]), 0.995)), 1e-6)
    tiles = [
        ("predicted pixels", color_depth_map(np.nan_to_num(terms["predicted_map"]), *scale)),
        ("true pixels", color_depth_map(np.nan_to_num(terms["target_map"]), *scale)),
        ("absolute error", _error_picture(np.sqrt(np.nan_to_num(terms["map_errors"])), limit)),
    ]
    for left, (name, picture) in zip(lefts, tiles, strict=True):
        axis = bare_axes(figure, left, top, WIDE, WIDE)
        axis.imshow(np.where(is_visible[..., None], CONTEXT_COLOR, picture), interpolation="nearest")
        _name_tile(axis, name)
    return 0.0, limit


def _draw_views(figure: "Figure", terms: dict[str, np.ndarray], left: float, tile: float) -> Any:
    """Draw projections of the reconstruction and of the input by every view, and their error."""
    errors = np.sqrt(terms["view_errors"])
    limit = max(float(np.quantile(errors, 0.995)), 1e-6)
    scale = depth_scale(terms["target_views"])
    for line, name in enumerate(("Project(reconstruction)", "Project(input)", "absolute error")):
        top = TITLE_HEIGHT + line * (tile + GAP)
        write_text(figure, left - 0.11, top + tile / 2, name, rotation=90, fontsize=8, ha="center", color=MUTED_COLOR)
        for view in range(len(errors)):
            axis = bare_axes(figure, left + view * (tile + GAP), top, tile, tile)
            maps = terms["predicted_views"][view], terms["target_views"][view]
            picture = _error_picture(errors[view], limit) if line == 2 else color_depth_map(maps[line], *scale)
            axis.imshow(picture, interpolation="nearest")
            if line == 0:
                _name_tile(axis, "view of I" if view == 0 else f"turned {360 * view // len(errors)}°")
    return 0.0, limit


def _error_picture(errors: np.ndarray, limit: float) -> np.ndarray:
    """RGB of errors, the background's where there is none."""
    from matplotlib import colormaps

    share = np.clip(errors / limit, 0.0, 1.0)
    cover = np.clip(share * 8.0, 0.0, 1.0)[..., None]
    return cover * colormaps[ERROR_COLORMAP](share)[..., :3] + (1.0 - cover) * np.array(TILE_COLOR)


def _name_tile(axis: Any, name: str) -> None:
    """Write into the upper left corner of a tile."""
    box = {"boxstyle": "square,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.75}
    axis.text(0.025, 0.975, name, transform=axis.transAxes, fontsize=7.5, va="top", color=HIGHLIGHTS[0], bbox=box)


def _draw_bar(figure: "Figure", limits: Any, name: str, left: float, top: float, width: float) -> None:
    """Draw the scale of an error below its tile."""
    axis = bare_axes(figure, left, top + 0.06, width, 0.08)
    axis.imshow(np.linspace(0.0, 1.0, 128)[None], cmap=ERROR_COLORMAP, aspect="auto")
    low, high = limits
    write_text(figure, left, top + 0.22, f"{low:g}", fontsize=7, color=MUTED_COLOR)
    write_text(figure, left + width / 2, top + 0.22, name, fontsize=7, color=MUTED_COLOR, ha="center")
    write_text(figure, left + width, top + 0.22, f"{high:.3g}", fontsize=7, color=MUTED_COLOR, ha="right")
