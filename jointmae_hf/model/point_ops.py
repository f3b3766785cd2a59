"""Point cloud operations: neighbors, grouping, interpolation, Chamfer distance and the bounding sphere."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor


CPU_PAIRS_PER_BLOCK = 1 << 19
"""Number of distances that are computed at once on a CPU, few enough to stay in its cache."""
MAX_PAIRS_PER_BLOCK = 1 << 26
"""Number of distances that are computed at once on other devices, to bound memory."""
COMPILED_ROWS_PER_BLOCK = 256
"""Number of rows of the distance matrix that a compiled Chamfer distance computes at once."""
_Reduced = TypeVar("_Reduced")


@torch.no_grad()
def pairwise_squared_distance(queries: Tensor, points: Tensor) -> Tensor:
    """Compute squared Euclidean distances for comparisons; they carry no gradient.

    Distances are summed coordinate by coordinate. Without a matrix product neither TF32 nor autocast affects them, and
    nothing cancels: away from the origin the expanded form `|q|^2 - 2 q.p + |p|^2` misses neighbors
    (`docs/coordinates.md`).

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
    """Coordinates `(3, batch_size, num_points)`, contiguous along the points, at least float32."""
    dtype = torch.promote_types(torch.promote_types(queries.dtype, points.dtype), torch.float32)
    return queries.to(dtype).movedim(-1, 0).contiguous(), points.to(dtype).movedim(-1, 0).contiguous()


def _squared_distance(queries: Tensor, points: Tensor, workspace: Sequence[Tensor] | None = None) -> Tensor:
    """Squared distances between coordinate planes, in place to save memory traffic.

    `workspace` is two flat tensors with room for one distance matrix each.
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
    """Apply a function to the distance matrix block by block.

    On a CPU a block and its inputs stay in the cache, and all blocks reuse the same memory, for which the kernel would
    otherwise provide new pages each time. A compiled graph must not depend on the number of clouds, so there a block
    holds all clouds, with all queries or `compiled_rows` of them.

    Returns a list for each batch of clouds, with an item for each block of their queries.
    """
    if torch.compiler.is_compiling():
        blocks = [queries] if compiled_rows is None else queries.split(compiled_rows, dim=1)
        return [[reduce(pairwise_squared_distance(rows, points)) for rows in blocks]]
    queries, points = _coordinate_planes(queries, points)
    (num_clouds, num_queries), num_points = queries.shape[1:], points.shape[2]
    max_pairs = CPU_PAIRS_PER_BLOCK if queries.device.type == "cpu" else MAX_PAIRS_PER_BLOCK
    num_rows = max(1, max_pairs // num_points)
    clouds_at_a_time = max(1, num_rows // max(1, num_queries))
    pairs_per_block = min(clouds_at_a_time, num_clouds) * min(num_rows, num_queries) * num_points
    workspace = [points.new_empty(pairs_per_block) for _ in range(2)]
    clouds = zip(queries.split(clouds_at_a_time, dim=1), points.split(clouds_at_a_time, dim=1), strict=True)
    return [
        [reduce(_squared_distance(rows, some_points, workspace)) for rows in some_queries.split(num_rows, dim=2)]
        for some_queries, some_points in clouds
    ]


def _choose_by_distance(queries: Tensor, points: Tensor, choose: Callable[[Tensor], Tensor]) -> Tensor:
    """Rows of `points` that a function of the distance matrix chooses for each query."""
    return _join([_join(blocks, dim=1) for blocks in _reduce_distances(queries, points, choose)], dim=0)


def _join(blocks: Sequence[Tensor], dim: int) -> Tensor:
    """Concatenate blocks; a single one needs no copy."""
    return blocks[0] if len(blocks) == 1 else torch.cat(list(blocks), dim=dim)


def k_nearest_neighbors(queries: Tensor, points: Tensor, num_neighbors: int, is_valid: Tensor | None = None) -> Tensor:
    """Find the nearest points of each query, nearest first.

    Args:
        queries (`torch.Tensor` of shape `(batch_size, num_queries, 3)`):
            Coordinates.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates in the same frame.
        num_neighbors (`int`):
            Number of neighbors of each query, at most `num_points`.
        is_valid (`torch.BoolTensor` of shape `(batch_size, num_points)`, *optional*):
            Points that may be neighbors. If a cloud has fewer than `num_neighbors` of them, the nearest one is
            repeated; the neighbors in a cloud without any are undefined.

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
    """Gather rows of each sample's values.

    Args:
        values (`torch.Tensor` of shape `(batch_size, num_points, num_features)`):
            Coordinates, features or tokens.
        indices (`torch.LongTensor` of shape `(batch_size, ...)`):
            Rows of `values`.

    Returns:
        `torch.Tensor` of shape `(batch_size, ..., num_features)`: `values[b, indices[b]]` for each sample `b`.
    """
    batch_size, num_points, num_features = values.shape
    # A range with a step of `num_points` would do too, but its length would guard the batch size of exported graphs.
    clouds = torch.arange(batch_size, device=indices.device)
    rows = torch.add(indices.reshape(batch_size, -1), clouds[:, None], alpha=num_points)
    gathered = values.reshape(-1, num_features).index_select(0, rows.reshape(-1))
    return gathered.reshape(*indices.shape, num_features)


def group_points(points: Tensor, centers: Tensor, group_size: int, is_valid: Tensor | None = None) -> Tensor:
    """Group the nearest points of each center, relative to it.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates.
        centers (`torch.Tensor` of shape `(batch_size, num_groups, 3)`):
            Group centers in the same frame.
        group_size (`int`):
            Number of points of each group.
        is_valid (`torch.BoolTensor` of shape `(batch_size, num_points)`, *optional*):
            Points that may be grouped, as in [`k_nearest_neighbors`].

    Returns:
        `torch.Tensor` of shape `(batch_size, num_groups, group_size, 3)`: Offsets from the center, nearest first.
    """
    indices = k_nearest_neighbors(centers, points, group_size, is_valid)
    return gather_points(points, indices) - centers[:, :, None]


def nearest_center_is_visible(points: Tensor, centers: Tensor, mask: Tensor) -> Tensor:
    """Find the points whose nearest center is visible.

    Source: the multi-scale masking of Point-M2AE with static shapes, see `docs/paper_to_code.md`.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates.
        centers (`torch.Tensor` of shape `(batch_size, num_groups, 3)`):
            Group centers in the same frame.
        mask (`torch.BoolTensor` of shape `(batch_size, num_groups)`):
            True where the token of a center is hidden.

    Returns:
        `torch.BoolTensor` of shape `(batch_size, num_points)`: True where the nearest center is visible.
    """
    nearest = _choose_by_distance(points, centers, lambda distance: distance.min(dim=-1).indices)
    return ~mask.gather(1, nearest)


def interpolate_features(queries: Tensor, points: Tensor, features: Tensor, num_neighbors: int = 3) -> Tensor:
    """Interpolate features of points at queries, weighted by inverse squared distance.

    Source: feature propagation of PointNet++, Sec. 3.4, with the weights of Point-MAE's segmentation head.

    Args:
        queries (`torch.Tensor` of shape `(batch_size, num_queries, 3)`):
            Coordinates.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates in the same frame.
        features (`torch.Tensor` of shape `(batch_size, num_points, num_features)`):
            Features of `points`.
        num_neighbors (`int`, *optional*, defaults to 3):
            Number of points that each query is interpolated from.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_queries, num_features)`: Features in the dtype of `features`.
    """
    indices = k_nearest_neighbors(queries, points, min(num_neighbors, points.shape[1]))
    offsets = gather_points(points, indices) - queries[:, :, None]
    # In proportion to Point-MAE's `1 / (squared_distance + 1e-8)`; optimizers of ONNX graphs drop so small a term.
    weights = 1 / (1e8 * (offsets * offsets).sum(dim=-1, keepdim=True) + 1)
    weights = (weights / weights.sum(dim=2, keepdim=True)).to(features.dtype)
    return (gather_points(features, indices) * weights).sum(dim=2)


def _nearest_both_ways(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Nearest target of each source and nearest source of each target, in memory linear in their number."""

    def reduce(distance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return distance.min(dim=2).indices, *distance.min(dim=1)

    to_target, to_source = [], []
    for blocks in _reduce_distances(source, target, reduce, COMPILED_ROWS_PER_BLOCK):
        forward, smallest, backward = zip(*blocks, strict=True)
        to_target.append(_join(forward, dim=1))
        if len(backward) == 1:
            to_source.append(backward[0])
            continue
        first_rows = itertools.accumulate((block.shape[1] for block in forward[:-1]), initial=0)
        best_block = torch.stack(smallest).min(dim=0, keepdim=True).indices
        rows = torch.stack([block + first for block, first in zip(backward, first_rows, strict=True)])
        to_source.append(rows.gather(0, best_block)[0])
    return _join(to_target, dim=0), _join(to_source, dim=0)


def chamfer_distance(source: Tensor, target: Tensor) -> Tensor:
    """Compute the Chamfer distance with squared Euclidean distances, averaged over the points of each set.

    `mean_s min_t |s - t|^2 + mean_t min_s |s - t|^2`. The nearest points are found without gradient and the distances
    to them computed again, which gives exact values and gradients without a square root. Source: Joint-MAE Eq. 5, after
    Fan et al. 2017, in the form of Point-MAE (`chamfer_dist`, L2).

    Args:
        source (`torch.Tensor` of shape `(batch_size, num_source, 3)`):
            Coordinates.
        target (`torch.Tensor` of shape `(batch_size, num_target, 3)`):
            Coordinates in the same frame.

    Returns:
        `torch.Tensor` of shape `(batch_size,)`: Distance of each pair of sets, at least float32.

    Raises:
        ValueError: If one of the sets is empty, or the shapes do not match.

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
    """Return the centroid of a cloud and the largest distance from it.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`: Centroid `(batch_size, 1, 3)` and radius `(batch_size, 1, 1)`. The radius
        of a cloud whose points all coincide is 1, so that dividing by it leaves the points at the origin.
    """
    center = points.mean(dim=1, keepdim=True)
    squared_radius = (points - center).square().sum(dim=-1, keepdim=True).amax(dim=1, keepdim=True)
    # If all points coincide, what remains after subtracting their mean is rounding error.
    rounding = 16 * torch.finfo(points.dtype).eps * points.abs().amax(dim=(1, 2), keepdim=True)
    has_no_extent = squared_radius.detach().sqrt() <= rounding
    # The root comes last: at zero its slope is infinite.
    return center, squared_radius.masked_fill(has_no_extent, 1).sqrt()
