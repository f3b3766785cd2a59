"""The single pictures of a figure: point clouds colored by height, depth maps by closeness, masked patches."""

import math

import numpy as np

from .figure_layout import map_colors
from .sphere_renderer import render_points


HEIGHT_COLORMAP, DEPTH_COLORMAP = "viridis", "magma_r"
FARTHEST_TONE, NEAREST_TONE = 0.2, 0.88  # Range of the depth colormap that surfaces use.
GIVEN_COLOR, CONTEXT_COLOR = (0.72, 0.74, 0.77), (0.86, 0.87, 0.89)
TILE_COLOR, HIDDEN_PATCH_COLOR = (0.965, 0.97, 0.975), (0.89, 0.90, 0.915)

Shape = dict[str, np.ndarray]
"""What Fig. 5 shows of one cloud: `points` `(num_points, 3)`, `centers` `(num_groups, 3)`, `visible_points`
`(num_visible_points, 3)`, `reconstructed_points` `(num_reconstructed, 3)` and `is_hidden` `(num_reconstructed,)`, True
= predicted; with a 2D branch, `depth_map` and `reconstructed_pixels` `(height, width)`, closeness with background 0,
and `mask_2d` `(num_patches,)`, True = hidden."""

SphereCloud = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Positions `(num_points, 3)`, RGB `(num_points, 3)` and relative radii `(num_points,)`."""


def shape_clouds(shape: Shape) -> list[SphereCloud]:
    """Color the input, the token centers, the visible points and the reconstruction of one shape."""
    points, centers, rebuilt = shape["points"], shape["centers"], shape["reconstructed_points"]
    given = np.broadcast_to(GIVEN_COLOR, shape["visible_points"].shape)
    colors = height_colors(rebuilt, points)
    colors[~shape["is_hidden"]] = GIVEN_COLOR
    return [
        (points, height_colors(points, points), np.ones(len(points))),
        mark_centers(points, centers, height_colors(centers, points)),
        (shape["visible_points"], given, np.ones(len(given))),
        (rebuilt, colors, np.ones(len(rebuilt))),
    ]


def mark_centers(
    points: np.ndarray, centers: np.ndarray, colors: np.ndarray, point_size: float = 0.4, center_size: float = 1.9
) -> SphereCloud:
    """Add large colored centers to a cloud of small light points."""
    context = np.broadcast_to(CONTEXT_COLOR, points.shape)
    sizes = np.repeat([point_size, center_size], [len(points), len(centers)])
    return np.concatenate([points, centers]), np.concatenate([context, colors]), sizes


def point_tile(cloud: SphereCloud, size: int, radius: float, camera: tuple[float, float]) -> np.ndarray:
    """Render a cloud, seen from an azimuth and an elevation, as RGB `(size, size, 3)` in uint8."""
    points, colors, sizes = cloud
    return render_points(points, colors, size, radius * sizes, *camera, background=TILE_COLOR)


def point_tiles(shape: Shape, size: int, radius: float, azimuth: float, elevation: float) -> list[np.ndarray]:
    """Render the four clouds of a shape, see [`shape_clouds`]."""
    return [point_tile(cloud, size, radius, (azimuth, elevation)) for cloud in shape_clouds(shape)]


def height_colors(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return RGB `(num_points, 3)` by height (y), on the scale of a reference cloud."""
    lowest, highest = float(reference[:, 1].min()), float(reference[:, 1].max())
    return map_colors((points[:, 1] - lowest) / max(highest - lowest, 1e-9), HEIGHT_COLORMAP)


def depth_tiles(shape: Shape) -> list[np.ndarray]:
    """Color the depth map, its visible patches and its reconstruction, all on the scale of the depth map."""
    scale = depth_scale(shape["depth_map"])
    original = color_depth_map(shape["depth_map"], *scale)
    masked = _hide_patches(original, shape["mask_2d"])
    return [original, masked, color_depth_map(shape["reconstructed_pixels"], *scale)]


def depth_scale(depth_map: np.ndarray) -> tuple[float, float]:
    """Return the closeness of the farthest and of the nearest surface of a depth map."""
    nearest = max(float(depth_map.max()), 1e-6)
    surface = depth_map[depth_map > 0.25 * nearest]  # Below that are the soft edges of the splats.
    farthest = 0.8 * float(np.quantile(surface, 0.05)) if surface.size else 0.5 * nearest
    return farthest, nearest


def color_depth_map(depth_map: np.ndarray, farthest: float, nearest: float) -> np.ndarray:
    """Return RGB `(height, width, 3)` of a depth map; below the farthest surface it fades into the background."""
    steps = [0.0, farthest, nearest]
    colors = map_colors(np.interp(depth_map, steps, [0.0, FARTHEST_TONE, 1.0]) * NEAREST_TONE, DEPTH_COLORMAP)
    cover = np.interp(depth_map, steps, [0.0, 1.0, 1.0])[..., None]
    return cover * colors + (1.0 - cover) * np.array(TILE_COLOR)


def repeat_patches(values: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Repeat one value per patch, row by row, over the pixels of a picture; return `(height, width)`."""
    num_rows = math.isqrt(values.size)
    height, width = picture.shape[0] // num_rows, picture.shape[1] // num_rows
    return values.reshape(num_rows, num_rows).repeat(height, axis=0).repeat(width, axis=1)


def patch_lines(num_patches: int, picture: np.ndarray) -> np.ndarray:
    """Return bool `(height, width)`: True on the first row and column of pixels of each patch."""
    num_rows = math.isqrt(num_patches)
    lines = np.zeros(picture.shape[:2], dtype=bool)
    lines[:: picture.shape[0] // num_rows] = lines[:, :: picture.shape[1] // num_rows] = True
    return lines


def _hide_patches(picture: np.ndarray, mask_2d: np.ndarray) -> np.ndarray:
    """Paint hidden patches in a flat light tone, separated by thin lines unless patches are small."""
    tone = np.broadcast_to(HIDDEN_PATCH_COLOR, picture.shape)
    if min(picture.shape[:2]) >= 8 * math.isqrt(mask_2d.size):
        tone = np.where(patch_lines(mask_2d.size, picture)[..., None], TILE_COLOR, tone)
    return np.where(repeat_patches(mask_2d, picture)[..., None], tone, picture)
