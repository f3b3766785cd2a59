"""Triangle soups of simple solids, in numpy.

A soup is a float64 array `(num_triangles, 3, 3)`: triangle, corner, xyz. The y axis points up. Triangles have no
orientation, because only their area matters here.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


# Whatever numpy converts to floats of the documented shape.
Numbers = Sequence[float] | np.ndarray | Sequence[Sequence[float] | np.ndarray]

# Triangle soups by the name of their part.
Parts = dict[str, list[np.ndarray]]

_CUBE = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_CUBE_QUADS = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
_CUBE_TRIANGLES = _CUBE[[[a, b, c] for a, b, c, _ in _CUBE_QUADS] + [[a, c, d] for a, _, c, d in _CUBE_QUADS]]


@lru_cache(maxsize=64)
def _loft_faces(num_rings: int, num_sides: int) -> np.ndarray:
    """Return the vertex indices of the triangles between consecutive closed rings, (num_triangles, 3)."""
    side = np.arange(num_sides)
    after = (side + 1) % num_sides
    first = np.concatenate([np.stack([side, after, side + num_sides], 1), np.stack([after, side, after], 1)])
    first[num_sides:, 1:] += num_sides
    return (first[None] + num_sides * np.arange(num_rings - 1)[:, None, None]).reshape(-1, 3)


@lru_cache(maxsize=64)
def unit_circle(num_sides: int, squareness: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Place corners around the unit circle; `squareness` is 0 for a circle and approaches 1 for a square.

    Returns both coordinates, each of shape `(num_sides,)`. They are cached: do not write to them.
    """
    angles = np.linspace(0.0, 2.0 * np.pi, num_sides, endpoint=False)
    cosines, sines = np.cos(angles), np.sin(angles)
    power = 1.0 - squareness
    return np.sign(cosines) * np.abs(cosines) ** power, np.sign(sines) * np.abs(sines) ** power


def shift(soup: np.ndarray, offset: Sequence[float]) -> np.ndarray:
    """Return a copy of a soup, or of any points `(..., 3)`, moved by an offset."""
    return soup + np.asarray(offset, dtype=np.float64)


def boxes(centers: Numbers, sizes: Numbers) -> np.ndarray:
    """Build axis-aligned boxes from centers and full edge lengths, `(num_boxes, 3)` or `(3,)`."""
    centers = np.asarray(centers, dtype=np.float64).reshape(-1, 1, 1, 3)
    sizes = np.asarray(sizes, dtype=np.float64).reshape(-1, 1, 1, 3)
    return (_CUBE_TRIANGLES * sizes + centers).reshape(-1, 3, 3)


def loft(rings: np.ndarray, capped: bool = True) -> np.ndarray:
    """Join closed rings of corners `(..., num_rings, num_sides, 3)` by a surface; leading dimensions are separate solids.

    If `capped`, fans around their centers close the first and the last ring.
    """
    if capped:
        middles = np.broadcast_to(rings.mean(axis=-2, keepdims=True), rings.shape)
        rings = np.concatenate([middles[..., :1, :, :], rings, middles[..., -1:, :, :]], axis=-3)
    num_rings, num_sides, _ = rings.shape[-3:]
    return rings.reshape(-1, num_rings * num_sides, 3)[:, _loft_faces(num_rings, num_sides)].reshape(-1, 3, 3)


def revolve(
    radii: Numbers,
    heights: Numbers,
    center: Sequence[float] = (0.0, 0.0, 0.0),
    flatten: float = 1.0,
    squareness: float = 0.0,
    axis: int = 1,
    capped: bool = True,
) -> np.ndarray:
    """Rotate a profile, given by its distances from an axis and its positions along it, around that axis.

    `flatten` is the ratio of the two radii of the section, `squareness` is 0 for a round section and approaches 1 for a square
    one. If `capped`, discs close the ends.
    """
    cosines, sines = unit_circle(24, round(squareness, 1))
    radii = np.asarray(radii, dtype=np.float64)[:, None]
    rings = np.empty((len(radii), 24, 3))
    rings[..., axis] = np.asarray(heights, dtype=np.float64)[:, None]
    rings[..., (axis + 1) % 3] = radii * cosines
    rings[..., (axis + 2) % 3] = radii * sines * flatten
    return loft(rings + np.asarray(center), capped)


def ellipsoid(center: Numbers, radii: Numbers, squareness: float = 0.0) -> np.ndarray:
    """Build an ellipsoid from its half extents, or a cushion if `squareness` is above 0."""
    angles = np.linspace(0.0, np.pi, 9)
    ball = revolve(np.sin(angles), -np.cos(angles), squareness=squareness, capped=False)
    return ball * np.asarray(radii) + np.asarray(center)


def slab(lengths: Numbers, half_widths: Numbers, near: Numbers | float, far: Numbers | float) -> np.ndarray:
    """Build a plate with a symmetric outline: long axis y, width along x, thickness along z from `near` to `far`."""
    half_widths = np.asarray(half_widths, dtype=np.float64)
    rings = np.empty((len(half_widths), 4, 3))
    rings[:, (0, 3), 0], rings[:, (1, 2), 0] = -half_widths[:, None], half_widths[:, None]
    rings[..., 1] = np.asarray(lengths)[:, None]
    rings[:, :2, 2], rings[:, 2:, 2] = np.asarray(near).reshape(-1, 1), np.asarray(far).reshape(-1, 1)
    return loft(rings)


def fin(
    root: Numbers,
    tip: Numbers,
    root_chord: float,
    tip_chord: float,
    thickness: float,
    chord_axis: int = 2,
    thickness_axis: int = 1,
) -> np.ndarray:
    """Build a tapered, swept plate from the center of one edge to that of another: a wing, a tail, a blade.

    The thickness at the second edge is half of that at the first.
    """
    rings = np.array([root, tip], dtype=np.float64)[:, None].repeat(4, axis=1)
    rings[..., chord_axis] += 0.5 * np.array([[root_chord], [tip_chord]]) * (-1.0, 1.0, 1.0, -1.0)
    rings[..., thickness_axis] += 0.5 * thickness * np.array([[1.0], [0.5]]) * (-1.0, -1.0, 1.0, 1.0)
    return loft(rings)
