"""Round bars, straight or bent, as triangle soups; see `primitives` for what a soup is."""

from collections.abc import Sequence

import numpy as np

from .primitives import Numbers, loft, unit_circle


def rods(starts: Numbers, ends: Numbers, start_radius: float, end_radius: float | None = None) -> np.ndarray:
    """Build straight round bars between starts and ends, `(num_rods, 3)` or `(3,)`; tapered if the two radii differ."""
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
    """Place nine points on an ellipse in the plane z = 0, from one angle to another in radians, as a path for `tube`."""
    angles = np.linspace(start, end, 9)
    x, y = center[0] + radii[0] * np.cos(angles), center[1] + radii[1] * np.sin(angles)
    return np.stack([x, y, np.zeros(9)], axis=1)


def tube(path: np.ndarray, radius: float, normal: Sequence[float]) -> np.ndarray:
    """Build a bent round bar along a planar curve `(num_steps, 3)`; `normal` is the unit normal of its plane."""
    tangents = np.empty_like(path)
    tangents[1:-1] = path[2:] - path[:-2]
    tangents[0], tangents[-1] = path[1] - path[0], path[-1] - path[-2]
    upright = np.asarray(normal, dtype=np.float64)
    sideways = np.cross(tangents, upright)
    sideways /= np.linalg.norm(sideways, axis=1, keepdims=True)
    cosines, sines = unit_circle(10)
    return loft(path[:, None] + radius * (cosines[:, None] * sideways[:, None] + sines[:, None] * upright))
