"""Uniform sampling of points from the surface of a triangle soup."""

import numpy as np


def sample_surface(triangles: np.ndarray, num_points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw points uniformly by area from a triangle soup.

    Args:
        triangles (`np.ndarray` of shape `(num_triangles, 3, 3)`):
            The soup; its total area must be positive.
        num_points (`int`):
            Number of points.
        rng (`np.random.Generator`):
            Source of the three random numbers of each point.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Points `(num_points, 3)`, and for each the index of its triangle.
    """
    origins = triangles[:, 0]
    edges = triangles[:, 1:] - origins[:, None]
    (ax, ay, az), (bx, by, bz) = edges[:, 0].T, edges[:, 1].T
    areas = np.sqrt((ay * bz - az * by) ** 2 + (az * bx - ax * bz) ** 2 + (ax * by - ay * bx) ** 2)
    cumulative = np.cumsum(areas)
    where, first, second = rng.random((3, num_points))
    # side="right" passes over triangles without area; the last cumulative area can be reached by rounding alone.
    face = np.searchsorted(cumulative[:-1], where * cumulative[-1], side="right")
    root = np.sqrt(first)
    weights = np.stack([root * (1.0 - second), root * second], axis=1)
    return origins[face] + (weights[:, :, None] * edges[face]).sum(axis=1), face
