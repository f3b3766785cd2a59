"""Fig. 2 of the paper, drawn from real tensors: every stage of one forward pass with its shape."""

import math
from typing import TYPE_CHECKING

import numpy as np

from .figure_layout import (
    HIGHLIGHTS,
    MUTED_COLOR,
    TEXT_COLOR,
    bare_axes,
    draw_tile,
    empty_figure,
    to_numpy,
    write_row_name,
    write_text,
)
from .pipeline_trace import PipelineTrace, shape_arrays
from .tiles import (
    GIVEN_COLOR,
    SphereCloud,
    depth_tiles,
    height_colors,
    mark_centers,
    patch_lines,
    point_tile,
    repeat_patches,
    shape_clouds,
)


if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOR_3D, COLOR_2D = HIGHLIGHTS[0], HIGHLIGHTS[3]
NUM_COLUMNS, TILE, GAP, MARGIN, TITLE_HEIGHT, ROW_LABEL = 5, 2.12, 0.14, 0.12, 0.46, 0.30  # Inches.
TILE_PIXELS, RADIUS = 424, 0.022
TOKEN_STYLE = {"cmap": "PuOr_r", "vmin": -1.0, "vmax": 1.0, "interpolation": "nearest", "aspect": "auto"}
Panel = tuple[str, str, np.ndarray | list[np.ndarray]]


def pipeline_figure(trace: PipelineTrace, row: int = 0, title: str | None = None) -> "Figure":
    """Draw the forward pass of one cloud stage by stage, each with the shape of its tensor.

    Clouds are colored by height, depth maps by closeness; tokens are rows of features, normalized per panel, 3D tokens
    (blue) above 2D tokens (vermilion). Source: Joint-MAE Fig. 2.

    Args:
        trace ([`PipelineTrace`]):
            The forward pass, from [`trace_pipeline`].
        row (`int`, *optional*, defaults to 0):
            Index of the cloud in the batch.
        title (`str`, *optional*):
            Name of the cloud.

    Returns:
        `matplotlib.figure.Figure`: The figure, see [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
    """
    arrays = _arrays(trace, row)
    rows = [
        ("3D branch", COLOR_3D, _panels_3d(arrays, trace.camera)),
        ("2D branch", COLOR_2D, _panels_2d(arrays)),
        ("Joint transformer", TEXT_COLOR, _token_panels(arrays)),
    ]
    width = ROW_LABEL + NUM_COLUMNS * TILE + (NUM_COLUMNS - 1) * GAP + MARGIN
    figure = empty_figure(width, len(rows) * (TITLE_HEIGHT + TILE) + MARGIN)
    for number, (label, color, panels) in enumerate(rows):
        top = number * (TITLE_HEIGHT + TILE) + TITLE_HEIGHT
        name = f"{label}: {title}" if title and number == 0 else label
        write_row_name(figure, 0.15, top + TILE / 2, name, color=color)
        for column, panel in enumerate(panels):
            _draw_panel(figure, panel, ROW_LABEL + column * (TILE + GAP), top)
    return figure


def _arrays(trace: PipelineTrace, row: int) -> dict[str, np.ndarray]:
    """Return the recorded tensors of one cloud as arrays, and what Fig. 5 shows of it."""
    arrays = {name: to_numpy(tensor[row]) for name, tensor in trace.tensors.items()}
    arrays |= shape_arrays(trace.model, trace.points, trace.outputs, row)
    return arrays | {"mask_3d": to_numpy(trace.outputs.mask_3d[row])}


def _panels_3d(arrays: dict[str, np.ndarray], camera: tuple[float, float]) -> list[Panel]:
    """Return the cloud, the centers of both scales, the points of visible tokens and the reconstruction."""
    points, centers, fine_centers = arrays["points"], arrays["centers"], arrays["fine_centers"]
    visible, given = ~arrays["mask_3d"], arrays["visible_points"]
    whole, _, _, rebuilt = shape_clouds(arrays)
    token_colors = np.where(visible[:, None], height_colors(centers, points), GIVEN_COLOR)
    hidden = f"{int(visible.sum())} visible, {int((~visible).sum())} hidden (gray)"
    note = "" if arrays["is_hidden"].all() else ", given in gray"
    clouds: list[tuple[str, str, SphereCloud]] = [("Point cloud P", _shape(points), whole)]
    if len(fine_centers) > len(centers):
        fine = mark_centers(points, fine_centers, height_colors(fine_centers, points), center_size=1.4)
        clouds.append(("FPS centers, fine scale", _shape(fine_centers), fine))
    clouds += [
        (
            "FPS centers, 3D tokens",
            f"{_shape(centers)}: {hidden}",
            mark_centers(points, centers, token_colors, center_size=2.1),
        ),
        ("Points of visible tokens", _shape(given), (given, height_colors(given, points), np.ones(len(given)))),
        ("Reconstructed points", f"{_shape(arrays['predicted_groups'])} predicted{note}", rebuilt),
    ]
    return [(name, shape, point_tile(cloud, TILE_PIXELS, RADIUS, camera)) for name, shape, cloud in clouds]


def _panels_2d(arrays: dict[str, np.ndarray]) -> list[Panel]:
    """Return the depth map, the features of the small patches, the mask, the visible pixels and the reconstruction."""
    depth_map, masked, reconstruction = depth_tiles(arrays)
    fine = arrays["fine_features_2d"]
    visible = int((~arrays["mask_2d"]).sum())
    rows = math.isqrt(arrays["mask_2d"].size)
    energy = np.linalg.norm(fine, axis=0)
    panels: list[Panel] = [("Depth map I = Project(P)", f"1 x {_shape(arrays['depth_map'])}", depth_map)]
    if fine.shape[1] > rows:
        panels.append(("Embedded 4x4 patches", f"{_shape(fine)}, norm of features", _gray(energy)))
    hidden = f"{rows} x {rows}: {visible} visible, {arrays['mask_2d'].size - visible} hidden"
    return [
        *panels,
        ("2D tokens, mask", hidden, _mask_picture(arrays["mask_2d"], depth_map)),
        ("Pixels of visible tokens", f"{visible} x {arrays['predicted_patches'].shape[1]}", masked),
        ("Reconstructed pixels", f"{_shape(arrays['predicted_patches'])} predicted", reconstruction),
    ]


def _token_panels(arrays: dict[str, np.ndarray]) -> list[Panel]:
    """Return the tokens before and after the encoder, after the shared decoder and after the specific decoders."""
    visible = int((~arrays["mask_3d"]).sum())
    specific = np.concatenate([arrays["decoded_3d"], arrays["decoded_2d"]])
    stages: list[tuple[str, np.ndarray, int]] = [
        ("Visible tokens", arrays["visible_tokens"], visible),
        ("Encoded E", arrays["encoded"], visible),
    ]
    if "decoded" in arrays:
        stages.append(("Modal-shared decoder D (Eq. 3)", arrays["decoded"], arrays["mask_3d"].size))
    stages.append(("Modal-specific decoders (Eq. 4)", specific, len(arrays["decoded_3d"])))
    panels: list[Panel] = [
        (name, f"({count} + {len(tokens) - count}) x {tokens.shape[1]}", [tokens[:count], tokens[count:]])
        for name, tokens, count in stages
    ]
    cosine = _cosines(arrays["encoded"], visible)
    return [*panels, ("Similarity of encoded tokens", f"{_shape(cosine)}, centered cosine", cosine)]


def _cosines(tokens: np.ndarray, num_3d: int) -> np.ndarray:
    """Return the cosine similarity of all pairs of tokens, centered per modality."""
    blocks = [block - block.mean(axis=0) for block in (tokens[:num_3d], tokens[num_3d:])]
    centered = np.concatenate(blocks)
    centered = centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-9)
    return centered @ centered.T


def _draw_panel(figure: "Figure", panel: Panel, left: float, top: float) -> None:
    """Draw a picture, a matrix or two blocks of tokens under a title and the shape."""
    title, shape, content = panel
    write_text(figure, left, top - 0.29, title, fontsize=9.5)
    write_text(figure, left, top - 0.11, shape, fontsize=7.5, color=MUTED_COLOR)
    if isinstance(content, list):
        _draw_tokens(figure, content, left, top)
        return
    style = {"interpolation": "antialiased" if len(content) == TILE_PIXELS else "nearest"}
    draw_tile(figure, content, left, top, TILE, **(TOKEN_STYLE if content.ndim == 2 else style))


def _draw_tokens(figure: "Figure", blocks: list[np.ndarray], left: float, top: float) -> None:
    """Draw 3D tokens above 2D tokens, rows of equal height, with a bar in the color of the branch."""
    tokens = np.concatenate(blocks)
    mean, spread = tokens.mean(), 2.5 * max(float(tokens.std()), 1e-9)
    bar, slit = 0.06, 0.05
    row_height = (TILE - slit) / max(len(tokens), 1)
    for block, color in zip(blocks, (COLOR_3D, COLOR_2D), strict=True):
        if not len(block):
            continue
        height = row_height * len(block)
        bare_axes(figure, left, top, bar, height).set_facecolor(color)
        axis = bare_axes(figure, left + bar + 0.03, top, TILE - bar - 0.03, height)
        axis.imshow((block - mean) / spread, **TOKEN_STYLE)
        top += height + slit


def _mask_picture(mask: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Fade the depth map where a token is hidden."""
    cover = 0.72 * repeat_patches(mask, picture)[..., None]
    faded = (1.0 - cover) * picture + cover * np.array(GIVEN_COLOR)
    return np.where(patch_lines(mask.size, picture)[..., None], 1.0, faded)


def _gray(values: np.ndarray) -> np.ndarray:
    """Return values as a picture from light to dark."""
    span = max(float(values.max() - values.min()), 1e-9)
    tone = 0.97 - 0.85 * (values - values.min()) / span
    return np.repeat(tone[..., None], 3, axis=2)


def _shape(values: np.ndarray) -> str:
    """Format a shape."""
    return " x ".join(f"{size:,}" for size in values.shape)
