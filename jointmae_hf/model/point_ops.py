"""Point cloud operations: neighbours, grouping, interpolation, Chamfer distance and the bounding sphere."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor


CPU_PAIRS_PER_BLOCK = 1 << 19
"""Distances that are computed at a time on a CPU, in whose cache they stay."""
MOST_PAIRS_PER_BLOCK = 1 << 26
"""Distances that are computed at a time elsewhere, to bound memory."""
COMPILED_ROWS_PER_BLOCK = 256
"""Rows of a distance matrix that a compiled Chamfer distance computes at a time."""
_Reduced = TypeVar("_Reduced")


@torch.no_grad()
def pairwise_squared_distance(queries: Tensor, points: Tensor) -> Tensor:
    """Squared Euclidean distances, coordinate by coordinate, to be compared: they carry no gradient.

    No matrix product is involved, so neither TF32 nor autocast can touch the result, and no cancellation: away from
    the origin the expanded form `|q|^2 - 2 q.p + |p|^2` loses neighbours (`docs/coordinates.md`).

    Args:
        queries (`torch.Tensor` of shape `(batch_size, num_queries, 3)`):
            Coordinates.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates in the same frame.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_queries, num_points)`: Squared distances, at least float32.
    """
    return _squared_distance(*_coordinate_planes(queries, points))


def _coordinate_planes(queries: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of shape `(3, batch_size, num_points)`, so that neighbours in memory are points, at least float32."""
    dtype = torch.promote_types(torch.promote_types(queries.dtype, points.dtype), torch.float32)
    return queries.to(dtype).movedim(-1, 0).contiguous(), points.to(dtype).movedim(-1, 0).contiguous()


def _squared_distance(queries: Tensor, points: Tensor, workspace: Sequence[Tensor] | None = None) -> Tensor:
    """Squared distances between planes of coordinates, in place: memory traffic is what they cost.

    The workspace is room for at least twice as many numbers, in two tensors.
    """
    shape = *queries.shape[1:], points.shape[2]
    if workspace is None:
        distance, offset = (points.new_empty(shape) for _ in range(2))
    else:
        distance, offset = (flat[: math.prod(shape)].view(shape) for flat in workspace)
    torch.sub(queries[0, :, :, None], points[0, :, None], out=offset)
    torch.mul(offset, offset, out=distance)
    for axis in (1, 2):
        torch.sub(queries[axis, :, :, None], points[axis, :, None], out=offset)
        distance.addcmul_(offset, offset)
    return distance


@torch.no_grad()
def _reduce_distances(
    queries: Tensor, points: Tensor, reduce: Callable[[Tensor], _Reduced], compiled_rows: int | None = None
) -> list[list[_Reduced]]:
    """What a function makes of the matrix of distances, block by block.

    On a CPU a block and what it is computed from stay in its cache, and all blocks take the same memory, whose pages the
    kernel would otherwise hand out anew for each. A compiled graph must not depend on the number of clouds: there it is all
    clouds at a time, and all queries or `compiled_rows` of them.

    Returns a list for each few clouds, with an item for each block of their queries.
    """
    if torch.compiler.is_compiling():
        blocks = [queries] if compiled_rows is None else queries.split(compiled_rows, dim=1)
        return [[reduce(pairwise_squared_distance(rows, points)) for rows in blocks]]
    queries, points = _coordinate_planes(queries, points)
    (num_clouds, num_queries), num_points = queries.shape[1:], points.shape[2]
    most = CPU_PAIRS_PER_BLOCK if queries.device.type == "cpu" else MOST_PAIRS_PER_BLOCK
    num_rows = max(1, most // num_points)
    clouds_at_a_time = max(1, num_rows // max(1, num_queries))
    most_pairs = min(clouds_at_a_time, num_clouds) * min(num_rows, num_queries) * num_points
    workspace = [points.new_empty(most_pairs) for _ in range(2)]
    clouds = zip(queries.split(clouds_at_a_time, dim=1), points.split(clouds_at_a_time, dim=1), strict=True)
    return [
        [reduce(_squared_distance(rows, some_points, workspace)) for rows in some_queries.split(num_rows, dim=2)]
        for some_queries, some_points in clouds
    ]


def _choose_by_distance(queries: Tensor, points: Tensor, choose: Callable[[Tensor], Tensor]) -> Tensor:
    """Rows of `points` that a function of a matrix of distances chooses for each query."""
    return torch.cat([torch.cat(blocks, dim=1) for blocks in _reduce_distances(queries, points, choose)])


def k_nearest_neighbors(queries: Tensor, points: Tensor, num_neighbors: int, is_valid: Tensor | None = None) -> Tensor:
    """Indices of the nearest points of each query, nearest first.

    Args:
        queries (`torch.Tensor` of shape `(batch_size, num_queries, 3)`):
            Coordinates.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates in the same frame.
        num_neighbors (`int`):
            Neighbours of each query, at most `num_points`.
        is_valid (`torch.BoolTensor` of shape `(batch_size, num_points)`, *optional*):
            Points that may be neighbours. Where a cloud has fewer than `num_neighbors` of them, the nearest one is
            repeated; a cloud without any has no defined neighbours.

    Returns:
        `torch.LongTensor` of shape `(batch_size, num_queries, num_neighbors)`: Rows of `points`.

    Raises:
        ValueError: If `num_neighbors` is not in `[1, num_points]`.

    Example:
        >>> points = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [5.0, 0, 0]]])
        >>> k_nearest_neighbors(points[:, :1], points, 2).tolist()
        [[[0, 1]]]
    """
    if not 1 <= num_neighbors <= points.shape[1]:
        raise ValueError(
            f"`num_neighbors` must be in [1, num_points], got {num_neighbors} for {points.shape[1]} points."
        )
    if is_valid is not None:
        points = points.masked_fill(~is_valid[..., None], torch.inf)

    def choose(distance: Tensor) -> Tensor:
        nearest, indices = distance.topk(num_neighbors, dim=-1, largest=False, sorted=True)
        return indices if is_valid is None else torch.where(nearest.isinf(), indices[..., :1], indices)

    return _choose_by_distance(queries, points, choose)


def gather_points(values: Tensor, indices: Tensor) -> Tensor:
    """Rows of each sample's values.

    Args:
        values (`torch.Tensor` of shape `(batch_size, num_points, num_features)`):
            Coordinates, features or tokens.
        indices (`torch.LongTensor` of shape `(batch_size, ...)`):
            Rows of `values`.

    Returns:
        `torch.Tensor` of shape `(batch_size, ..., num_features)`: `values[b, indices[b]]` for each sample `b`.
    """
    batch_size, num_points, num_features = values.shape
    first_rows = torch.arange(batch_size, device=indices.device) * num_points
    rows = indices.reshape(batch_size, -1) + first_rows[:, None]
    gathered = values.reshape(-1, num_features).index_select(0, rows.reshape(-1))
    return gathered.reshape(*indices.shape, num_features)


def group_points(points: Tensor, centers: Tensor, group_size: int, is_valid: Tensor | None = None) -> Tensor:
    """Nearest points of each centre, relative to it.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates.
        centers (`torch.Tensor` of shape `(batch_size, num_groups, 3)`):
            Group centres in the same frame.
        group_size (`int`):
            Points of each group.
        is_valid (`torch.BoolTensor` of shape `(batch_size, num_points)`, *optional*):
            Points that may be grouped, as in [`k_nearest_neighbors`].

    Returns:
        `torch.Tensor` of shape `(batch_size, num_groups, group_size, 3)`: Offsets from the centre, nearest first.
    """
    indices = k_nearest_neighbors(centers, points, group_size, is_valid)
    return gather_points(points, indices) - centers[:, :, None]


def nearest_center_is_visible(points: Tensor, centers: Tensor, mask: Tensor) -> Tensor:
    """Tell which points belong to a visible centre, each point belonging to the nearest.

    Source: the multi-scale masking of Point-M2AE in a form of static shape, see `docs/paper_to_code.md`.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates.
        centers (`torch.Tensor` of shape `(batch_size, num_groups, 3)`):
            Group centres in the same frame.
        mask (`torch.BoolTensor` of shape `(batch_size, num_groups)`):
            True where the token of a centre is hidden.

    Returns:
        `torch.BoolTensor` of shape `(batch_size, num_points)`: True where the nearest centre is visible.
    """
    nearest = _choose_by_distance(points, centers, lambda distance: distance.min(dim=-1).indices)
    return ~mask.gather(1, nearest)


def interpolate_features(queries: Tensor, points: Tensor, features: Tensor, num_neighbors: int = 3) -> Tensor:
    """Carry features from points to queries, weighted by inverse squared distance.

    Source: feature propagation of PointNet++, Sec. 3.4, with the weights of Point-MAE's segmentation head.

    Args:
        queries (`torch.Tensor` of shape `(batch_size, num_queries, 3)`):
            Coordinates.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates in the same frame.
        features (`torch.Tensor` of shape `(batch_size, num_points, num_features)`):
            Features of `points`.
        num_neighbors (`int`, *optional*, defaults to 3):
            Points that a query takes its features from.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_queries, num_features)`: Features in the dtype of `features`.
    """
    indices = k_nearest_neighbors(queries, points, min(num_neighbors, points.shape[1]))
    offsets = gather_points(points, indices) - queries[:, :, None]
    weights = 1 / ((offsets * offsets).sum(dim=-1, keepdim=True) + 1e-8)
    weights = (weights / weights.sum(dim=2, keepdim=True)).to(features.dtype)
    return (gather_points(features, indices) * weights).sum(dim=2)


def _nearest_both_ways(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest target of each source point and nearest source point of each target.

    Memory grows with one side alone.
    """

    def reduce(distance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return distance.min(dim=2).indices, *distance.min(dim=1)

    to_target, to_source = [], []
    for blocks in _reduce_distances(source, target, reduce, COMPILED_ROWS_PER_BLOCK):
        forward, smallest, backward = zip(*blocks, strict=True)
        first_rows = itertools.accumulate((block.shape[1] for block in forward[:-1]), initial=0)
        best_block = torch.stack(smallest).min(dim=0, keepdim=True).indices
        to_target.append(torch.cat(forward, dim=1))
        rows = torch.stack([block + first for block, first in zip(backward, first_rows, strict=True)])
        to_source.append(rows.gather(0, best_block)[0])
    return torch.cat(to_target), torch.cat(to_source)


def chamfer_distance(source: Tensor, target: Tensor) -> Tensor:
    """Chamfer distance with squared Euclidean distances, averaged over the points of each set.

    `mean_s min_t |s - t|^2 + mean_t min_s |s - t|^2`. The nearest points are found without gradient and the distances
    to them computed anew: exact values and gradients, and no square root. Source: Joint-MAE Eq. 5, after Fan et al.
    2017 and the form of Point-MAE (`chamfer_dist`, L2).

    Args:
        source (`torch.Tensor` of shape `(batch_size, num_source, 3)`):
            Coordinates.
        target (`torch.Tensor` of shape `(batch_size, num_target, 3)`):
            Coordinates in the same frame.

    Returns:
        `torch.Tensor` of shape `(batch_size,)`: Distance of each pair of sets, at least float32.

    Raises:
        ValueError: If one of the sets is empty, or the shapes do not fit.

    Example:
        >>> source = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0]]])
        >>> chamfer_distance(source, torch.tensor([[[0.0, 0, 0]]])).tolist()
        [0.5]
    """
    if source.ndim != 3 or target.ndim != 3 or source.shape[::2] != target.shape[::2]:
        raise ValueError(
            "`source` and `target` must have shapes (batch_size, num_points, 3) with one batch size, got "
            f"{tuple(source.shape)} and {tuple(target.shape)}."
        )
    if source.shape[1] == 0 or target.shape[1] == 0:
        raise ValueError(
            f"`source` and `target` must not be empty, got {tuple(source.shape)} and {tuple(target.shape)}."
        )
    dtype = torch.promote_types(torch.promote_types(source.dtype, target.dtype), torch.float32)
    source, target = source.to(dtype), target.to(dtype)
    to_target, to_source = _nearest_both_ways(source, target)
    forward_offsets = source - gather_points(target, to_target)
    backward_offsets = target - gather_points(source, to_source)
    forward_distance = (forward_offsets * forward_offsets).sum(dim=-1).mean(dim=1)
    return forward_distance + (backward_offsets * backward_offsets).sum(dim=-1).mean(dim=1)


def bounding_sphere(points: Tensor) -> tuple[Tensor, Tensor]:
    """Centroid of a cloud and the largest distance from it.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`: Centroid `(batch_size, 1, 3)` and radius `(batch_size, 1, 1)`. The radius
        of a cloud whose points all coincide is 1, so that dividing by it leaves the points at the origin.
    """
    center = points.mean(dim=1, keepdim=True)
    squared_radius = (points - center).square().sum(dim=-1, keepdim=True).amax(dim=1, keepdim=True)
    # What is left of coinciding points after subtracting their mean is rounding, not shape.
    rounding = 16 * torch.finfo(points.dtype).eps * points.abs().amax(dim=(1, 2), keepdim=True)
    has_extent = squared_radius.detach().sqrt() > rounding
    # The root comes last: that of zero has an infinite slope.
    return center, torch.where(has_extent, squared_radius, torch.ones_like(squared_radius)).sqrt()
