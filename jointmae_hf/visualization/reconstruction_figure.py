"""Fig. 5 of the paper, with columns for the depth maps: what went in, what was hidden, what came back."""

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .figure_layout import TEXT_COLOR, Array, bare_axes, empty_figure, to_numpy, write_heading
from .reconstruction_tiles import depth_tiles, point_tiles


if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS_3D = ("Input points", "Token centers", "Visible points", "Reconstruction")
COLUMNS_2D = ("Depth map", "Visible patches", "Reconstruction")
FIGURE_WIDTH = 12.0  # Inches: 1,200 pixels at matplotlib's 100 per inch, the width of a README.
ROW_LABEL_WIDTH, TILE_GAP, BRANCH_GAP, HEADING_HEIGHT = 0.26, 0.05, 0.20, 0.62  # Inches.


def reconstruction_figure(
    points: Array,
    centers: Array,
    masked_points: Sequence[Array],
    reconstructed_points: Array,
    is_hidden: Array,
    depth_map: Array,
    mask_2d: Array,
    reconstructed_pixels: Array,
    titles: Sequence[str] | None = None,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    radius: float = 0.022,
    tile_size: int = 324,
) -> "Figure":
    """Draw one row per shape: points, centers, visible points, reconstruction, and the same for the depth map.

    Given points are grey. Colour is the height (y) of a point, or the closeness of a pixel, on the scale of the row's
    input. Source: Joint-MAE Fig. 5; the columns of the 2D branch are ours.

    Args:
        points (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Input points, unit sphere, y up.
        centers (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_groups, 3)`):
            Centers of the 3D tokens.
        masked_points (sequence of `np.ndarray` or `torch.Tensor` of shape `(num_visible_points, 3)`):
            The visible part of each cloud.
        reconstructed_points (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_reconstructed, 3)`):
            Predicted and given points together.
        is_hidden (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_reconstructed)`):
            True for a predicted point, False for a given one.
        depth_map (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, 1, height, width)`):
            Closeness within [0, 1], background 0, first row on top.
        mask_2d (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_patches)`):
            True for a hidden patch, row by row; `num_patches` is a square number.
        reconstructed_pixels (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, 1, height, width)`):
            Like `depth_map`; clipped to [0, 1].
        titles (sequence of `str`, *optional*):
            One label per row.
        azimuth (`float`, *optional*, defaults to 35.0):
            Of the camera for the points, in degrees.
        elevation (`float`, *optional*, defaults to 20.0):
            Of the camera for the points, in degrees.
        radius (`float`, *optional*, defaults to 0.022):
            Of the spheres, in units of `points`.
        tile_size (`int`, *optional*, defaults to 324):
            Pixels of a rendered cloud; the default is sharp up to 200 dots per inch.

    Returns:
        `matplotlib.figure.Figure`: 12 inches wide, not registered with pyplot. Save it by [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the arguments differ in the number of shapes, or the patches do not tile the depth map.
    """
    shapes = {
        "points": [to_numpy(cloud) for cloud in points],
        "centers": [to_numpy(cloud) for cloud in centers],
        "masked_points": [to_numpy(cloud) for cloud in masked_points],
        "reconstructed_points": [to_numpy(cloud) for cloud in reconstructed_points],
        "is_hidden": [to_numpy(flags).astype(bool) for flags in is_hidden],
        "depth_map": [to_numpy(image)[0] for image in depth_map],
        "mask_2d": [to_numpy(flags).astype(bool) for flags in mask_2d],
        "reconstructed_pixels": [to_numpy(image)[0] for image in reconstructed_pixels],
    }
    _validate_shapes(shapes, titles)
    num_shapes = len(shapes["points"])
    figure, axes = _empty_grid(num_shapes)
    for row in range(num_shapes):
        shape = {name: values[row] for name, values in shapes.items()}
        tiles = point_tiles(shape, tile_size, radius, azimuth, elevation) + depth_tiles(shape)
        for column, tile in enumerate(tiles):
            is_pixel_art = column >= len(COLUMNS_3D)
            axes[row][column].imshow(tile, interpolation="nearest" if is_pixel_art else "antialiased")
        if titles is not None:
            axes[row][0].set_ylabel(titles[row], fontsize=10, color=TEXT_COLOR, labelpad=3)
    return figure


def save_figure(
    figure: "Figure", path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None, dpi: int = 150
) -> None:
    """Write a figure as PNG, whole or not at all, with its facts as text chunks.

    Pixels take 256 colours out of a palette, which the eye does not miss and which is a third of the bytes.

    Args:
        figure (`matplotlib.figure.Figure`):
            From [`reconstruction_figure`].
        path (`str` or `os.PathLike`):
            Ends in `.png`.
        metadata (`Mapping[str, Any]`, *optional*):
            Seed, checkpoint and the like; keys of at most 79 Latin characters, values as `str` gives them.
        dpi (`int`, *optional*, defaults to 150):
            Dots per inch; 150 makes the figure 1,800 pixels wide.

    Raises:
        ValueError: If `path` does not end in `.png`.
    """
    from PIL import Image  # comes with matplotlib
    from PIL.PngImagePlugin import PngInfo

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"`path` must end in '.png', got {str(path)!r}. Only PNG keeps the metadata.")
    chunks = PngInfo()
    for key, value in (metadata or {}).items():
        chunks.add_text(str(key), str(value))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    palette = {"method": Image.Quantize.MAXCOVERAGE, "kmeans": 3, "dither": Image.Dither.NONE}  # keeps rare colours
    picture = Image.open(drawn).convert("RGB").quantize(256, **palette)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        picture.save(temporary, format="png", optimize=True, pnginfo=chunks)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _validate_shapes(shapes: dict[str, list[np.ndarray]], titles: Sequence[str] | None) -> None:
    """Check that every argument has one entry per shape and that the entries fit each other."""
    num_shapes = len(shapes["points"])
    if num_shapes == 0:
        raise ValueError("`points` must hold at least one shape, got none.")
    counts = {name: len(values) for name, values in shapes.items()} | ({"titles": len(titles)} if titles else {})
    for name, count in counts.items():
        if count != num_shapes:
            raise ValueError(f"`{name}` must have one entry per shape of `points`, got {count} and {num_shapes}.")
    for flags, cloud in zip(shapes["is_hidden"], shapes["reconstructed_points"], strict=True):
        if flags.shape != cloud.shape[:1]:
            raise ValueError(f"`is_hidden` must have one flag per reconstructed point, got {flags.shape}.")
    for flags, image in zip(shapes["mask_2d"], shapes["depth_map"], strict=True):
        grid = math.isqrt(flags.size)
        if grid == 0 or grid**2 != flags.size or image.shape[0] % grid or image.shape[1] % grid:
            raise ValueError(
                f"`mask_2d` must have a square number of patches that tile the depth map, got {flags.size} for "
                f"{image.shape}."
            )


def _empty_grid(num_rows: int) -> tuple["Figure", list[list[Any]]]:
    """Return a figure with headings and one empty axes per tile."""
    headings = COLUMNS_3D + COLUMNS_2D
    tile = (FIGURE_WIDTH - ROW_LABEL_WIDTH - BRANCH_GAP - len(headings) * TILE_GAP) / len(headings)
    figure = empty_figure(FIGURE_WIDTH, HEADING_HEIGHT + num_rows * (tile + TILE_GAP))
    left_edges = [
        ROW_LABEL_WIDTH + column * (tile + TILE_GAP) + (BRANCH_GAP if column >= len(COLUMNS_3D) else 0.0)
        for column in range(len(headings))
    ]
    axes: list[list[Any]] = []
    for row in range(num_rows):
        top = HEADING_HEIGHT + row * (tile + TILE_GAP)
        axes.append([bare_axes(figure, left, top, tile, tile) for left in left_edges])
    for axis, heading in zip(axes[0], headings, strict=True):
        axis.set_title(heading, fontsize=10.5, color=TEXT_COLOR, pad=5)
    write_heading(figure, "3D branch", left_edges[0], left_edges[len(COLUMNS_3D) - 1] + tile)
    write_heading(figure, "2D branch", left_edges[len(COLUMNS_3D)], left_edges[-1] + tile)
    return figure, axes
