"""Reader of `.ply`, `.off`, `.obj` and `.stl`: meshes are sampled, points without faces are taken as they are."""

from pathlib import Path
from typing import Any

import numpy as np

from .mesh_checks import declares_faces
from .surface_sampling import sample_surface
from .validation import check_points, reader_errors


_WHOLE = {"ply": "be a complete .ply file (if binary, with polygons of one size)"}


def read_mesh(path: Path, num_points: int, rng: np.random.Generator) -> np.ndarray:
    """Read a cloud from a mesh file, or from a file of such a format that holds points alone.

    Args:
        path (`pathlib.Path`):
            `.ply`, `.off` (also with the counts on its first line), `.obj` or `.stl` file. Its objects and materials are
            taken together, its polygons cut into triangles. The polygons of a binary `.ply` file must be of one size.
        num_points (`int`):
            Points to draw uniformly by area if there are faces.
        rng (`np.random.Generator`):
            Source of their random numbers.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`; if there are no faces, all vertices in their order.

    Raises:
        ImportError: If trimesh is not installed.
        ValueError: If the file cannot be read, is cut short, a face names a vertex that is not there, the faces have no
            area, or a coordinate is not finite.
    """
    try:
        import trimesh
    except ImportError as error:
        raise ImportError(f'`{path.suffix}` files need trimesh: pip install "jointmae_hf[data]"') from error
    file_type = path.suffix.lower()[1:]
    with reader_errors(path, _WHOLE.get(file_type, f"be a complete .{file_type} file")):
        must_have_faces = declares_faces(path.read_bytes(), file_type)
        # From an open file, trimesh cannot look for materials and textures beside it.
        with open(path, "rb") as file:
            loaded: Any = trimesh.load(file, file_type=file_type, process=False, skip_materials=True)
        shapes = list(loaded.geometry.values()) if hasattr(loaded, "geometry") else [loaded]
        triangles = _triangles(shapes)
        if must_have_faces and len(triangles) == 0:
            raise ValueError("none of its faces can be read")
        vertices = np.concatenate([np.empty((0, 3)), *(np.asarray(shape.vertices) for shape in shapes)])
    if len(triangles) == 0:
        return check_points(vertices, path)
    check_points(triangles.reshape(-1, 3), path)
    return check_points(_sample(triangles, num_points, rng, path), path)


def _triangles(shapes: list[Any]) -> np.ndarray:
    """Corners `(num_triangles, 3, 3)` of all shapes that have faces."""
    soups = [np.empty((0, 3, 3))]
    for shape in shapes:
        faces = np.asarray(getattr(shape, "faces", ()))
        if len(faces) == 0:
            continue
        vertices = np.asarray(shape.vertices, dtype=np.float64)
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f"its faces name vertices {faces.min()} to {faces.max()}, it has {len(vertices)}")
        soups.append(vertices[faces])
    return np.concatenate(soups)


def _sample(triangles: np.ndarray, num_points: int, rng: np.random.Generator, path: Path) -> np.ndarray:
    """Points of the surface; computed in its own units, where the squares of areas neither vanish nor overflow."""
    origin = triangles[0, 0]
    extent = np.abs(triangles - origin).max() or 1.0
    scaled = (triangles - origin) / extent
    areas = np.linalg.norm(np.cross(scaled[:, 1] - scaled[:, 0], scaled[:, 2] - scaled[:, 0]), axis=1)
    if areas.sum() == 0.0:
        raise ValueError(f"`{path}` must have faces with an area, got {len(triangles)} triangles without any.")
    points, _ = sample_surface(scaled, num_points, rng)
    return points * extent + origin
