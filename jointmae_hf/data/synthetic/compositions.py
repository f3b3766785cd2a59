"""Random compositions of primitives: unlimited shapes, each a function of (seed, index), in batches on any device.

Chen and Cheng (arXiv 2411.17467) found that shapes composed of primitives at random, without any semantics, teach a
masked autoencoder for point clouds as much as ShapeNet does. Primitives are deformed, placed on the surface of what is
already there, and all their triangles are sampled together, uniformly by area. Points inside another primitive are
dropped, so only the outer surface remains, and the walls of holes are those of the primitive that was cut away.
"""

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from jointmae_hf.data.counter_rng import RandomStream, counter_uniform

from .grid_primitives import (
    NUM_ELEMENTS,
    NUM_U,
    NUM_V,
    NUMBERS_OF_PRIMITIVE,
    contains_points,
    draw_primitives,
    grid_tables,
    local_vertices,
    true_indices,
    undeform,
)


FIRST_INDEX_OF_SPLIT = {"train": 0, "validation": 1 << 40, "test": 1 << 41}
"""Number of the first shape of each split, so far apart that splits never overlap."""


@dataclass(frozen=True)
class CompositionOptions:
    """Options of random compositions.

    Args:
        num_primitives (`tuple[int, int]`, *optional*, defaults to `(1, 9)`):
            Fewest and most primitives of a shape, drawn uniformly; the complexity of the source.
        use_deformations (`bool`, *optional*, defaults to `True`):
            Whether half of the primitives are bent, twisted or tapered.
        use_height_fields (`bool`, *optional*, defaults to `True`):
            Whether one primitive in six gets a surface of waves.
        use_cuts (`bool`, *optional*, defaults to `True`):
            Whether a primitive is cut away from 30 % of the shapes.
        use_wireframes (`bool`, *optional*, defaults to `True`):
            Whether one primitive in twelve is a frame of bars.
        use_symmetry (`bool`, *optional*, defaults to `True`):
            Whether 30 % of the shapes are mirrored and 12 % repeated about the up axis, 2 to 6 times.

    Raises:
        TypeError: If a number is not an `int` or a switch not a `bool`.
        ValueError: If `num_primitives` is not an ascending pair within [1, 32].
    """

    num_primitives: tuple[int, int] = (1, 9)
    use_deformations: bool = True
    use_height_fields: bool = True
    use_cuts: bool = True
    use_wireframes: bool = True
    use_symmetry: bool = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "num_primitives" and not isinstance(value, bool):
                raise TypeError(f"`{name}` must be a bool, got {value!r}.")
        numbers = tuple(self.num_primitives)
        if any(not isinstance(number, int) or isinstance(number, bool) for number in numbers):
            raise TypeError(f"`num_primitives` must hold two ints, got {self.num_primitives!r}.")
        if len(numbers) != 2 or not 1 <= numbers[0] <= numbers[1] <= 32:
            raise ValueError(
                f"`num_primitives` must be an ascending pair within [1, 32], got {self.num_primitives!r}."
            )
        object.__setattr__(self, "num_primitives", numbers)


@cache
def _sample_grid(num_samples: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a random order of samples `(num_samples,)` and random places in a triangle `(2, num_samples)`."""
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(num_samples, generator=generator)
    return order.to(device), torch.rand(2, num_samples, generator=generator).to(device)


class _Batch:
    """A batch of shapes under construction; `slot` numbers the primitives of a shape, the last one is cut away."""

    def __init__(self, seed: int, index: Tensor, options: CompositionOptions) -> None:
        fewest, most = options.num_primitives
        self.options, self.num_slots = options, most + 1
        self.uniform = counter_uniform(seed, 0, index, RandomStream.COMPOSITION, (8,))
        count = fewest + (self.uniform[:, 0] * (most - fewest + 1)).long()
        self.has_cut = (self.uniform[:, 1] < 0.3) & options.use_cuts
        slots = torch.arange(self.num_slots, device=index.device)
        is_used = torch.where(slots == most, self.has_cut[:, None], slots < count[:, None])
        numbers = counter_uniform(seed, 0, index, RandomStream.PRIMITIVES, (self.num_slots, 4 + NUMBERS_OF_PRIMITIVE))
        self.shape, self.slot = is_used.nonzero().unbind(dim=1)
        self.row = torch.full(is_used.shape, -1, device=index.device)
        self.row[self.shape, self.slot] = torch.arange(len(self.shape), device=index.device)
        own = numbers[self.shape, self.slot]
        size = 0.25 + 0.65 * own[:, 0]
        size = torch.where(self.slot == 0, torch.ones_like(size), size)
        self.parts = draw_primitives(
            own[:, 4:], size, options.use_deformations, options.use_height_fields, options.use_wireframes
        )
        self.parts.is_frame &= self.slot != most  # a frame cuts nothing
        local = local_vertices(self.parts)
        self._place(own, count, local)
        vertices = torch.einsum("ncuv,ncd->nuvd", local, self.parts.matrix)
        self.vertices = vertices + self.parts.offset[:, None, None]  # (num_parts, NUM_U + 1, NUM_V + 1, 3)
        self._box(local.flatten(2))
        self._axes = torch.arange(3, device=index.device)

    def _box(self, local: Tensor) -> None:
        """Compute the bounding box of each primitive and the map from the shape to coordinates where it is [-1, 1]^3."""
        least, most = local.aminmax(dim=2)
        self.box_center, self.box_half = (least + most) / 2, (most - least) / 2 + 1e-6
        inverse = torch.linalg.inv(self.parts.matrix).transpose(1, 2) / self.box_half[:, :, None]
        shift = torch.einsum("ncd,nd->nc", inverse, self.parts.offset) + self.box_center / self.box_half
        self.to_box, self.box_shift = inverse, -shift[:, :, None]

    def _place(self, own: Tensor, count: Tensor, local: Tensor) -> None:
        """Place each primitive on the surface of an earlier one of its shape."""
        most = self.num_slots - 1
        choices = torch.where(self.slot == most, count[self.shape], self.slot)
        parent = (own[:, 1] * choices).long()
        parent_row = self.row[self.shape, parent]
        u, v = own[:, 2] * NUM_U, own[:, 3] * NUM_V
        corner = (u.long() * (NUM_V + 1) + v.long())[:, None, None].expand(-1, 3, 1)
        anchor = local.flatten(2)[parent_row].gather(2, corner)[:, :, 0]
        anchor = torch.einsum("nc,ncd->nd", anchor, self.parts.matrix[parent_row])
        offset = torch.zeros_like(anchor)
        for slot in range(1, self.num_slots):
            rows = true_indices(self.slot == slot)
            offset[rows] = offset[parent_row[rows]] + anchor[rows]
        self.parts.offset = offset

    def _areas(self) -> Tensor:
        """Return the area of each triangle, or the surface of each bar of a frame, `(num_parts, elements)`."""
        v = self.vertices.movedim(3, 0)  # (3, num_parts, NUM_U + 1, NUM_V + 1)
        diagonal = v[:, :, 1:, 1:] - v[:, :, :-1, :-1]
        first, second = v[:, :, 1:, :-1] - v[:, :, :-1, :-1], v[:, :, :-1, 1:] - v[:, :, :-1, :-1]
        areas = [_cross_norm(first, diagonal).flatten(1) / 2, _cross_norm(diagonal, second).flatten(1) / 2]
        unused = diagonal.new_zeros(len(self.vertices), NUM_ELEMENTS - 2 * NUM_U * NUM_V)
        area = torch.cat([*areas, unused], dim=1)
        if (rows := true_indices(self.parts.is_frame)).numel():
            tables = grid_tables(area.device)
            ends = self.vertices[rows].flatten(1, 2)[:, tables.edges]  # (frames, edges, 2, 3)
            length = (ends[:, :, 1] - ends[:, :, 0]).norm(dim=2)
            bars = length * tables.frames[self.parts.frame[rows]] * (2 * math.pi * self.parts.bar[rows, None])
            area = area.index_copy(0, rows, bars)
        return area

    def sample(self, area: Tensor, shapes: Tensor, num_samples: int) -> tuple[Tensor, Tensor]:
        """Return points `(len(shapes), 3, num_samples)` uniform by area, in random order, and the slot of each."""
        order, places = _sample_grid(num_samples, area.device)
        element = self._sample_elements(area[shapes], shapes, num_samples).index_select(1, order)
        slot = (element.float() * (1 / NUM_ELEMENTS)).long()  # exact: a shape has far fewer than 2 ** 24 elements
        element = element - slot * NUM_ELEMENTS
        row = self.row[shapes].gather(1, slot)
        shift = self.uniform[shapes, 2:4]
        a, b = (places[None] + shift[:, :, None]).frac().unbind(dim=1)
        tables, flat = grid_tables(area.device), self.vertices.reshape(-1, 3)
        first = row * ((NUM_U + 1) * (NUM_V + 1))
        corner = tables.triangles.index_select(0, element.flatten()) + first.flatten()[:, None]
        corners = flat.index_select(0, corner.flatten()).view(*element.shape, 3, 3).unbind(dim=2)
        is_folded = a + b > 1
        s, t = torch.where(is_folded, 1 - a, a)[:, :, None], torch.where(is_folded, 1 - b, b)[:, :, None]
        points = corners[0] + s * (corners[1] - corners[0]) + t * (corners[2] - corners[0])
        if (bars := true_indices(self.parts.is_frame.index_select(0, row.flatten()))).numel():
            edge = tables.edges[element.flatten()[bars]] + first.flatten()[bars, None]
            along, around, bar = a.flatten()[bars], b.flatten()[bars], self.parts.bar[row.flatten()[bars]]
            points.view(-1, 3)[bars] = _on_bar(flat[edge[:, 0]], flat[edge[:, 1]], along, around, bar)
        return points.transpose(1, 2).contiguous(), slot

    def _sample_elements(self, area: Tensor, shapes: Tensor, num_samples: int) -> Tensor:
        """Return the element of each sample `(len(shapes), num_samples)`, in proportion to area, rounded at random."""
        total = area.flatten(1).double().cumsum(dim=1)
        steps = total * (num_samples / total[:, -1:]) + self.uniform[shapes, 4, None]
        last = steps.floor().long().clamp(max=num_samples)
        last[:, -1] = num_samples
        counts = last.diff(dim=1, prepend=last.new_zeros(len(last), 1)).flatten()
        elements = torch.arange(area[0].numel(), device=area.device).repeat(len(shapes))
        return elements.repeat_interleave(counts, output_size=len(shapes) * num_samples).unflatten(
            0, (-1, num_samples)
        )

    def is_outside(self, points: Tensor, slot: Tensor, shapes: Tensor) -> Tensor:
        """Return whether points `(len(shapes), 3, num_samples)` lie on the outer surface or on the wall of a cut."""
        position = torch.full((len(self.row),), -1, device=points.device)
        position[shapes] = torch.arange(len(shapes), device=points.device)
        is_single = (self.row >= 0).sum(dim=1) == 1
        can_hide = (position[self.shape] >= 0) & ~self.parts.is_frame & ~is_single[self.shape]
        rows = true_indices(can_hide)
        shape = position[self.shape[rows]]
        scaled = torch.baddbmm(self.box_shift[rows], self.to_box[rows], points.index_select(0, shape))
        is_near = scaled.abs().amax(dim=1) < 1  # (rows, num_samples)
        is_near &= slot.to(torch.uint8).index_select(0, shape) != self.slot[rows, None].to(torch.uint8)
        num_samples = points.shape[2]
        at = true_indices(is_near)
        pair = at // num_samples
        sample = at - pair * num_samples
        near = scaled.view(-1).take((pair * 3 * num_samples + sample)[:, None] + self._axes * num_samples)
        row = rows.index_select(0, pair)
        near = near * self.box_half.index_select(0, row) + self.box_center.index_select(0, row)
        found = true_indices(self._contain(row, near))
        is_inside = torch.zeros_like(slot, dtype=torch.bool)
        is_inside.view(-1)[shape[pair[found]] * num_samples + sample[found]] = True
        return is_inside == (slot == self.num_slots - 1)

    def _contain(self, row: Tensor, points: Tensor) -> Tensor:
        """Return whether the primitives of some rows contain their points `(len(row), 3)` in local coordinates."""
        if (moved := true_indices(self.parts.deformations.any().index_select(0, row))).numel():
            deformations = self.parts.deformations.select(row.index_select(0, moved))
            points = points.index_copy(0, moved, undeform(deformations, points.index_select(0, moved)))
        return contains_points(self.parts.outlines.select(row), points)


def _cross_norm(first: Tensor, second: Tensor) -> Tensor:
    """Return the length of the cross product of vectors `(3, ...)`."""
    (a, b, c), (x, y, z) = first, second
    return ((b * z - c * y).square() + (c * x - a * z).square() + (a * y - b * x).square()).sqrt()


def _on_bar(start: Tensor, end: Tensor, along: Tensor, around: Tensor, radius: Tensor) -> Tensor:
    """Return points on round bars from `start` to `end` `(num_points, 3)`."""
    axis = torch.nn.functional.normalize(end - start, dim=1)
    helper = torch.eye(3, device=axis.device)[axis.abs().argmin(dim=1)]
    side = torch.nn.functional.normalize(torch.linalg.cross(axis, helper), dim=1)
    angle = (2 * math.pi * around)[:, None]
    ray = angle.cos() * side + angle.sin() * torch.linalg.cross(axis, side)
    return torch.lerp(start, end, along[:, None]) + radius[:, None] * ray


@torch.no_grad()
def compose_shapes(
    seed: int, index: Tensor, num_points: int = 2048, options: CompositionOptions | None = None
) -> Tensor:
    """Compose shapes of primitives at random.

    A shape depends on `seed`, its own index, `num_points` and `options` alone, not on the rest of the batch.

    Args:
        seed (`int`):
            Seed of the dataset.
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Numbers of the shapes; they are made on its device.
        num_points (`int`, *optional*, defaults to 2048):
            Points of each shape, uniform by area over its outer surface, in random order.
        options (`CompositionOptions`, *optional*):
            What the shapes are made of.

    Returns:
        `torch.Tensor`: float32 of shape `(batch_size, num_points, 3)`, zero mean, largest radius 1, y up.

    Raises:
        ValueError: If `num_points` is not positive.

    Example:
        >>> compose_shapes(seed=0, index=torch.arange(4), num_points=256).shape
        torch.Size([4, 256, 3])
    """
    if num_points < 1:
        raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
    batch = _Batch(seed, index, CompositionOptions() if options is None else options)
    area = index.new_zeros(len(index), batch.num_slots, NUM_ELEMENTS, dtype=torch.float32)
    area[batch.shape, batch.slot] = batch._areas()
    points = torch.empty(len(index), 3, num_points, device=index.device)
    shapes = torch.arange(len(index), device=index.device)
    for num_samples in (3 * num_points // 2, 5 * num_points // 2, 6 * num_points):
        is_done = _fill(points, batch, area, shapes, num_samples)
        shapes = shapes[~is_done]
        if not len(shapes):
            break
    else:  # nearly everything was cut away or hidden: these shapes stay whole
        points[shapes] = batch.sample(area, shapes, num_points)[0]
    points = points - points.mean(dim=2, keepdim=True)
    radius = points.square().sum(dim=1).amax(dim=1).sqrt()
    return (points / radius[:, None, None]).transpose(1, 2).contiguous()


def _fill(points: Tensor, batch: _Batch, area: Tensor, shapes: Tensor, num_samples: int) -> Tensor:
    """Write the points of some shapes `(num_shapes, 3, num_points)`; return which of them had enough samples."""
    num_points = points.shape[2]
    samples, slot = batch.sample(area, shapes, num_samples)
    is_kept = batch.is_outside(samples, slot, shapes)
    samples, is_kept, copies, turn = _fold(batch, samples, is_kept, shapes)
    num_kept = is_kept.sum(dim=1)
    is_done = num_kept * copies >= num_points
    kept = true_indices(is_kept)  # flat, shape by shape
    start = num_kept.cumsum(dim=0) - num_kept
    number = torch.arange(num_points, device=points.device)
    within = number % num_kept.clamp(min=1)[:, None]
    if not len(kept):
        return is_done
    chosen = kept.take((start[:, None] + within).clamp(max=len(kept) - 1)) % samples.shape[2]
    chosen = samples.gather(2, chosen[:, None].expand(-1, 3, -1))
    copy = (within + number // num_kept.clamp(min=1)[:, None]) % copies[:, None]
    points[shapes[is_done]] = _repeat(chosen, copy, copies, turn)[is_done]
    return is_done


def _fold(batch: _Batch, samples: Tensor, is_kept: Tensor, shapes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Keep half of a mirrored shape and a sector of a rotated one; return the number of copies and the kind too."""
    draw, place = batch.uniform[shapes, 5], batch.uniform[shapes, 6]
    is_mirrored = (draw < 0.3) & batch.options.use_symmetry
    is_turned = (draw >= 0.3) & (draw < 0.42) & batch.options.use_symmetry
    copies = torch.where(is_turned, 2 + (batch.uniform[shapes, 7] * 5).long(), 1).masked_fill(is_mirrored, 2)
    x, z = samples[:, 0], samples[:, 2]
    plane = x[:, 0]  # samples are in random order: any point of the surface
    is_right = x > plane[:, None]
    side = torch.where(is_right.float().mean(dim=1) > 0.5, 1.0, -1.0)
    shift = place * 1.2 * torch.maximum(x.abs().amax(dim=1), z.abs().amax(dim=1))
    x = torch.where(is_mirrored[:, None], (x - plane[:, None]) * side[:, None], x)
    x = torch.where(is_turned[:, None], x + shift[:, None], x)
    is_within = torch.where(is_mirrored[:, None], x > 0, torch.ones_like(is_kept))
    is_sector = torch.atan2(z.abs(), x) < math.pi / copies[:, None]
    is_within = torch.where(is_turned[:, None], is_sector, is_within)
    samples = torch.stack([x, samples[:, 1], z], dim=1)
    return samples, is_kept & is_within, copies, is_turned


def _repeat(points: Tensor, copy: Tensor, copies: Tensor, is_turned: Tensor) -> Tensor:
    """Move each point to its copy: mirrored at x = 0, or rotated about y."""
    x, y, z = points.unbind(dim=1)
    angle = torch.where(is_turned[:, None], 2 * math.pi * copy / copies[:, None], 0)
    sin, cos = angle.sin(), angle.cos()
    sign = torch.where(is_turned[:, None], 1, 1 - 2 * copy)
    return torch.stack([(x * cos - z * sin) * sign, y, x * sin + z * cos], dim=1)
