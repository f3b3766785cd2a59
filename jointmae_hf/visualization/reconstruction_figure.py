"""Fig. 5 of the paper, with columns for the depth maps: input, visible part and reconstruction of some clouds."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from jointmae_hf.model import JointMAEForPreTraining

from .figure_layout import TEXT_COLOR, Array, bare_axes, empty_figure, to_numpy, write_heading
from .pipeline_trace import check_2d_branch, reconstruct, shape_arrays
from .tiles import Shape, depth_tiles, point_tiles, shape_clouds


if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS_3D = ("Input points", "Token centers", "Visible points", "Reconstruction")
COLUMNS_2D = ("Depth map", "Visible patches", "Reconstruction")
FIGURE_WIDTH = 12.0  # Inches: 1,200 pixels at matplotlib's 100 per inch, the width of a README.
ROW_LABEL_WIDTH, TILE_GAP, BRANCH_GAP, HEADING_HEIGHT = 0.26, 0.05, 0.20, 0.62  # Inches.
RADIUS, TILE_PIXELS = 0.022, 324


def reconstructed_shapes(
    model: JointMAEForPreTraining, points: Tensor, seed: int = 0, azimuth: float = 35.0, elevation: float = 20.0
) -> list[Shape]:
    """Reconstruct clouds; return the arrays of each for Fig. 5."""
    outputs = reconstruct(model, points, seed, azimuth, elevation)
    return [shape_arrays(model, points, outputs, row) for row in range(len(points))]


def draw_reconstructions(
    model: JointMAEForPreTraining,
    points: Tensor,
    titles: Sequence[str] | None = None,
    seed: int = 0,
    azimuth: float = 35.0,
    elevation: float = 20.0,
) -> "Figure":
    """Reconstruct clouds and draw Fig. 5, points and depth maps seen from the same side.

    Args:
        model (`JointMAEForPreTraining`):
            The model; must have a 2D branch.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Clouds in the unit sphere, y up.
        titles (`Sequence[str]`, *optional*):
            Name of each row.
        seed (`int`, *optional*, defaults to 0):
            Seed for the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.

    Returns:
        `matplotlib.figure.Figure`: The figure, see [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the model has no 2D branch, or there is not one title per cloud.
    """
    check_2d_branch(model)
    shapes = reconstructed_shapes(model, points, seed, azimuth, elevation)
    return _draw_shapes(shapes, titles, (azimuth, elevation), RADIUS, TILE_PIXELS)


def reconstruction_pictures(
    model: JointMAEForPreTraining,
    points: Tensor,
    seed: int = 0,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    size: int = TILE_PIXELS,
    radius: float = RADIUS,
) -> dict[str, np.ndarray]:
    """Reconstruct a cloud and return the columns of Fig. 5 as single pictures.

    Args:
        model (`JointMAEForPreTraining`):
            The model; without a 2D branch there are no depth maps.
        points (`torch.Tensor` of shape `(num_points, 3)`):
            A cloud in the unit sphere, y up.
        seed (`int`, *optional*, defaults to 0):
            Seed for the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis, for the camera and the depth map.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.
        size (`int`, *optional*, defaults to 324):
            Size of a rendered cloud in pixels.
        radius (`float`, *optional*, defaults to 0.022):
            Radius of the spheres, in units of `points`.

    Returns:
        `dict[str, np.ndarray]`: RGB as uint8: `points`, `centers`, `visible_points` and `reconstruction` of shape
        `(size, size, 3)`; `depth_map`, `visible_patches` and `reconstructed_depth_map` in the size of the depth map.
    """
    (shape,) = reconstructed_shapes(model, points[None], seed, azimuth, elevation)
    names = ["points", "centers", "visible_points", "reconstruction"]
    tiles = point_tiles(shape, size, radius, azimuth, elevation)
    if model.config.use_2d_branch:
        names += ["depth_map", "visible_patches", "reconstructed_depth_map"]
        tiles += [(255.0 * tile + 0.5).astype(np.uint8) for tile in depth_tiles(shape)]
    return dict(zip(names, tiles, strict=True))


def colored_reconstructions(model: JointMAEForPreTraining, points: Tensor, seed: int = 0) -> list[np.ndarray]:
    """Reconstruct clouds as rows of coordinates and colors, the format of 3D viewers.

    Args:
        model (`JointMAEForPreTraining`):
            The model.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Clouds in the unit sphere, y up.
        seed (`int`, *optional*, defaults to 0):
            Seed for the masks.

    Returns:
        `list[np.ndarray]`: One float64 array of shape `(num_reconstructed, 6)` per cloud: xyz, then red, green and
        blue as integers from 0 to 255. Given points are gray, predicted points colored by height, on the scale of the
        input.
    """
    clouds = [shape_clouds(shape)[-1] for shape in reconstructed_shapes(model, points, seed)]
    return [np.column_stack([rebuilt, np.rint(255.0 * colors)]) for rebuilt, colors, _ in clouds]


def reconstruction_figure(
    points: Array,
    centers: Array,
    visible_points: Sequence[Array],
    reconstructed_points: Array,
    is_hidden: Array,
    depth_map: Array,
    mask_2d: Array,
    reconstructed_pixels: Array,
    titles: Sequence[str] | None = None,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    radius: float = RADIUS,
    tile_size: int = TILE_PIXELS,
) -> "Figure":
    """Draw one row per shape: points, centers, visible points, reconstruction, and the same for the depth map.

    Given points are gray. Colors show the height (y) of a point or the closeness of a pixel, on the scale of the row's
    input. Source: Joint-MAE Fig. 5; the columns of the 2D branch are ours.

    Args:
        points (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Input points, unit sphere, y up.
        centers (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_groups, 3)`):
            Centers of the 3D tokens.
        visible_points (sequence of `np.ndarray` or `torch.Tensor` of shape `(num_visible_points, 3)`):
            Visible points of each cloud.
        reconstructed_points (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_reconstructed, 3)`):
            Predicted and given points.
        is_hidden (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_reconstructed)`):
            True for a predicted point, False for a given one.
        depth_map (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, 1, height, width)`):
            Closeness within [0, 1], background 0, first row on top.
        mask_2d (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, num_patches)`):
            True for a hidden patch, row by row; `num_patches` is a square number.
        reconstructed_pixels (`np.ndarray` or `torch.Tensor` of shape `(num_shapes, 1, height, width)`):
            Reconstruction of `depth_map`.
        titles (sequence of `str`, *optional*):
            One label per row.
        azimuth (`float`, *optional*, defaults to 35.0):
            View of the points, in degrees.
        elevation (`float`, *optional*, defaults to 20.0):
            View of the points, in degrees.
        radius (`float`, *optional*, defaults to 0.022):
            Radius of the spheres, in units of `points`.
        tile_size (`int`, *optional*, defaults to 324):
            Size of a rendered cloud in pixels; the default is sharp up to 200 dots per inch.

    Returns:
        `matplotlib.figure.Figure`: 12 inches wide, not registered with pyplot; see [`save_figure`].

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the arguments differ in the number of shapes, or the patches do not tile the depth map.
    """
    arguments = {
        "points": points,
        "centers": centers,
        "visible_points": visible_points,
        "reconstructed_points": reconstructed_points,
        "is_hidden": is_hidden,
        "depth_map": depth_map,
        "mask_2d": mask_2d,
        "reconstructed_pixels": reconstructed_pixels,
    }
    for name, values in arguments.items():
        if len(values) != len(points):
            raise ValueError(
                f"`{name}` must have one entry per shape of `points`, got {len(values)} and {len(points)}."
            )
    shapes = [{name: to_numpy(values[row]) for name, values in arguments.items()} for row in range(len(points))]
    for shape in shapes:
        shape |= {name: shape[name].astype(bool) for name in ("is_hidden", "mask_2d")}
        shape |= {name: shape[name][0] for name in ("depth_map", "reconstructed_pixels")}
        _validate_shape(shape)
    return _draw_shapes(shapes, titles, (azimuth, elevation), radius, tile_size)


def check_titles(titles: Sequence[str] | None, num_shapes: int) -> None:
    """Check that there is one title per cloud, if there are any."""
    if titles is not None and len(titles) != num_shapes:
        raise ValueError(f"`titles` must have one entry per cloud, got {len(titles)} for {num_shapes}.")


def _validate_shape(shape: Shape) -> None:
    """Check that the arrays of a shape fit each other."""
    flags, image, mask_2d = shape["is_hidden"], shape["depth_map"], shape["mask_2d"]
    if flags.shape != shape["reconstructed_points"].shape[:1]:
        raise ValueError(f"`is_hidden` must have one flag per reconstructed point, got {flags.shape}.")
    grid = math.isqrt(mask_2d.size)
    if grid == 0 or grid**2 != mask_2d.size or image.shape[0] % grid or image.shape[1] % grid:
        raise ValueError(
            f"`mask_2d` must have a square number of patches that tile the depth map, got {mask_2d.size} for "
            f"{image.shape}."
        )


def _draw_shapes(
    shapes: list[Shape], titles: Sequence[str] | None, camera: tuple[float, float], radius: float, tile_size: int
) -> "Figure":
    """Draw one row per shape."""
    if not shapes:
        raise ValueError("`points` must hold at least one shape, got none.")
    check_titles(titles, len(shapes))
    figure, axes = _empty_grid(len(shapes))
    for row, shape in enumerate(shapes):
        tiles = point_tiles(shape, tile_size, radius, *camera) + depth_tiles(shape)
        for column, tile in enumerate(tiles):
            is_depth_map = column >= len(COLUMNS_3D)
            axes[row][column].imshow(tile, interpolation="nearest" if is_depth_map else "antialiased")
        if titles is not None:
            axes[row][0].set_ylabel(titles[row], fontsize=10, color=TEXT_COLOR, labelpad=3)
    return figure


def _empty_grid(num_rows: int) -> tuple["Figure", list[list[Any]]]:
    """Create a figure with headings and one empty axes per tile."""
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
