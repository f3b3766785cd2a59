"""Fig. 3 of the paper, drawn from real tensors: correlated 3D and 2D tokens, and the pairs that may attend."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .figure_layout import (
    HIGHLIGHTS,
    MUTED_COLOR,
    TEXT_COLOR,
    draw_tile,
    empty_figure,
    frame_patch,
    to_numpy,
    write_text,
)
from .pipeline_trace import PipelineTrace, attention_pairs
from .tiles import GIVEN_COLOR, color_depth_map, depth_scale, mark_centers, point_tile


if TYPE_CHECKING:
    from matplotlib.figure import Figure

WITHIN_COLOR, VALID_COLOR, INVALID_COLOR = "#dfe3e8", "#3b4252", "#ffffff"
TILE, GAP, LEFT, TITLE_HEIGHT, FOOT = 3.0, 0.42, 0.15, 0.52, 0.52  # Inches.
TILE_PIXELS, RADIUS = 600, 0.022


def alignment_figure(trace: PipelineTrace, row: int = 0) -> "Figure":
    """Draw the local-aligned attention of one cloud: correlated tokens in one color, valid and invalid pairs.

    The patches that contain the most centers have a color and a number; their centers and pairs share the color. The
    first matrix shows all tokens, the second those visible in pre-training. Source: Joint-MAE Sec. 3.3, Fig. 3.

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
    outputs = trace.outputs
    num_3d = outputs.centers.shape[1]
    is_correlated = to_numpy(attention_pairs(trace, is_local=True)[row])[:num_3d, num_3d:]
    pairs = to_numpy(attention_pairs(trace)[row])
    mask_3d, mask_2d = to_numpy(outputs.mask_3d[row]), to_numpy(outputs.mask_2d[row])
    colors = _pair_colors(is_correlated)

    figure = empty_figure(LEFT + 4 * TILE + 3 * GAP + 0.15, TITLE_HEIGHT + TILE + FOOT)
    lefts = [LEFT + column * (TILE + GAP) for column in range(4)]
    visible_pairs = to_numpy(trace.may_attend[row])
    visible = is_correlated[~mask_3d][:, ~mask_2d]
    texts = [
        ("3D tokens", f"{num_3d} centers, colored by numbered patch"),
        ("2D tokens", f"{mask_2d.size} patches, numbered by their count of centers"),
        ("All pairs", f"{is_correlated.sum()} of {is_correlated.size:,} pairs of 3D and 2D tokens are correlated"),
        (
            "Visible pairs, as in pre-training",
            f"{visible.sum()} of {visible.size:,} are correlated (independent masks)",
        ),
    ]
    for left, (title, subtitle) in zip(lefts, texts, strict=True):
        write_text(figure, left, 0.18, title, fontsize=11, fontweight="bold")
        write_text(figure, left, 0.38, subtitle, fontsize=8, color=MUTED_COLOR)
    center_colors = _token_colors(colors, is_correlated.any(axis=1))
    _draw_cloud(figure, trace, row, center_colors, lefts[0])
    _draw_patches(figure, to_numpy(outputs.depth_map[row, 0]), colors, lefts[1])
    _draw_pairs(figure, pairs, colors, num_3d, lefts[2])
    _draw_pairs(figure, visible_pairs, colors[~mask_3d][:, ~mask_2d], int((~mask_3d).sum()), lefts[3])
    _draw_legend(figure, lefts[2])
    return figure


def _pair_colors(is_correlated: np.ndarray) -> np.ndarray:
    """Return RGB `(num_3d, num_2d, 3)` of correlated pairs of the fullest patches; NaN for all other pairs."""
    from matplotlib.colors import to_rgb

    colors = np.full((*is_correlated.shape, 3), np.nan)
    counts = is_correlated.sum(axis=0)
    fullest = np.argsort(-counts, kind="stable")[: len(HIGHLIGHTS)]
    for patch, color in zip(fullest, HIGHLIGHTS, strict=False):
        colors[is_correlated[:, patch], patch] = to_rgb(color)
    return colors


def _token_colors(colors: np.ndarray, has_partner: np.ndarray) -> np.ndarray:
    """Return RGB `(num_3d, 3)`: the color of a center's patch, dark if it has none, light outside the frame."""
    is_colored = np.isfinite(colors[..., 0])
    plain = np.where(has_partner[:, None], 0.45, GIVEN_COLOR)
    first = colors[np.arange(len(colors)), is_colored.argmax(axis=1)]
    return np.where(is_colored.any(axis=1)[:, None], first, plain)


def _draw_cloud(figure: "Figure", trace: PipelineTrace, row: int, colors: np.ndarray, left: float) -> None:
    """Draw the cloud with its centers, large and colored."""
    points, centers = to_numpy(trace.points[row]), to_numpy(trace.outputs.centers[row])
    cloud = mark_centers(points, centers, colors, point_size=0.45, center_size=2.0)
    draw_tile(figure, point_tile(cloud, TILE_PIXELS, RADIUS, trace.camera), left, TITLE_HEIGHT, TILE)


def _draw_patches(figure: "Figure", depth_map: np.ndarray, colors: np.ndarray, left: float) -> None:
    """Draw the depth map with a frame and a number for each colored patch."""
    tones = color_depth_map(depth_map, *depth_scale(depth_map)).mean(axis=2, keepdims=True)
    num_rows = math.isqrt(colors.shape[1])
    size = len(depth_map) // num_rows
    picture = 0.55 + 0.45 * tones.repeat(3, axis=2)
    axis = draw_tile(figure, picture, left, TITLE_HEIGHT, TILE, interpolation="nearest")
    for line in range(1, num_rows):
        axis.axhline(line * size - 0.5, color="white", linewidth=0.8, zorder=1)
        axis.axvline(line * size - 0.5, color="white", linewidth=0.8, zorder=1)
    is_colored = np.isfinite(colors[..., 0])
    order = np.argsort(-is_colored.sum(axis=0), kind="stable")
    for number, patch in enumerate(order[is_colored.any(axis=0)[order]], start=1):
        color = colors[is_colored[:, patch].argmax(), patch]
        frame: dict[str, Any] = {"facecolor": (*color, 0.32), "edgecolor": color, "linewidth": 2.2}
        corner = frame_patch(axis, patch, num_rows, size, **frame)
        style: dict[str, Any] = {"fontsize": 8, "fontweight": "bold", "va": "top", "color": "white"}
        label = {"boxstyle": "square,pad=0.15", "facecolor": color, "edgecolor": color}
        axis.text(corner[0] + 0.08 * size, corner[1] + 0.1 * size, str(number), bbox=label, **style)


def _draw_pairs(figure: "Figure", may_attend: np.ndarray, colors: np.ndarray, num_3d: int, left: float) -> None:
    """Draw an attention mask: queries are rows, 3D tokens first."""
    from matplotlib.colors import to_rgb

    is_cross = np.zeros(may_attend.shape, dtype=bool)
    is_cross[:num_3d, num_3d:] = is_cross[num_3d:, :num_3d] = True
    picture = np.full((*may_attend.shape, 3), to_rgb(INVALID_COLOR))
    picture[may_attend] = to_rgb(WITHIN_COLOR)
    picture[may_attend & is_cross] = to_rgb(VALID_COLOR)
    both = np.full(picture.shape, np.nan)
    both[:num_3d, num_3d:], both[num_3d:, :num_3d] = colors, colors.transpose(1, 0, 2)
    is_colored = np.isfinite(both[..., 0]) & may_attend
    picture[is_colored] = both[is_colored]
    axis = draw_tile(figure, picture, left + 0.2, TITLE_HEIGHT, TILE - 0.2, interpolation="nearest")
    axis.spines[:].set_visible(True)
    axis.spines[:].set(color=MUTED_COLOR, linewidth=0.8)
    axis.axhline(num_3d - 0.5, color=TEXT_COLOR, linewidth=0.9)
    axis.axvline(num_3d - 0.5, color=TEXT_COLOR, linewidth=0.9)
    middles = (num_3d - 1) / 2, (num_3d + len(may_attend) - 1) / 2
    axis.set_xticks(middles, ["3D keys", "2D keys"], fontsize=8, color=TEXT_COLOR)
    axis.set_yticks(middles, ["3D queries", "2D queries"], fontsize=8, color=TEXT_COLOR, rotation=90, va="center")
    axis.tick_params(length=0, pad=3)


def _draw_legend(figure: "Figure", left: float) -> None:
    """Explain the colors of the matrices."""
    from matplotlib.patches import Patch

    entries = [
        (WITHIN_COLOR, "valid, within a modality"),
        (VALID_COLOR, "valid, correlated (color: a numbered patch)"),
        (INVALID_COLOR, "invalid"),
    ]
    handles = [Patch(facecolor=color, edgecolor=MUTED_COLOR, linewidth=0.6, label=label) for color, label in entries]
    width, height = figure.get_size_inches()
    anchor = (left + TILE + GAP / 2) / width, 0.06 / height
    style: dict[str, Any] = {"fontsize": 8, "frameon": False, "labelcolor": TEXT_COLOR, "handlelength": 1.2}
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=anchor, ncols=3, **style)
