"""The single pictures of the reconstruction figure: clouds coloured by height, depth maps by closeness."""

import math

import numpy as np

from .sphere_renderer import render_points


HEIGHT_COLORMAP, DEPTH_COLORMAP = "viridis", "magma_r"
FARTHEST_TONE, NEAREST_TONE = 0.2, 0.88  # Parts of the depth colormap that a surface takes.
GIVEN_COLOR, CONTEXT_COLOR = (0.72, 0.74, 0.77), (0.86, 0.87, 0.89)
TILE_COLOR, HIDDEN_PATCH_COLOR = (0.965, 0.97, 0.975), (0.89, 0.90, 0.915)


def point_tiles(
    shape: dict[str, np.ndarray], size: int, radius: float, azimuth: float, elevation: float
) -> list[np.ndarray]:
    """Draw the input, the token centers, the visible points and the reconstruction of one shape.

    Args:
        shape (`dict[str, np.ndarray]`):
            `points` `(num_points, 3)`, `centers` `(num_groups, 3)`, `masked_points` `(num_visible_points, 3)`,
            `reconstructed_points` `(num_reconstructed, 3)` and `is_hidden` `(num_reconstructed,)`, True = predicted.
        size (`int`):
            Height and width of a picture, in pixels.
        radius (`float`):
            Of the spheres, in units of `points`.
        azimuth (`float`):
            Of the camera, in degrees.
        elevation (`float`):
            Of the camera, in degrees.

    Returns:
        `list[np.ndarray]`: Four pictures of shape `(size, size, 3)`, RGB as uint8.
    """
    points, centers = shape["points"], shape["centers"]
    lowest, highest = float(points[:, 1].min()), float(points[:, 1].max())
    input_colors = height_colors(points, lowest, highest)
    with_centers = np.concatenate([points, centers])
    context = np.broadcast_to(CONTEXT_COLOR, points.shape)
    center_colors = np.concatenate([context, height_colors(centers, lowest, highest)])
    center_radii = np.repeat([0.4 * radius, 1.9 * radius], [len(points), len(centers)])
    reconstruction = height_colors(shape["reconstructed_points"], lowest, highest)
    reconstruction[~shape["is_hidden"]] = GIVEN_COLOR

    def draw(cloud: np.ndarray, colors: np.ndarray, radii: float | np.ndarray = radius) -> np.ndarray:
        return render_points(cloud, colors, size, radii, azimuth, elevation, background=TILE_COLOR)

    return [
        draw(points, input_colors),
        draw(with_centers, center_colors, center_radii),
        draw(shape["masked_points"], np.array(GIVEN_COLOR)),
        draw(shape["reconstructed_points"], reconstruction),
    ]


def height_colors(points: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Colour points by their height.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            World coordinates, y up.
        lowest (`float`):
            Height of the first colour.
        highest (`float`):
            Height of the last colour.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: RGB within [0, 1].
    """
    from matplotlib import colormaps

    height = (points[:, 1] - lowest) / max(highest - lowest, 1e-9)
    return colormaps[HEIGHT_COLORMAP](np.clip(height, 0.0, 1.0))[:, :3]


def depth_tiles(shape: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Colour the depth map, its visible patches and its reconstruction, all on the scale of the depth map.

    Args:
        shape (`dict[str, np.ndarray]`):
            `depth_map` and `reconstructed_pixels` `(height, width)`, closeness with background 0, and `mask_2d`
            `(num_patches,)`, True = hidden, `num_patches` a square number.

    Returns:
        `list[np.ndarray]`: Three pictures of shape `(height, width, 3)`, RGB within [0, 1].
    """
    depth_map, mask_2d = shape["depth_map"], shape["mask_2d"]
    scale = depth_scale(depth_map)
    original = color_depth_map(depth_map, *scale)
    return [original, _hide_patches(original, mask_2d), color_depth_map(shape["reconstructed_pixels"], *scale)]


def depth_scale(depth_map: np.ndarray) -> tuple[float, float]:
    """Closenesses of the far and of the near end of what a depth map shows.

    Args:
        depth_map (`np.ndarray`):
            Closeness with background 0, of any shape.

    Returns:
        `tuple[float, float]`: For [`color_depth_map`].
    """
    nearest = max(float(depth_map.max()), 1e-6)
    surface = depth_map[depth_map > 0.25 * nearest]  # Below that are the soft edges of the splats.
    farthest = 0.8 * float(np.quantile(surface, 0.05)) if surface.size else 0.5 * nearest
    return farthest, nearest


def color_depth_map(depth_map: np.ndarray, farthest: float, nearest: float) -> np.ndarray:
    """Colour a depth map between two closenesses, fading into the background below.

    Args:
        depth_map (`np.ndarray` of shape `(height, width)`):
            Closeness with background 0.
        farthest (`float`):
            Closeness of the first colour.
        nearest (`float`):
            Closeness of the last colour.

    Returns:
        `np.ndarray` of shape `(height, width, 3)`: RGB within [0, 1].
    """
    from matplotlib import colormaps

    steps = [0.0, farthest, nearest]
    closeness = np.interp(depth_map, steps, [0.0, FARTHEST_TONE, 1.0])
    colors = colormaps[DEPTH_COLORMAP](closeness * NEAREST_TONE)[..., :3]
    cover = np.interp(depth_map, steps, [0.0, 1.0, 1.0])[..., None]
    return cover * colors + (1.0 - cover) * np.array(TILE_COLOR)


def _hide_patches(picture: np.ndarray, mask_2d: np.ndarray) -> np.ndarray:
    """Return the picture with its hidden patches in a flat light tone, thin lines of background between them."""
    grid = math.isqrt(mask_2d.size)
    height, width = picture.shape[0] // grid, picture.shape[1] // grid
    tone = np.broadcast_to(HIDDEN_PATCH_COLOR, (height, width, 3)).copy()
    if min(height, width) >= 8:
        tone[0, :] = tone[:, 0] = TILE_COLOR
    tiled = np.tile(tone, (grid, grid, 1))
    is_hidden = np.kron(mask_2d.reshape(grid, grid), np.ones((height, width), dtype=bool))
    return np.where(is_hidden[..., None], tiled, picture)
