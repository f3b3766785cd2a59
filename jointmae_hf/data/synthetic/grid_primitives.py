"""Primitives as grids of triangles: their shapes, deformations and insides, for a whole batch at once.

A primitive is the product of a cross-section in x, z (circle, polygon or superellipse) and a profile of radius over
height, in [-1, 1]^3. All have the same grid, so that one computation serves all kinds.
"""

import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from torch import Tensor


NUM_U, NUM_V = 24, 10
"""Cells of a primitive's grid around its axis and along its profile."""

NUM_ELEMENTS = max(2 * NUM_U * NUM_V, NUM_U * (2 * NUM_V + 1))
"""Triangles of a primitive, or edges of its grid where it is a frame, whichever are more."""

NUMBERS_OF_PRIMITIVE = 44
"""Upper bound of the uniform numbers that `draw_primitives` uses for each primitive."""

KINDS = ("box", "ellipsoid", "cylinder", "cone", "torus", "capsule", "prism", "superquadric", "tube")
_NUM_WAVES = 3
_CORNERS = (3, 5, 6, 8)
_SQUARE = len(_CORNERS) + 1
_PROFILE_OF_KIND = (0, 1, 0, 0, 2, 3, 0, 1, 4)
"""Row of `_profiles` of each of `KINDS`."""

_STRETCHES = (1.0, 1.0, 0.5, 0.25, 0.08)


def _sections() -> Tensor:
    """Return the corners of a circle and of regular polygons around the axis `(sections, NUM_U, 2)`; every corner is hit."""
    angles = torch.arange(NUM_U) * (2 * math.pi / NUM_U)
    rows = [torch.stack([angles.cos(), angles.sin()], dim=1)]
    for num_corners in (*_CORNERS, 4):
        starts = [corner * NUM_U // num_corners for corner in range(num_corners + 1)]
        turn = (torch.arange(num_corners + 1) + 0.5) * (2 * math.pi / num_corners)
        corners = torch.stack([turn.cos(), turn.sin()], dim=1) * (math.sqrt(2) if num_corners == 4 else 1.0)
        sides = [
            torch.lerp(corners[side], corners[side + 1], torch.arange(end - start)[:, None] / (end - start))
            for side, (start, end) in enumerate(pairwise(starts))
        ]
        rows.append(torch.cat(sides))
    return torch.stack(rows)


def _profiles() -> tuple[Tensor, Tensor]:
    """Return radius and height along a profile as `constant + parameter * slope`, each `(profiles, 2, NUM_V + 1)`."""
    half = torch.linspace(-math.pi / 2, math.pi / 2, NUM_V + 1)
    full = torch.linspace(-math.pi, math.pi, NUM_V + 1)
    zero, one = torch.zeros(NUM_V + 1), torch.ones(NUM_V + 1)
    side = torch.cat([-torch.ones(1), torch.linspace(-1, 1, NUM_V - 1), torch.ones(1)])
    solid = torch.cat([torch.zeros(1), torch.ones(NUM_V - 1), torch.zeros(1)])
    is_outer = torch.tensor([1.0] * 5 + [0.0] * 5 + [1.0])
    wall = torch.cat([torch.linspace(-1, 1, 5), torch.linspace(1, -1, 5), -torch.ones(1)])
    caps = torch.cat([torch.linspace(-math.pi / 2, 0, 5), torch.zeros(1), torch.linspace(0, math.pi / 2, 5)])
    end = torch.tensor([-1.0] * 5 + [0.0] + [1.0] * 5)
    radii = [(solid, zero), (half.cos(), zero), (one, full.cos() - 1), (caps.cos(), zero), (is_outer, 1 - is_outer)]
    heights = [(side, zero), (half.sin(), zero), (zero, full.sin()), (end, caps.sin() - end), (wall, zero)]
    return torch.stack([torch.stack(row) for row in radii]), torch.stack([torch.stack(row) for row in heights])


def _elements() -> tuple[Tensor, Tensor]:
    """Return the vertices of each triangle `(3, elements)` and of each edge `(2, elements)` of the grid `(NUM_U + 1, NUM_V + 1)`."""
    grid = torch.arange((NUM_U + 1) * (NUM_V + 1)).reshape(NUM_U + 1, NUM_V + 1)
    a, b = grid[:-1, :-1].flatten(), grid[1:, :-1].flatten()
    c, d = grid[1:, 1:].flatten(), grid[:-1, 1:].flatten()
    triangles = torch.stack([a, b, c, a, c, d], dim=1).view(-1, 3).T  # those of a cell side by side
    triangles = torch.cat([triangles, triangles.new_zeros(3, NUM_ELEMENTS - triangles.shape[1])], dim=1)
    rings = torch.stack([grid[:-1].flatten(), grid[1:].flatten()])
    lines = torch.stack([grid[:-1, :-1].flatten(), grid[:-1, 1:].flatten()])
    return triangles, torch.cat([rings, lines], dim=1)


def _frames() -> Tensor:
    """Return which edges of the grid are bars of a frame, for each density `(densities, edges)`."""
    rows = []
    for step_u, step_v in ((6, 5), (4, 5), (3, 2), (2, 2)):
        rings = (torch.arange(NUM_V + 1) % step_v == 0).repeat(NUM_U)
        lines = (torch.arange(NUM_U) % step_u == 0).repeat_interleave(NUM_V)
        rows.append(torch.cat([rings, lines]))
    return torch.stack(rows).float()


def _axis_rotations() -> Tensor:
    """Return the 24 rotations of a cube onto itself `(24, 3, 3)`."""
    rows = []
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2)):
        for signs in range(8):
            diagonal = torch.tensor([1.0 - 2 * (signs >> axis & 1) for axis in range(3)])
            matrix = torch.eye(3)[list(order)] * diagonal[:, None]
            if torch.linalg.det(matrix) > 0:
                rows.append(matrix)
    return torch.stack(rows)


@dataclass(frozen=True)
class _Tables:
    """Constant tables on one device."""

    sections: Tensor
    radii: Tensor
    heights: Tensor
    triangles: Tensor
    edges: Tensor
    frames: Tensor
    axis_rotations: Tensor


@cache
def grid_tables(device: torch.device) -> _Tables:
    """Return the tables, made once for each device."""
    tables = (_sections(), *_profiles(), *_elements(), _frames(), _axis_rotations())
    return _Tables(*(table.to(device) for table in tables))


def true_indices(mask: Tensor) -> Tensor:
    """Return the flat indices where a mask is true; on a CPU numpy finds them five times as fast as torch."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero()[:, 0]


def _choose(uniform: Tensor, values: tuple[float, ...]) -> Tensor:
    """Choose one of some values for each uniform number."""
    table = torch.tensor(values, device=uniform.device)
    return table[(uniform * len(values)).long()]


class _Rows:
    """A dataclass of tensors with a leading dimension `num_parts`."""

    def select(self, rows: Tensor) -> Self:
        """Return some of the rows."""
        return type(self)(**{name: values.index_select(0, rows) for name, values in vars(self).items()})


@dataclass
class Outlines(_Rows):
    """Shapes of primitives before they are deformed."""

    section: Tensor
    profile: Tensor
    parameter: Tensor
    top: Tensor
    exponents: Tensor


@dataclass
class Deformations(_Rows):
    """Deformations of primitives, 0 where there is none."""

    taper: Tensor
    twist: Tensor
    bend: Tensor
    waves: Tensor

    def any(self) -> Tensor:
        """Return whether a primitive is deformed at all, `(num_parts,)`."""
        return (self.taper != 0) | (self.twist != 0) | (self.bend != 0) | (self.waves[:, 0, 4] != 0)


@dataclass
class Primitives:
    """All primitives of a batch: what they are, how they are deformed, and where they stand.

    Every tensor has a leading dimension `num_parts`; `matrix` and `offset` take local coordinates to those of the shape.
    """

    outlines: Outlines
    deformations: Deformations
    is_frame: Tensor
    frame: Tensor
    bar: Tensor
    matrix: Tensor
    offset: Tensor


def draw_primitives(
    uniform: Tensor, size: Tensor, use_deformations: bool, use_height_fields: bool, use_wireframes: bool
) -> Primitives:
    """Turn uniform numbers `(num_parts, numbers)` into primitives at the origin."""
    tables = grid_tables(uniform.device)
    u = iter(uniform.unbind(dim=1))
    kind = (next(u) * len(KINDS)).long()
    is_kind = {name: kind == number for number, name in enumerate(KINDS)}
    num_corners = (next(u) * len(_CORNERS)).long() + 1
    has_corners = is_kind["prism"] | ((is_kind["cone"] | is_kind["tube"]) & (next(u) < 0.4))
    section = torch.where(has_corners, num_corners, torch.zeros_like(kind)).masked_fill(is_kind["box"], _SQUARE)
    profile = torch.tensor(_PROFILE_OF_KIND, device=kind.device)[kind]
    share = next(u)
    parameter = (0.15 + 0.3 * share).masked_fill(is_kind["capsule"], 0.0)
    parameter = torch.where(is_kind["capsule"], 0.2 + 0.6 * share, parameter)
    parameter = torch.where(is_kind["tube"], 0.7 + 0.25 * share, parameter)
    top = torch.where(is_kind["cone"], _choose(next(u), (0.0, 0.0, 0.3, 0.6)), torch.ones_like(share))
    chosen = torch.stack([_choose(next(u), (0.2, 0.5, 1.0, 1.5, 2.0)) for _ in range(2)], dim=1)
    exponents = torch.where(is_kind["superquadric"][:, None], chosen, torch.ones_like(chosen))

    which, strength = next(u), 2 * next(u) - 1
    zero, does_deform = torch.zeros_like(share), torch.full_like(kind, use_deformations) > 0
    taper = torch.where(does_deform & (which < 1 / 6), 0.6 * strength, zero)
    twist = torch.where(does_deform & (which >= 1 / 6) & (which < 2 / 6), 1.5 * strength, zero)
    bend = torch.where(does_deform & (which >= 2 / 6) & (which < 3 / 6), 0.3 + 0.9 * strength.abs(), zero)
    has_waves = (next(u) < 1 / 6) & use_height_fields
    amplitude = torch.where(has_waves, 0.02 + 0.05 * next(u), zero)
    normal = torch.stack([next(u) - 0.5 for _ in range(3 * _NUM_WAVES)], dim=1).reshape(-1, _NUM_WAVES, 3)
    phase = torch.stack([next(u) for _ in range(_NUM_WAVES)], dim=1) * (2 * math.pi)
    waves = torch.cat([12.0 * normal, phase[:, :, None], amplitude[:, None, None].expand(-1, _NUM_WAVES, 1)], dim=2)

    is_frame = (next(u) < 1 / 12) & use_wireframes
    frame, bar = (next(u) * len(tables.frames)).long(), (0.02 + 0.04 * next(u)) * size
    stretch = torch.stack([_choose(next(u), _STRETCHES) for _ in range(3)], dim=1)
    stretch = stretch * (0.7 + 0.6 * torch.stack([next(u) for _ in range(3)], dim=1))
    along = tables.axis_rotations[(next(u) * len(tables.axis_rotations)).long()]
    quaternion = torch.stack([next(u) for _ in range(3)], dim=1)
    rotation = torch.where((next(u) < 0.6)[:, None, None], along, _random_rotation(quaternion))
    matrix = (size[:, None] * stretch)[:, :, None] * rotation
    offset = torch.zeros_like(stretch)
    outlines = Outlines(section, profile, parameter, top, exponents)
    deformations = Deformations(taper, twist, bend, waves)
    return Primitives(outlines, deformations, is_frame, frame, bar, matrix, offset)


def _random_rotation(uniform: Tensor) -> Tensor:
    """Return rotation matrices from three uniform numbers each, every rotation equally likely (Shoemake, 1992)."""
    first, second = (1 - uniform[:, 0]).sqrt(), uniform[:, 0].sqrt()
    a, b = (2 * math.pi * uniform[:, 1:]).unbind(dim=1)
    x, y, z, w = first * a.sin(), first * a.cos(), second * b.sin(), second * b.cos()
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def local_vertices(parts: Primitives) -> Tensor:
    """Return the vertices of each primitive before it is placed, `(num_parts, 3, NUM_U + 1, NUM_V + 1)`."""
    outlines = parts.outlines
    tables = grid_tables(outlines.section.device)
    radius = tables.radii[outlines.profile]  # (num_parts, 2, NUM_V + 1)
    height = tables.heights[outlines.profile]
    radius = torch.addcmul(radius[:, 0], radius[:, 1], outlines.parameter[:, None])
    height = torch.addcmul(height[:, 0], height[:, 1], outlines.parameter[:, None])
    section = tables.sections[outlines.section]  # (num_parts, NUM_U, 2)
    if (rows := true_indices((outlines.exponents != 1).any(dim=1))).numel():
        profile_power, section_power = outlines.exponents[rows, :, None].unbind(dim=1)
        radius = radius.index_copy(0, rows, _power(radius[rows], profile_power))
        height = height.index_copy(0, rows, _power(height[rows], profile_power))
        section = section.index_copy(0, rows, _power(section[rows], section_power[:, :, None]))
    radius = radius * (1 + (outlines.top - 1)[:, None] * (1 + height) / 2)
    section = torch.cat([section, section[:, :1]], dim=1)  # the grid closes along u
    x = section[:, :, 0, None] * radius[:, None]
    z = section[:, :, 1, None] * radius[:, None]
    y = height[:, None].expand_as(x)
    vertices = torch.stack([x, y, z], dim=1).flatten(2)
    return deform(parts.deformations, vertices).unflatten(2, (NUM_U + 1, NUM_V + 1))


def _power(values: Tensor, exponent: Tensor) -> Tensor:
    """Return the signed power; values that are zero up to rounding stay zero."""
    return values.sign() * values.abs().where(values.abs() > 1e-6, 0).pow(exponent)


def deform(deformations: Deformations, points: Tensor) -> Tensor:
    """Taper, twist or bend points `(num_parts, 3, num_points)` in local coordinates, then raise waves on them."""
    points = points.clone()
    if (rows := true_indices(deformations.taper != 0)).numel():
        x, y, z = points[rows].unbind(dim=1)
        scale = 1 + deformations.taper[rows, None] * y
        points[rows] = torch.stack([x * scale, y, z * scale], dim=1)
    if (rows := true_indices(deformations.twist != 0)).numel():
        x, y, z = points[rows].unbind(dim=1)
        sin, cos = (deformations.twist[rows, None] * y).sin(), (deformations.twist[rows, None] * y).cos()
        points[rows] = torch.stack([x * cos - z * sin, y, x * sin + z * cos], dim=1)
    if (rows := true_indices(deformations.bend != 0)).numel():
        x, y, z = points[rows].unbind(dim=1)
        curvature = deformations.bend[rows, None]
        reach, angle = x + 1 / curvature, curvature * y
        points[rows] = torch.stack([reach * angle.cos() - 1 / curvature, reach * angle.sin(), z], dim=1)
    if (rows := true_indices(deformations.waves[:, 0, 4] != 0)).numel():
        points[rows] = points[rows] * (1 + _wave_height(deformations.waves[rows], points[rows]))[:, None]
    return points


def _wave_height(waves: Tensor, points: Tensor) -> Tensor:
    """Return the sum of a few waves, `(num_parts, num_points)`."""
    argument = sum(waves[:, :, axis, None] * points[:, None, axis] for axis in range(3)) + waves[:, :, 3, None]
    return argument.sin().sum(dim=1) * waves[:, 0, 4, None]


def undeform(deformations: Deformations, points: Tensor) -> Tensor:
    """Invert `deform` for one point of each primitive `(3, num_parts)`; waves to second order."""
    points = points.clone()
    if (rows := true_indices(deformations.waves[:, 0, 4] != 0)).numel():
        raised, waves = points.index_select(1, rows), deformations.waves.index_select(0, rows)
        flat = raised / (1 + _wave_height(waves, raised.T[:, :, None])[:, 0])
        points[:, rows] = raised / (1 + _wave_height(waves, flat.T[:, :, None])[:, 0])
    if (rows := true_indices(deformations.bend != 0)).numel():
        x, y, curvature = points[0, rows], points[1, rows], deformations.bend[rows]
        points[0, rows] = torch.hypot(x + 1 / curvature, y) - 1 / curvature
        points[1, rows] = torch.atan2(y, x + 1 / curvature) / curvature
    if (rows := true_indices(deformations.twist != 0)).numel():
        x, z, angle = points[0, rows], points[2, rows], deformations.twist[rows] * points[1, rows]
        points[0, rows], points[2, rows] = x * angle.cos() + z * angle.sin(), z * angle.cos() - x * angle.sin()
    if (rows := true_indices(deformations.taper != 0)).numel():
        scale = 1 + deformations.taper[rows] * points[1, rows]
        points[0, rows], points[2, rows] = points[0, rows] / scale, points[2, rows] / scale
    return points


def contains_points(outlines: Outlines, points: Tensor) -> Tensor:
    """Return whether each primitive contains its own point `(3, num_parts)` in local coordinates before deformation."""
    x, y, z = points
    reach = torch.hypot(x, z)
    square = torch.maximum(x.abs(), z.abs())
    reach = torch.where(outlines.section == _SQUARE, square, reach)
    if (rows := true_indices((outlines.section != 0) & (outlines.section != _SQUARE))).numel():
        num_corners = torch.tensor((1, *_CORNERS, 4), device=x.device)[outlines.section[rows]]
        sector = 2 * math.pi / num_corners
        angle = torch.atan2(z[rows], x[rows])
        turn = (angle - (angle / sector).round() * sector).cos() / (sector / 2).cos()
        reach = reach.index_copy(0, rows, reach[rows] * turn)
    level = y.abs()
    if (rows := true_indices((outlines.exponents != 1).any(dim=1))).numel():
        profile_power, section_power = (2 / outlines.exponents[rows]).unbind(dim=1)
        across = x[rows].abs().pow(section_power) + z[rows].abs().pow(section_power)
        reach = reach.index_copy(0, rows, across.pow(profile_power / section_power / 2))
        level = level.index_copy(0, rows, level[rows].pow(profile_power / 2))
    end = (level - 1) / outlines.parameter.clamp(min=1e-6) + 1
    is_round = reach.square() + level.square() < 1
    is_ring = (reach - 1 + outlines.parameter).square() + level.square() < outlines.parameter.square()
    is_capsule = reach.square() + end.clamp(min=0).square() < 1
    is_solid = (level < 1) & (reach < 1 + (outlines.top - 1) * (1 + y) / 2)
    is_tube = is_solid & (reach > outlines.parameter)
    choices = torch.stack([is_solid, is_round, is_ring, is_capsule, is_tube])
    return choices.gather(0, outlines.profile[None])[0]
