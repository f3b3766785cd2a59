"""Round bars, straight or bent, as triangle soups; see `primitives` for what a soup is."""

from collections.abc import Sequence

import numpy as np

from .primitives import Numbers, loft, unit_circle


def rods(starts: Numbers, ends: Numbers, start_radius: float, end_radius: float | None = None) -> np.ndarray:
    """Build straight round bars, tapered if the two radii differ.

    Args:
        starts (`np.ndarray` of shape `(num_rods, 3)` or `(3,)`):
            First ends; one start serves all rods.
        ends (`np.ndarray` of shape `(num_rods, 3)` or `(3,)`):
            Second ends.
        start_radius (`float`):
            Radius at the first end.
        end_radius (`float`, *optional*):
            Radius at the second end. Defaults to `start_radius`.

    Returns:
        `np.ndarray`: Soup of the bars with their caps.
    """
    end_radius = start_radius if end_radius is None else end_radius
    starts, ends = np.broadcast_arrays(*(np.asarray(side, dtype=np.float64).reshape(-1, 3) for side in (starts, ends)))
    directions = ends - starts
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    side = np.eye(3)[np.abs(directions).argmin(axis=1)]
    side = side - (side * directions).sum(axis=1, keepdims=True) * directions
    side = side / np.linalg.norm(side, axis=1, keepdims=True)
    cosines, sines = unit_circle(10)
    spokes = cosines[:, None] * side[:, None] + sines[:, None] * np.cross(directions, side)[:, None]
    rings = np.stack([starts[:, None] + start_radius * spokes, ends[:, None] + end_radius * spokes], axis=1)
    return loft(rings)


def arc(center: Sequence[float], radii: Sequence[float], start: float, end: float) -> np.ndarray:
    """Place nine points on an ellipse in the plane z = 0, as a path for `tube`.

    Args:
        center (`Sequence[float]`):
            Centre, x and y.
        radii (`Sequence[float]`):
            Half extents along x and y.
        start (`float`):
            First angle in radians, 0 along x and positive towards y.
        end (`float`):
            Last angle in radians.

    Returns:
        `np.ndarray`: Points of shape `(9, 3)`.
    """
    angles = np.linspace(start, end, 9)
    x, y = center[0] + radii[0] * np.cos(angles), center[1] + radii[1] * np.sin(angles)
    return np.stack([x, y, np.zeros(9)], axis=1)


def tube(path: np.ndarray, radius: float, normal: Sequence[float]) -> np.ndarray:
    """Build a bent round bar along a planar curve.

    Args:
        path (`np.ndarray` of shape `(num_steps, 3)`):
            Centre line.
        radius (`float`):
            Radius of the bar.
        normal (`Sequence[float]`):
            Unit normal of the plane that holds the curve.

    Returns:
        `np.ndarray`: Soup of the bar with its caps.
    """
    tangents = np.empty_like(path)
    tangents[1:-1] = path[2:] - path[:-2]
    tangents[0], tangents[-1] = path[1] - path[0], path[-1] - path[-2]
    upright = np.asarray(normal, dtype=np.float64)
    sideways = np.cross(tangents, upright)
    sideways /= np.linalg.norm(sideways, axis=1, keepdims=True)
    cosines, sines = unit_circle(10)
    return loft(path[:, None] + radius * (cosines[:, None] * sideways[:, None] + sines[:, None] * upright))
