"""Procedural point clouds of twenty families of objects, with a class per cloud and a part label per point.

A shape is a pure function of `(seed, split, index)`, so that any shape can be generated on its own, in any order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from jointmae_hf.model.surface_sampling import sample_surface

from . import furniture_families, household_families, vehicle_families
from .primitives import Parts


_BUILDERS: dict[str, tuple[Callable[[np.random.Generator], Parts], tuple[str, ...]]] = {
    "airplane": (vehicle_families.build_airplane, ("fuselage", "wing", "tail", "engine")),
    "bed": (furniture_families.build_bed, ("mattress", "board", "leg", "pillow")),
    "bookshelf": (furniture_families.build_bookshelf, ("frame", "shelf", "book")),
    "bottle": (household_families.build_bottle, ("body", "neck", "cap")),
    "car": (vehicle_families.build_car, ("body", "cabin", "wheel")),
    "chair": (furniture_families.build_chair, ("seat", "back", "leg", "arm")),
    "earphone": (household_families.build_earphone, ("band", "cup", "wire")),
    "guitar": (household_families.build_guitar, ("body", "neck", "head")),
    "knife": (household_families.build_knife, ("blade", "handle")),
    "lamp": (furniture_families.build_lamp, ("base", "pole", "shade")),
    "laptop": (household_families.build_laptop, ("keyboard", "screen")),
    "monitor": (household_families.build_monitor, ("screen", "neck", "foot")),
    "mug": (household_families.build_mug, ("body", "handle")),
    "plant": (household_families.build_plant, ("pot", "stem", "leaf")),
    "rocket": (vehicle_families.build_rocket, ("body", "nose", "fin")),
    "skateboard": (vehicle_families.build_skateboard, ("deck", "truck", "wheel")),
    "sofa": (furniture_families.build_sofa, ("seat", "back", "arm", "leg")),
    "stool": (furniture_families.build_stool, ("seat", "leg", "ring")),
    "table": (furniture_families.build_table, ("top", "leg", "shelf")),
    "vase": (household_families.build_vase, ("body", "foot", "handle")),
}

SHAPE_CLASSES: tuple[str, ...] = tuple(_BUILDERS)
"""Names of the families; the position is the class label."""

SHAPE_PARTS: tuple[str, ...] = tuple(f"{name} {part}" for name, (_, parts) in _BUILDERS.items() for part in parts)
"""Names of the parts of all families, such as `"mug handle"`; the position is the part label."""

SHAPE_CLASS_PARTS: dict[str, tuple[int, ...]] = {
    name: tuple(label for label, part in enumerate(SHAPE_PARTS) if part.startswith(f"{name} ")) for name in _BUILDERS
}
"""Part labels of each family, as the segmentation head and the part metrics need them."""


@dataclass(frozen=True)
class SyntheticShape:
    """One labeled cloud.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            float32, y up, zero mean, largest norm 1.
        label (`int`):
            Position in `SHAPE_CLASSES`.
        part_labels (`np.ndarray` of shape `(num_points,)`):
            uint8, positions in `SHAPE_PARTS`.
    """

    points: np.ndarray
    label: int
    part_labels: np.ndarray


def _to_unit_sphere(points: np.ndarray) -> np.ndarray:
    """Move the mean to the origin and the farthest point to distance 1."""
    centered = points - points.mean(axis=0)
    radius = np.sqrt((centered**2).sum(axis=1).max())
    return centered / (radius if radius > 0.0 else 1.0)


def generate_shape(seed: int, split: str, index: int, num_points: int = 2048) -> SyntheticShape:
    """Generate one shape, always the same for the same arguments.

    Families alternate with `index`, so every run of `len(SHAPE_CLASSES)` indices holds each of them once.

    Args:
        seed (`int`):
            Seed of the dataset, not negative.
        split (`str`):
            Name of the split; splits share no shape.
        index (`int`):
            Position in the split, not negative.
        num_points (`int`, *optional*, defaults to 2048):
            Points drawn uniformly by area from the surface.

    Returns:
        `SyntheticShape`: The cloud with its class and part labels.

    Raises:
        ValueError: If `seed` or `index` is negative or `num_points` is not positive.

    Example:
        >>> shape = generate_shape(seed=0, split="train", index=12)
        >>> shape.points.shape, SHAPE_CLASSES[shape.label], SHAPE_PARTS[shape.part_labels.max()]
        ((2048, 3), 'mug', 'mug handle')
    """
    for name, value, least in (("seed", seed, 0), ("index", index, 0), ("num_points", num_points, 1)):
        if value < least:
            raise ValueError(f"`{name}` must be at least {least}, got {value}.")
    rng = np.random.default_rng([seed, crc32(split.encode()), index])
    label = index % len(SHAPE_CLASSES)
    family = SHAPE_CLASSES[label]
    build, part_names = _BUILDERS[family]
    parts = build(rng)
    soups = [(part, soup) for part, pieces in parts.items() for soup in pieces]
    triangles = np.concatenate([soup for _, soup in soups])
    triangle_parts = np.repeat(
        [SHAPE_CLASS_PARTS[family][part_names.index(part)] for part, _ in soups], [len(soup) for _, soup in soups]
    )
    # Stretching before sampling keeps the density uniform on the stretched surface.
    points, face = sample_surface(triangles * rng.uniform(0.85, 1.15, size=3), num_points, rng)
    return SyntheticShape(
        points=_to_unit_sphere(points).astype(np.float32),
        label=label,
        part_labels=triangle_parts[face].astype(np.uint8),
    )
