"""Renderer of point clouds as lit spheres in pure numpy, with the same pixels on every machine."""

import math

import numpy as np


FRAME_HALF_WIDTH = 1.05  # World units from the center of the picture to its edge: a unit sphere plus a margin.
LIGHT_DIRECTION = np.array([-0.42, 0.62, 0.66])  # Toward the light, in camera axes: right, up, toward the viewer.
AMBIENT_LIGHT, DIFFUSE_LIGHT, HIGHLIGHT = 0.52, 0.55, 0.10
HIGHLIGHT_EXPONENT = 24
HAZE = 0.22  # Fraction of the background in the color of the farthest point of a unit sphere: a cue for depth.
OCCLUSION_STRENGTH, OCCLUSION_RANGE = (
    0.55,
    0.30,
)  # Darkening of cavities; depth difference in world units with full effect.
OCCLUSION_RINGS = (0.02, 0.05, 0.09)  # Distances in world units at which neighbors may occlude.


def camera_axes(azimuth: float = 0.0, elevation: float = 0.0) -> np.ndarray:
    """Return the right, up and viewer axes `(3, 3)` of a camera at angles in degrees, see [`render_points`]."""
    turn, tilt = math.radians(azimuth), math.radians(elevation)
    right = [math.cos(turn), 0.0, -math.sin(turn)]
    up = [-math.sin(turn) * math.sin(tilt), math.cos(tilt), -math.cos(turn) * math.sin(tilt)]
    towards_viewer = [math.sin(turn) * math.cos(tilt), math.sin(tilt), math.cos(turn) * math.cos(tilt)]
    return np.array([right, up, towards_viewer])


def render_points(
    points: np.ndarray,
    colors: np.ndarray | tuple[float, float, float],
    size: int = 256,
    radius: float | np.ndarray = 0.022,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    camera_distance: float | None = 6.0,
    supersampling: int = 2,
) -> np.ndarray:
    """Render a point cloud as lit spheres with a depth buffer.

    The picture shows the unit sphere with a small margin and crops what lies outside.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            World coordinates, unit sphere, y up.
        colors (`np.ndarray` of shape `(num_points, 3)` or one triple):
            RGB within [0, 1].
        size (`int`, *optional*, defaults to 256):
            Height and width of the picture, in pixels.
        radius (`float` or `np.ndarray` of shape `(num_points,)`, *optional*, defaults to 0.022):
            Radius of the spheres, in units of `points`.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the y axis; 0 looks from +z, 90 from +x.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the xz plane.
        background (`tuple[float, float, float]`, *optional*, defaults to white):
            RGB within [0, 1].
        camera_distance (`float`, *optional*, defaults to 6.0):
            Distance from the origin, in units of `points`; `None` for an orthographic camera.
        supersampling (`int`, *optional*, defaults to 2):
            Samples per pixel along each axis; 1 disables anti-aliasing.

    Returns:
        `np.ndarray` of shape `(size, size, 3)`: RGB as uint8, first row on top.

    Raises:
        ValueError: If `points`, `colors`, `radius`, `size` or `camera_distance` are invalid.

    Example:
        >>> picture = render_points(np.zeros((1, 3)), (1.0, 0.0, 0.0), size=33)
        >>> picture.shape, picture[0, 0].tolist()
        ((33, 33, 3), [255, 255, 255])
    """
    points, colors, radii = _validate_spheres(points, colors, radius)
    if size < 1 or supersampling < 1:
        raise ValueError(f"`size` and `supersampling` must be at least 1, got {size} and {supersampling}.")
    if camera_distance is not None and camera_distance <= FRAME_HALF_WIDTH:
        raise ValueError(
            f"`camera_distance` must exceed {FRAME_HALF_WIDTH}, got {camera_distance}. Use `None` or 6.0."
        )
    resolution = size * supersampling
    in_camera = points @ camera_axes(azimuth, elevation).T
    depth_buffer, owner, normals = _splat_spheres(in_camera, radii, resolution, camera_distance)
    canvas = np.broadcast_to(np.asarray(background, dtype=np.float64), (resolution * resolution, 3)).copy()
    drawn = owner >= 0
    shade = _occlusion(depth_buffer, resolution)[drawn]
    canvas[drawn] = _shade(colors[owner[drawn]], normals[drawn], depth_buffer[drawn], shade, canvas[drawn])
    canvas = canvas.reshape(size, supersampling, size, supersampling, 3).mean(axis=(1, 3))
    return (canvas.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def pixel_positions(
    points: np.ndarray,
    size: int = 256,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    camera_distance: float | None = 6.0,
) -> np.ndarray:
    """Compute where [`render_points`] draws points, for example to find the one that was clicked.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            World coordinates, unit sphere, y up.
        size (`int`, *optional*, defaults to 256):
            Height and width of the picture, in pixels.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the y axis.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the xz plane.
        camera_distance (`float`, *optional*, defaults to 6.0):
            Distance from the origin; `None` for an orthographic camera.

    Returns:
        `np.ndarray` of shape `(num_points, 2)`: Column and row in pixels, from the upper left corner.

    Example:
        >>> pixel_positions(np.zeros((1, 3)), size=100).tolist()
        [[50.0, 50.0]]
    """
    in_camera = np.asarray(points, dtype=np.float64) @ camera_axes(azimuth, elevation).T
    columns, rows, _ = _to_pixels(in_camera, np.zeros(len(in_camera)), size, camera_distance)
    return np.stack([columns, rows], axis=1)


def _validate_spheres(
    points: np.ndarray, colors: np.ndarray | tuple[float, float, float], radius: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check and return positions `(num_points, 3)`, colors `(num_points, 3)` and radii `(num_points,)` as float64."""
    points, colors = np.asarray(points, dtype=np.float64), np.asarray(colors, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"`points` must have shape (num_points, 3), got {points.shape}.")
    if not np.isfinite(points).all():
        raise ValueError("`points` must be finite, got NaN or infinity. Remove such points first.")
    if colors.shape not in ((3,), points.shape):
        raise ValueError(f"`colors` must be one RGB triple or have shape {points.shape}, got shape {colors.shape}.")
    if colors.size and not (colors.min() >= 0.0 and colors.max() <= 1.0):
        raise ValueError(f"`colors` must lie within [0, 1], got {colors.min()} to {colors.max()}.")
    radii = np.asarray(radius, dtype=np.float64)
    if radii.shape not in ((), points.shape[:1]):
        raise ValueError(f"`radius` must be a number or have shape {points.shape[:1]}, got shape {radii.shape}.")
    if radii.size and not radii.min() > 0.0:
        raise ValueError(f"`radius` must be positive, got {radii.min()}.")
    return points, np.broadcast_to(colors, points.shape), np.broadcast_to(radii, points.shape[:1])


def _to_pixels(
    in_camera: np.ndarray, radii: np.ndarray, resolution: int, camera_distance: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns, rows and radii `(num_points,)` in pixels; the radius is 0 at or behind the camera."""
    zoom = np.ones(len(in_camera))
    if camera_distance is not None:
        distance = camera_distance - in_camera[:, 2]
        is_in_front = distance > 0.1 * camera_distance  # Closer spheres would fill the picture.
        zoom = np.where(is_in_front, camera_distance / np.where(is_in_front, distance, 1.0), 0.0)
    pixels_per_unit = zoom * resolution / (2.0 * FRAME_HALF_WIDTH)
    columns = resolution / 2.0 + in_camera[:, 0] * pixels_per_unit
    rows = resolution / 2.0 - in_camera[:, 1] * pixels_per_unit
    return columns, rows, np.where(zoom > 0.0, np.maximum(radii * pixels_per_unit, 0.75), 0.0)


def _splat_spheres(
    in_camera: np.ndarray, radii: np.ndarray, resolution: int, camera_distance: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nearest depth (-inf: none), the index of its sphere (-1: none) and the unit normal per pixel."""
    depth_buffer = np.full(resolution * resolution, -np.inf)
    owner = np.full(resolution * resolution, -1, dtype=np.int64)
    normals = np.zeros((resolution * resolution, 3))
    columns, rows, pixel_radii = _to_pixels(in_camera, radii, resolution, camera_distance)
    reach = math.ceil(pixel_radii.max(initial=0.0))
    steps = np.arange(-reach, reach + 1)
    pixel_rows = np.floor(rows).astype(np.int64)[:, None] + steps  # (num_points, 2 * reach + 1)
    pixel_columns = np.floor(columns).astype(np.int64)[:, None] + steps
    normal_x = (pixel_columns + 0.5 - columns[:, None]) / np.maximum(pixel_radii, 1e-9)[:, None]
    normal_y = (rows[:, None] - pixel_rows - 0.5) / np.maximum(pixel_radii, 1e-9)[:, None]

    is_row, is_column = _is_within(pixel_rows, resolution), _is_within(pixel_columns, resolution)
    squared = normal_x[:, None, :] ** 2 + normal_y[:, :, None] ** 2  # (num_points, 2 * reach + 1, 2 * reach + 1)
    sphere, i, j = np.nonzero((squared <= 1.0) & is_row[:, :, None] & is_column[:, None, :])
    normal_z = np.sqrt(1.0 - squared[sphere, i, j])
    pixel = pixel_rows[sphere, i] * resolution + pixel_columns[sphere, j]
    depth = in_camera[sphere, 2] + radii[sphere] * normal_z
    np.maximum.at(depth_buffer, pixel, depth)
    nearest = np.flatnonzero(depth == depth_buffer[pixel])
    sphere, i, j, pixel = sphere[nearest], i[nearest], j[nearest], pixel[nearest]
    owner[pixel] = sphere  # The last one in case of a tie, as numpy guarantees for repeated indices.
    normals[pixel] = np.stack([normal_x[sphere, j], normal_y[sphere, i], normal_z[nearest]], axis=1)
    return depth_buffer, owner, normals


def _is_within(index: np.ndarray, resolution: int) -> np.ndarray:
    """Return which indices lie in the picture."""
    return (index >= 0) & (index < resolution)


def _occlusion(depth_buffer: np.ndarray, resolution: int) -> np.ndarray:
    """Return the fraction of light, within [0, 1], that reaches each pixel past nearer neighbors."""
    depth = depth_buffer.reshape(resolution, resolution)
    blocked, num_samples = np.zeros_like(depth), 0
    for ring, distance in enumerate(OCCLUSION_RINGS):
        pixels = distance * resolution / (2.0 * FRAME_HALF_WIDTH)
        margin = max(1, math.ceil(pixels))
        padded = np.pad(depth, margin, constant_values=-np.inf)
        for angle in (np.arange(8) + 0.5 * (ring % 2)) * (math.pi / 4.0):
            top = margin + round(pixels * math.sin(angle))
            left = margin + round(pixels * math.cos(angle))
            with np.errstate(invalid="ignore"):  # Background minus background is NaN and is not drawn.
                height = padded[top : top + resolution, left : left + resolution] - depth
            blocked += np.clip(height / OCCLUSION_RANGE, 0.0, 1.0)
            num_samples += 1
    return (1.0 - OCCLUSION_STRENGTH * np.nan_to_num(blocked) / num_samples).ravel()


def _shade(
    colors: np.ndarray, normals: np.ndarray, depth: np.ndarray, share_of_light: np.ndarray, background: np.ndarray
) -> np.ndarray:
    """Return RGB `(num_pixels, 3)` under one light, with a soft highlight, dark cavities and distant haze."""
    light = LIGHT_DIRECTION / np.linalg.norm(LIGHT_DIRECTION)
    halfway = light + np.array([0.0, 0.0, 1.0])
    diffuse = np.maximum(normals @ light, 0.0)
    highlight = HIGHLIGHT * np.maximum(normals @ (halfway / np.linalg.norm(halfway)), 0.0) ** HIGHLIGHT_EXPONENT
    brightness = (AMBIENT_LIGHT + DIFFUSE_LIGHT * diffuse) * share_of_light
    haze = HAZE * np.clip(0.5 - 0.5 * depth, 0.0, 1.0)[:, None]
    return (1.0 - haze) * np.clip(colors * brightness[:, None] + highlight[:, None], 0.0, 1.0) + haze * background
