"""Farthest point sampling as one custom operator: a loop in PyTorch, and a Triton kernel on CUDA."""

import functools
import importlib
import importlib.util
import itertools
from typing import Any

import torch
from torch import Tensor


MAX_POINTS_PER_PROGRAM = 16384
"""Size of the largest cloud that one Triton program keeps in registers; larger clouds use the loop."""


def farthest_start_index(points: Tensor) -> Tensor:
    """Return the index of the point farthest from the centroid, whatever the order of points unless distances tie.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates, in any unit.

    Returns:
        `torch.LongTensor` of shape `(batch_size,)`: Row of `points`; the first of several equally far points.
    """
    offsets = points - points.mean(dim=1, keepdim=True)
    return (offsets * offsets).sum(dim=-1).argmax(dim=1)


def farthest_point_sample(points: Tensor, num_samples: int, start_index: Tensor | None = None) -> Tensor:
    """Pick points one by one, each the farthest from all previous picks.

    The first `k` picks are those of a call with `num_samples=k`, so the coarse scale of Sec. 3.1 is a prefix of the
    fine one. Runs in float32 (float64 stays float64), also under autocast. Source: PointNet++, Sec. 3.2.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Coordinates, in any unit.
        num_samples (`int`):
            Number of points to pick, at most `num_points`.
        start_index (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
            First pick, a row of `points`. By default the point farthest from the centroid. pointnet2 and Point-MAE
            start at row 0.

    Returns:
        `torch.LongTensor` of shape `(batch_size, num_samples)`: Rows of `points` in picking order, distinct if
        the cloud has that many distinct points.

    Raises:
        ValueError: If `points` is not `(batch_size, num_points, 3)`, or `num_samples` is not in `[1, num_points]`.

    Example:
        >>> line = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [10.0, 0, 0], [4.0, 0, 0]]])
        >>> farthest_point_sample(line, 3).tolist()
        [[2, 0, 3]]
    """
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"`points` must have shape (batch_size, num_points, 3), got {tuple(points.shape)}.")
    if not 1 <= num_samples <= points.shape[1]:
        raise ValueError(f"`num_samples` must be in [1, num_points], got {num_samples} for {points.shape[1]} points.")
    points = points.detach().to(torch.promote_types(points.dtype, torch.float32))
    if start_index is None:
        start_index = farthest_start_index(points)
    return torch.ops.jointmae.farthest_point_sample(points, num_samples, start_index)


def _sample_with_loop(points: Tensor, num_samples: int, start_index: Tensor) -> Tensor:
    """Textbook algorithm on separate x, y and z planes, in place: one pass over the cloud for each pick."""
    planes = points.movedim(-1, 0).contiguous()  # (3, batch_size, num_points)
    x, y, z = planes.unbind(dim=0)
    nearest, offset, distance = torch.full_like(x, torch.inf), torch.empty_like(x), torch.empty_like(x)
    indices = torch.empty(num_samples, points.shape[0], 1, dtype=torch.long, device=points.device)
    indices[0] = start_index.view(-1, 1)
    for current, following in itertools.pairwise(indices.unbind(dim=0)):
        picked_x, picked_y, picked_z = planes.gather(2, current.expand(3, -1, -1)).unbind(dim=0)
        torch.sub(x, picked_x, out=offset)
        torch.mul(offset, offset, out=distance)
        torch.sub(y, picked_y, out=offset)
        distance.addcmul_(offset, offset)
        torch.sub(z, picked_z, out=offset)
        distance.addcmul_(offset, offset)
        torch.minimum(nearest, distance, out=nearest)
        torch.argmax(nearest, dim=1, keepdim=True, out=following)
    return indices[..., 0].T.contiguous()


@functools.cache
def _triton_kernel() -> Any:
    """Triton kernel, compiled at its first use: Triton comes only with CUDA builds of torch."""
    triton = importlib.import_module("triton")
    tl = importlib.import_module("triton.language")

    @triton.jit
    def sample_cloud(points_ptr, start_ptr, indices_ptr, num_points, num_samples, block_size: tl.constexpr):  # type: ignore[no-untyped-def, name-defined]
        # One program holds one cloud and its running distances in registers for all picks.
        cloud = tl.program_id(0).to(tl.int64)
        rows = tl.arange(0, block_size)
        is_inside = rows < num_points
        cloud_ptr = points_ptr + cloud * num_points * 3
        x = tl.load(cloud_ptr + rows * 3, mask=is_inside, other=0.0)
        y = tl.load(cloud_ptr + rows * 3 + 1, mask=is_inside, other=0.0)
        z = tl.load(cloud_ptr + rows * 3 + 2, mask=is_inside, other=0.0)
        nearest = tl.where(is_inside, float("inf"), -1.0)
        current = tl.load(start_ptr + cloud)
        for sample in range(num_samples):
            tl.store(indices_ptr + cloud * num_samples + sample, current)
            offset_x = x - tl.load(cloud_ptr + current * 3)
            offset_y = y - tl.load(cloud_ptr + current * 3 + 1)
            offset_z = z - tl.load(cloud_ptr + current * 3 + 2)
            distance = offset_x * offset_x + offset_y * offset_y + offset_z * offset_z
            nearest = tl.minimum(nearest, distance)
            current = tl.argmax(nearest, axis=0).to(tl.int64)

    return sample_cloud


def _sample_with_triton(points: Tensor, num_samples: int, start_index: Tensor) -> Tensor:
    """Run one Triton program for each cloud."""
    batch_size, num_points, _ = points.shape
    indices = torch.empty(batch_size, num_samples, dtype=torch.long, device=points.device)
    block_size = 1 << max(num_points - 1, 1).bit_length()
    num_warps = 8 if batch_size <= 132 else 4  # latency-bound below one program for each multiprocessor
    _triton_kernel()[(batch_size,)](
        points.contiguous(),
        start_index.to(torch.long).contiguous(),
        indices,
        num_points,
        num_samples,
        block_size=block_size,
        num_warps=num_warps,
    )
    return indices


@torch.library.custom_op("jointmae::farthest_point_sample", mutates_args=())
def _farthest_point_sample(points: Tensor, num_samples: int, start_index: Tensor) -> Tensor:
    """Choose the implementation. The operator is opaque to compilers, which would unroll the loop over picks."""
    is_float32_on_cuda = points.is_cuda and points.dtype == torch.float32
    if is_float32_on_cuda and points.shape[1] <= MAX_POINTS_PER_PROGRAM and importlib.util.find_spec("triton"):
        return _sample_with_triton(points, num_samples, start_index)
    return _sample_with_loop(points, num_samples, start_index)


@_farthest_point_sample.register_fake
def _(points: Tensor, num_samples: int, start_index: Tensor) -> Tensor:
    return points.new_empty((points.shape[0], num_samples), dtype=torch.long)
