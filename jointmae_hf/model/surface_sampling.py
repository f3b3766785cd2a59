# Copyright 2026 The jointmae_hf authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Sample points from the surface of a mesh: polygons are cut into triangles, triangles are drawn by their area."""

import numpy as np


MOST_EAR_TESTS = 1_000_000
"""Corners times reflex corners of one polygon above which it is refused: cutting it would take seconds."""

_LEAST_TURN = 1e-6
"""Share of a polygon's area below which a turn to the other side is rounding."""

_TRIANGLES_PER_BLOCK = 1 << 14


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
    face, weights = _draw(_areas(*edges[:, 0].T, *edges[:, 1].T), num_points, rng)
    return origins[face] + (weights * edges[face]).sum(axis=1), face


def _areas(
    ax: np.ndarray, ay: np.ndarray, az: np.ndarray, bx: np.ndarray, by: np.ndarray, bz: np.ndarray
) -> np.ndarray:
    """Return twice the areas of triangles from the coordinates of two of their edges."""
    return np.sqrt((ay * bz - az * by) ** 2 + (az * bx - ax * bz) ** 2 + (ax * by - ay * bx) ** 2)


def _draw(areas: np.ndarray, num_points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw triangles by their areas, and the weights `(num_points, 2, 1)` of their two edges."""
    cumulative = np.cumsum(areas)
    where, first, second = rng.random((3, num_points))
    # side="right" passes over triangles without area; the last cumulative area can be reached by rounding alone.
    face = np.searchsorted(cumulative[:-1], where * cumulative[-1], side="right")
    root = np.sqrt(first)
    return face, np.stack([root * (1.0 - second), root * second], axis=1)[:, :, None]


def sample_polygons(
    vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray, num_points: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw points uniformly by area from a mesh of polygons.

    Args:
        vertices (`np.ndarray` of shape `(num_vertices, 3)`):
            Coordinates, any unit.
        corners (`np.ndarray` of shape `(num_corners,)`):
            Indices of vertices, the polygons one after the other.
        sizes (`np.ndarray` of shape `(num_polygons,)`):
            Number of corners of each polygon. Those with fewer than three have no area.
        num_points (`int`):
            Number of points.
        rng (`np.random.Generator`):
            Source of the random numbers.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: float64 points.

    Raises:
        ValueError: If a corner is not finite in float32, or there is no area to draw from.
    """
    _check_finite(vertices, corners)
    triangles = triangulate(vertices, corners, sizes)
    if len(triangles) == 0:
        raise ValueError("none of its faces can be read: they have fewer than three corners")
    # In units of the mesh the squares of areas neither vanish nor overflow.
    is_used = np.zeros(len(vertices), dtype=bool)
    is_used[triangles] = True
    origin = vertices[triangles[0, 0]]
    planes = np.where(is_used, (vertices - origin).T, 0.0)
    extent = np.abs(planes).max() or 1.0
    planes /= extent
    areas = _triangle_areas(planes, triangles)
    if areas.sum() == 0.0:
        raise ValueError(f"its faces have no area, {len(triangles)} triangles")
    face, weights = _draw(areas, num_points, rng)
    drawn = planes.T[triangles[face]]
    points = drawn[:, 0] + (weights * (drawn[:, 1:] - drawn[:, :1])).sum(axis=1)
    return points * extent + origin


def _check_finite(vertices: np.ndarray, corners: np.ndarray) -> None:
    """Raise if a corner is not finite in float32."""
    with np.errstate(over="ignore"):
        is_finite = np.all(np.isfinite(vertices.astype(np.float32)), axis=1)
    if not is_finite.all():
        broken = corners[~is_finite[corners]]
        if len(broken):
            first = int(broken[0])
            raise ValueError(f"its vertex {first} has no finite float32 values but {vertices[first].tolist()}")


def _triangle_areas(planes: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return twice the areas of triangles, in blocks that stay in the cache; `planes` are x, y and z of all vertices."""
    areas = np.empty(len(triangles))
    for start in range(0, len(triangles), _TRIANGLES_PER_BLOCK):
        first, second, third = triangles[start : start + _TRIANGLES_PER_BLOCK].T
        origins = planes[:, first]
        areas[start : start + _TRIANGLES_PER_BLOCK] = _areas(
            *(planes[:, second] - origins), *(planes[:, third] - origins)
        )
    return areas


def triangulate(vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Cut polygons into triangles that cover them and nothing else, also where they are concave.

    Args:
        vertices (`np.ndarray` of shape `(num_vertices, 3)`):
            Finite coordinates.
        corners (`np.ndarray` of shape `(num_corners,)`):
            Indices of vertices, the polygons one after the other.
        sizes (`np.ndarray` of shape `(num_polygons,)`):
            Number of corners of each polygon.

    Returns:
        `np.ndarray` of shape `(num_triangles, 3)`: Indices of vertices, in the order of the polygons.

    Raises:
        ValueError: If a concave polygon has too many corners.

    Example:
        >>> arrow = np.array([[0.0, 0, 0], [2, 2, 0], [0, 1, 0], [-2, 2, 0]])
        >>> triangulate(arrow, np.arange(4), np.array([4])).tolist()
        [[2, 3, 0], [2, 0, 1]]
    """
    num_triangles = np.maximum(sizes - 2, 0)
    first_corners, first_triangles = np.cumsum(sizes) - sizes, np.cumsum(num_triangles) - num_triangles
    triangles = np.empty((int(num_triangles.sum()), 3), dtype=np.int64)
    for size in np.flatnonzero(np.bincount(sizes)[3:]) + 3:
        is_of_size = sizes == size
        polygons = corners[first_corners[is_of_size, None] + np.arange(size)]  # (num_polygons, size)
        places = first_triangles[is_of_size, None] + np.arange(size - 2)
        triangles[places] = _cut(vertices, polygons)
    return triangles


def _cut(vertices: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """Return the triangles `(num_polygons, size - 2, 3)` of polygons with equally many corners."""
    num_polygons, size = polygons.shape
    if size == 3:
        return polygons[:, None]
    is_reflex, normals = _reflex_corners(vertices[polygons])
    # With one reflex corner, nothing can stand between it and any other: a fan around it covers the polygon.
    starts = is_reflex.argmax(axis=1)
    turned = np.take_along_axis(polygons, (starts[:, None] + np.arange(size)) % size, axis=1)
    triangles = np.stack(
        [np.broadcast_to(turned[:, :1], (num_polygons, size - 2)), turned[:, 1:-1], turned[:, 2:]], axis=-1
    )
    num_reflex = is_reflex.sum(axis=1)
    for index in np.flatnonzero(num_reflex > 1):
        if size * int(num_reflex[index]) > MOST_EAR_TESTS:
            raise ValueError(f"a concave face of it has {size} corners. Cut it into triangles first")
        outline = _project(vertices[polygons[index]], normals[index])
        triangles[index] = polygons[index][clip_ears(outline)]
    return triangles


def _reflex_corners(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which corners of polygons `(num_polygons, size, 3)` turn outward, and the normals of the polygons."""
    points = points - points[:, :1]
    following = np.roll(points, -1, axis=1)
    normals = np.cross(points, following).sum(axis=1)  # twice the area
    edges = following - points
    turns = (np.cross(np.roll(edges, 1, axis=1), edges) * normals[:, None]).sum(axis=2)
    return turns < -_LEAST_TURN * (normals**2).sum(axis=1, keepdims=True), normals


def _project(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Project a polygon onto the two axes where it is largest, `(size, 2)`, counter-clockwise."""
    axis = int(np.abs(normal).argmax())
    outline = points[:, [(axis + 1) % 3, (axis + 2) % 3]] - points[0, [(axis + 1) % 3, (axis + 2) % 3]]
    return outline * np.array([np.sign(normal[axis]), 1.0])


def clip_ears(outline: np.ndarray) -> list[list[int]]:
    """Cut a polygon in the plane into triangles, by cutting off one corner after the other.

    Source: G. H. Meisters, "Polygons have ears", 1975. An ear is a corner whose triangle with its two neighbors holds no
    other corner. What is left of a polygon that crosses itself, which has no inside, is cut off in the order of its corners.

    Args:
        outline (`np.ndarray` of shape `(size, 2)`):
            Corners, counter-clockwise.

    Returns:
        `list[list[int]]`: For each of the `size - 2` triangles the indices of its corners.
    """
    points = outline.tolist()
    size = len(points)
    before, after = [size - 1, *range(size - 1)], [*range(1, size), 0]
    reflex = {corner for corner in range(size) if _turn(points, before[corner], corner, after[corner]) < 0}
    triangles: list[list[int]] = []
    corner, num_refused = 0, 0
    while len(triangles) < size - 2:
        triangle = [before[corner], corner, after[corner]]
        # After a whole round without an ear, as in a polygon that crosses itself, none is looked for.
        if num_refused < size and not _is_ear(points, triangle, reflex):
            corner, num_refused = after[corner], num_refused + 1
            continue
        triangles.append(triangle)
        first, _, last = triangle
        after[first], before[last] = last, first
        reflex.discard(corner)
        reflex -= {place for place in (first, last) if _turn(points, before[place], place, after[place]) >= 0}
        corner = after[last]
        num_refused = 0 if num_refused < size else size
    return triangles


def _turn(points: list[list[float]], first: int, second: int, third: int) -> float:
    """Return twice the area of a triangle, negative if its corners run clockwise."""
    (ax, ay), (bx, by), (cx, cy) = points[first], points[second], points[third]
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


def _is_ear(points: list[list[float]], triangle: list[int], reflex: set[int]) -> bool:
    """Return whether a corner can be cut off: if any corner lies in its triangle, a reflex one does."""
    first, corner, last = triangle
    if corner in reflex:
        return False
    own = [points[place] for place in triangle]
    return not any(
        points[other] not in own
        and _turn(points, first, corner, other) >= 0
        and _turn(points, corner, last, other) >= 0
        and _turn(points, last, first, other) >= 0
        for other in reflex
    )
