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

from jointmae_hf.data.argument_checks import check_integer
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


@dataclass
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
        for name in ("use_deformations", "use_height_fields", "use_cuts", "use_wireframes", "use_symmetry"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"`{name}` must be a bool, got {getattr(self, name)!r}.")
        numbers = tuple(self.num_primitives)
        for number in numbers:
            check_integer("num_primitives", number, 1, 32)
        if len(numbers) != 2 or numbers[0] > numbers[1]:
            raise ValueError(
                f"`num_primitives` must be an ascending pair within [1, 32], got {self.num_primitives!r}."
            )
        self.num_primitives = (numbers[0], numbers[1])


_BLOCK = 64
"""Samples of a block. A shape gets whole blocks; primitives that are far from a block are not compared with its samples."""

_NUM_ATTEMPTS = 4
_VISIBLE_SHARE = 0.75
"""Expected share of the samples of a shape that are visible; another attempt adds what is missing."""

_GOLDEN_RATIO = 0.6180339887


@cache
def _random_places(num_samples: int, device: torch.device) -> Tensor:
    """Return random places in a triangle `(2, num_samples)`, always the same."""
    return torch.rand(2, num_samples, generator=torch.Generator().manual_seed(0)).to(device)


@cache
def _random_order(num_points: int, device: torch.device) -> Tensor:
    """Return a random order of points `(num_points,)`, always the same."""
    return torch.randperm(num_points, generator=torch.Generator().manual_seed(0)).to(device)


@dataclass
class _Samples:
    """Samples of some shapes, shape by shape and primitive by primitive, in whole blocks."""

    points: Tensor  # (3, num_samples)
    row: Tensor  # (num_samples,): the primitive that a sample lies on
    shape_of_block: Tensor  # (num_samples / _BLOCK,)


class _Batch:
    """A batch of shapes under construction; `slot` numbers the primitives of a shape, the last one is cut away."""

    def __init__(self, seed: int, index: Tensor, options: CompositionOptions) -> None:
        fewest, most = options.num_primitives
        self.options, self.num_slots = options, most + 1
        self.uniform = counter_uniform(seed, 0, index, RandomStream.COMPOSITION, (9,))
        count = fewest + (self.uniform[:, 0] * (most - fewest + 1)).long()
        self.has_cut = (self.uniform[:, 1] < 0.3) & options.use_cuts
        slots = torch.arange(self.num_slots, device=index.device)
        is_used = torch.where(slots == most, self.has_cut[:, None], slots < count[:, None])
        numbers = counter_uniform(seed, 0, index, RandomStream.PRIMITIVES, (self.num_slots, 4 + NUMBERS_OF_PRIMITIVE))
        self.shape, self.slot = is_used.nonzero().unbind(dim=1)
        self.row = torch.full(is_used.shape, -1, device=index.device)
        self.row[self.shape, self.slot] = torch.arange(len(self.shape), device=index.device)
        self.is_cut = self.slot == most
        own = numbers[self.shape, self.slot]
        size = (0.25 + 0.65 * own[:, 0]).masked_fill(self.slot == 0, 1.0)
        self.parts = draw_primitives(
            own[:, 4:], size, options.use_deformations, options.use_height_fields, options.use_wireframes
        )
        self.parts.is_frame &= ~self.is_cut  # a frame cuts nothing
        local = local_vertices(self.parts).flatten(2)
        self.is_deformed = self.parts.deformations.any()
        self._place(own, count, local)
        self.vertices = torch.baddbmm(self.parts.offset[:, :, None], self.parts.matrix.transpose(1, 2), local)
        self._symmetrize()
        self.corners = self.vertices.transpose(0, 1).reshape(3, -1)
        self._box(local)
        self.area = self._areas().double().cumsum(dim=1)  # (num_parts, NUM_ELEMENTS)

    def _place(self, own: Tensor, count: Tensor, local: Tensor) -> None:
        """Place each primitive on the surface of an earlier one of its shape."""
        choices = torch.where(self.is_cut, count[self.shape], self.slot)
        parent = (own[:, 1] * choices).long()
        parent_row = self.row[self.shape, parent]
        u, v = own[:, 2] * NUM_U, own[:, 3] * NUM_V
        corner = (u.long() * (NUM_V + 1) + v.long())[:, None, None].expand(-1, 3, 1)
        anchor = local[parent_row].gather(2, corner)[:, :, 0]
        anchor = torch.einsum("nc,ncd->nd", anchor, self.parts.matrix[parent_row])
        offset = torch.zeros_like(anchor)
        for slot in range(1, self.num_slots):
            rows = true_indices(self.slot == slot)
            offset[rows] = offset[parent_row[rows]] + anchor[rows]
        self.parts.offset = offset

    def _symmetrize(self) -> None:
        """Move shapes so that the half x > 0, or a sector around the axis x, is what will be repeated about y."""
        draw, place = self.uniform[:, 2], self.uniform[:, 3]
        self.is_mirrored = (draw < 0.3) & self.options.use_symmetry
        self.is_turned = (draw >= 0.3) & (draw < 0.42) & self.options.use_symmetry
        self.copies = torch.where(self.is_turned, 2 + (self.uniform[:, 4] * 5).long(), 1 + self.is_mirrored.long())
        across = self.vertices[:, ::2]
        bounds = torch.stack([-across.amin(dim=2), across.amax(dim=2)], dim=1)  # (num_parts, 2, 2)
        bounds = bounds.masked_fill(self.is_cut[:, None, None], -math.inf)
        bounds = bounds[self.row].masked_fill((self.row < 0)[:, :, None, None], -math.inf).amax(dim=1)
        left, right = bounds[:, :, 0].unbind(dim=1)
        plane = torch.lerp(-left, right, 0.2 + 0.6 * place)
        side = torch.where(self.is_mirrored & (place > 0.5), -1.0, 1.0)  # the longer side stays
        reach = 1.2 * place * bounds.amax(dim=(1, 2))
        shift = torch.where(self.is_mirrored, -plane * side, reach.masked_fill(~self.is_turned, 0.0))
        side, shift = side[self.shape], shift[self.shape]
        self.parts.matrix[:, :, 0] *= side[:, None]
        self.parts.offset[:, 0] = self.parts.offset[:, 0] * side + shift
        self.vertices[:, 0] = self.vertices[:, 0] * side[:, None] + shift[:, None]
        angle = math.pi / self.copies
        self.sector = torch.stack([angle.sin().masked_fill(self.copies == 1, 0.0), angle.cos()], dim=1)

    def _box(self, local: Tensor) -> None:
        """Compute the bounding box of each primitive and the map from the shape to coordinates where it is [-1, 1]^3."""
        least, most = local.amin(dim=2), local.amax(dim=2)
        center, half = (least + most) / 2, (most - least) / 2 + 1e-6
        self.to_box = torch.linalg.inv(self.parts.matrix).transpose(1, 2) / half[:, :, None]
        shift = torch.einsum("ncd,nd->nc", self.to_box, self.parts.offset) + center / half
        self.box_center, self.box_half = center.T.contiguous(), half.T.contiguous()  # (3, num_parts)
        self.box_shift = -shift[:, :, None]
        can_hide = ~self.parts.is_frame & ((self.row >= 0).sum(dim=1) > 1)[self.shape]
        self.hiding_row = torch.full_like(self.row, -1)
        rows = true_indices(can_hide)
        self.hiding_row[self.shape[rows], self.slot[rows]] = rows

    def _areas(self) -> Tensor:
        """Return the area of each triangle, or the surface of each bar of a frame, `(num_parts, NUM_ELEMENTS)`."""
        v = self.vertices.unflatten(2, (NUM_U + 1, NUM_V + 1)).transpose(0, 1)
        a, diagonal = v[:, :, :-1, :-1], v[:, :, 1:, 1:] - v[:, :, :-1, :-1]
        first, second = v[:, :, 1:, :-1] - a, v[:, :, :-1, 1:] - a
        area = diagonal.new_zeros(len(self.vertices), NUM_ELEMENTS)
        both = area[:, : 2 * NUM_U * NUM_V].view(-1, NUM_U, NUM_V, 2)
        both[..., 0], both[..., 1] = _cross_norm(first, diagonal), _cross_norm(diagonal, second)
        area /= 2
        if (rows := true_indices(self.parts.is_frame)).numel():
            tables = grid_tables(area.device)
            start, end = (self.vertices[rows].index_select(2, corner) for corner in tables.edges)
            length = (end - start).square().sum(dim=1).sqrt()
            area[rows] = length * tables.frames[self.parts.frame[rows]] * (2 * math.pi * self.parts.bar[rows, None])
        return area

    def sample(self, shapes: Tensor, num_blocks: Tensor, attempt: int) -> _Samples:
        """Return samples of some shapes, uniform by area over all primitives."""
        num_samples = num_blocks * _BLOCK
        uniform = (self.uniform[shapes, 5:8] + attempt * _GOLDEN_RATIO).frac()
        element, row = self._sample_elements(shapes, num_samples, uniform[:, 0])
        places = torch.cat([_random_places(number, element.device) for number in num_samples.tolist()], dim=1)
        shift = uniform[:, 1:].T.repeat_interleave(num_blocks, dim=1)
        a, b = (places.view(2, -1, _BLOCK) + shift[:, :, None]).frac_().flatten(1)
        tables, first = grid_tables(element.device), row * ((NUM_U + 1) * (NUM_V + 1))
        origin, one, other = (
            self.corners.index_select(1, corner.index_select(0, element).add_(first)) for corner in tables.triangles
        )
        points = origin + torch.minimum(a, b) * (one - origin) + (1 - torch.maximum(a, b)) * (other - origin)
        if (bars := true_indices(self.parts.is_frame.index_select(0, row))).numel():
            edges = tables.edges.index_select(1, element[bars]) + first[bars]
            start, end = (self.corners.index_select(1, corner) for corner in edges)
            points.index_copy_(1, bars, _on_bar(start, end, a[bars], b[bars], self.parts.bar[row[bars]]))
        return _Samples(points, row, shapes.repeat_interleave(num_blocks))

    def _sample_elements(self, shapes: Tensor, num_samples: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """Return element and primitive of each sample, in proportion to area, rounded at random."""
        rows = self.row[shapes]
        is_used = rows >= 0
        total = self.area[:, -1][rows].masked_fill(~is_used, 0.0).cumsum(dim=1)
        before = (total - self.area[:, -1][rows])[is_used]
        rows, position = rows[is_used], is_used.nonzero()[:, 0]
        scale = num_samples / total[:, -1]
        end = num_samples.cumsum(dim=0)
        # Half a step of the random numbers keeps the last sum, which is exact up to rounding, above the number of samples.
        offset = (uniform + 2.0**-25).double()
        last = ((self.area[rows] + before[:, None]) * scale[position, None] + offset[position, None]).floor().long()
        last += (end - num_samples)[position, None]
        counts = last.flatten().diff(prepend=last.new_zeros(1))
        elements = torch.arange(NUM_ELEMENTS, device=rows.device).repeat(len(rows))
        in_row = last[:, -1].diff(prepend=last.new_zeros(1))
        size = int(end[-1])
        return elements.repeat_interleave(counts, output_size=size), rows.repeat_interleave(in_row, output_size=size)

    def is_visible(self, samples: _Samples) -> Tensor:
        """Return whether samples lie in their sector, and on the outer surface or on the wall of a cut."""
        is_inside = torch.zeros(len(samples.row), dtype=torch.bool, device=samples.row.device)
        points = samples.points.view(3, -1, _BLOCK).transpose(0, 1).contiguous()
        block, row = self._find_near(points, samples)
        scaled = torch.baddbmm(
            self.box_shift.index_select(0, row), self.to_box.index_select(0, row), points.index_select(0, block)
        )
        is_near = scaled.abs().amax(dim=1) < 1
        is_near &= samples.row.view(-1, _BLOCK).index_select(0, block) != row[:, None]
        near = true_indices(is_near)
        pair = near // _BLOCK
        first = near + pair * (2 * _BLOCK)
        row = row.index_select(0, pair)
        local = torch.stack([scaled.view(-1).index_select(0, first + axis * _BLOCK) for axis in range(3)])
        local = local.mul_(self.box_half.index_select(1, row)).add_(self.box_center.index_select(1, row))
        found = true_indices(self._contain(row, local))
        is_inside[(near + (block.index_select(0, pair) - pair) * _BLOCK)[found]] = True
        sin, cos = self.sector.index_select(0, samples.shape_of_block)[:, :, None].unbind(dim=1)
        is_within = points[:, 0] * sin >= points[:, 2].abs() * cos
        return is_within.flatten() & (is_inside == self.is_cut.index_select(0, samples.row))

    def _find_near(self, points: Tensor, samples: _Samples) -> tuple[Tensor, Tensor]:
        """Return blocks, and for each a primitive in whose bounding box some of its samples may lie."""
        least, most = points.amin(dim=2), points.amax(dim=2)
        rows = self.hiding_row.index_select(0, samples.shape_of_block)
        first, last = samples.row[::_BLOCK, None], samples.row[_BLOCK - 1 :: _BLOCK, None]
        at = true_indices((rows >= 0) & ((rows != first) | (rows != last)))
        block, row = at // self.num_slots, rows.take(at)
        center = (torch.stack([least + most, most - least], dim=2) / 2).index_select(0, block)
        to_box = self.to_box.index_select(0, row)
        middle = torch.baddbmm(self.box_shift.index_select(0, row), to_box, center[:, :, :1])
        extent = torch.bmm(to_box.abs(), center[:, :, 1:])
        is_near = true_indices((middle.abs() - extent).amax(dim=(1, 2)) < 1 + 1e-5)
        return block.index_select(0, is_near), row.index_select(0, is_near)

    def _contain(self, row: Tensor, points: Tensor) -> Tensor:
        """Return whether the primitives of some rows contain their points `(3, len(row))` in local coordinates."""
        if (moved := true_indices(self.is_deformed.index_select(0, row))).numel():
            deformations = self.parts.deformations.select(row.index_select(0, moved))
            points = points.index_copy(1, moved, undeform(deformations, points.index_select(1, moved)))
        return contains_points(self.parts.outlines.select(row), points)

    def repeat(self, points: Tensor) -> None:
        """Spread the points `(3, num_shapes, num_points)` of symmetric shapes over all copies."""
        number = torch.arange(points.shape[2], device=points.device)
        rows = true_indices(self.is_mirrored)
        points[0, rows] *= 1.0 - 2 * (number % 2)
        if (rows := true_indices(self.is_turned)).numel():
            angle = number % self.copies[rows, None] * (2 * math.pi / self.copies[rows, None])
            sin, cos, x, z = angle.sin(), angle.cos(), points[0, rows], points[2, rows]
            points[0, rows], points[2, rows] = x * cos - z * sin, x * sin + z * cos


def _cross_norm(first: Tensor, second: Tensor) -> Tensor:
    """Return the length of the cross product of vectors `(3, ...)`."""
    (a, b, c), (x, y, z) = first, second
    return ((b * z - c * y).square() + (c * x - a * z).square() + (a * y - b * x).square()).sqrt()


def _on_bar(start: Tensor, end: Tensor, along: Tensor, around: Tensor, radius: Tensor) -> Tensor:
    """Return points on round bars from `start` to `end` `(3, num_points)`."""
    x, y, z = (end - start) / (end - start).square().sum(dim=0).sqrt()
    # Two directions across the axis (Duff et al., Building an orthonormal basis, revisited, 2017).
    sign = torch.where(z < 0, -1.0, 1.0)
    a = -1 / (sign + z)
    b = x * y * a
    side = torch.stack([1 + sign * x * x * a, sign * b, -sign * x])
    up = torch.stack([b, sign + y * y * a, -y])
    angle = 2 * math.pi * around
    return torch.lerp(start, end, along) + radius * (angle.cos() * side + angle.sin() * up)


def _collect_points(batch: _Batch, num_points: int) -> Tensor:
    """Return points of the outer surface of all shapes `(3, num_shapes, num_points)`, in random order."""
    num_found = torch.zeros_like(batch.copies)
    share = torch.full_like(num_found, _VISIBLE_SHARE, dtype=torch.float64)
    kept: list[tuple[Tensor, Tensor]] = []
    for attempt in range(_NUM_ATTEMPTS):
        shapes = true_indices(num_found < num_points)
        if not len(shapes):
            break
        missing = (num_points - num_found[shapes]).double()
        num_blocks = ((missing + 2.5 * missing.sqrt()) / share[shapes] / _BLOCK).ceil().long()
        samples = batch.sample(shapes, num_blocks, attempt)
        is_last = attempt + 1 == _NUM_ATTEMPTS  # nearly everything was cut away or hidden: these shapes stay whole
        is_kept = ~batch.is_cut[samples.row] if is_last else batch.is_visible(samples)
        num_kept = torch.zeros_like(num_found)
        num_kept.index_add_(0, samples.shape_of_block, is_kept.view(-1, _BLOCK).sum(dim=1))
        kept.append((samples.points.index_select(1, true_indices(is_kept)), num_kept))
        share[shapes] = (num_kept[shapes] / (num_blocks * _BLOCK).double()).clamp(min=1 / 16)
        num_found += num_kept
    order = _random_order(num_points, num_found.device) + batch.uniform[:, 8, None].double()
    # Samples lie in the order of the surface, where an even choice of them is uniform by area too.
    number = (order * num_found.double()[:, None] / num_points).long().minimum(num_found[:, None] - 1)
    place, points = _places_of(number, [num_kept for _, num_kept in kept]), [points for points, _ in kept]
    return torch.cat(points, dim=1).index_select(1, place.flatten()).unflatten(1, place.shape)


def _places_of(number: Tensor, num_kept: list[Tensor]) -> Tensor:
    """Return where samples, by their numbers `(num_shapes, num_points)` within a shape, are among those of all attempts."""
    place, num_before, start = number, torch.zeros_like(number[:, 0]), 0
    for counts in num_kept:
        first = start + counts.cumsum(dim=0) - counts - num_before
        place = torch.where(number < num_before[:, None], place, number + first[:, None])
        num_before, start = num_before + counts, start + int(counts.sum())
    return place


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
        TypeError: If `num_points` is not an `int`.
        ValueError: If `num_points` is not positive.

    Example:
        >>> compose_shapes(seed=0, index=torch.arange(4), num_points=256).shape
        torch.Size([4, 256, 3])
    """
    check_integer("num_points", num_points, 1)
    batch = _Batch(seed, index, CompositionOptions() if options is None else options)
    points = _collect_points(batch, num_points)
    batch.repeat(points)
    points -= points.mean(dim=2, keepdim=True)
    points /= (
        points.square().sum(dim=0).amax(dim=1).sqrt().clamp(min=1e-12)[:, None]
    )  # a single point lies at the origin
    return points.permute(1, 2, 0).contiguous()
