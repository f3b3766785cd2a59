"""Farthest point sampling, compared with the textbook loop.

    python -m benchmarks.bm_farthest_point_sampling

Before timing, the picks of all candidates are compared with float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points

from .clouds import make_clouds
from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    batch_size: int = 32
    num_points: int = 2048
    num_samples: int = 256
    num_rounds: int = 7


def sample_by_the_textbook(points: Tensor, num_samples: int) -> Tensor:
    """Sample as PointNet++ is usually written in PyTorch, starting at the first point."""
    batch_size, num_points, _ = points.shape
    device = points.device
    indices = torch.zeros(batch_size, num_samples, dtype=torch.long, device=device)
    nearest = torch.full((batch_size, num_points), torch.inf, dtype=points.dtype, device=device)
    current, batch = indices[:, 0].clone(), torch.arange(batch_size, device=device)
    for sample in range(num_samples):
        indices[:, sample] = current
        center = points[batch, current][:, None]
        distance = ((points - center) ** 2).sum(dim=-1)
        is_nearer = distance < nearest
        nearest[is_nearer] = distance[is_nearer]
        current = nearest.max(dim=-1).indices
    return indices


def sample_both_scales_apart(points: Tensor, num_samples: int, start: Tensor) -> Tensor:
    """Sample both scales as peers do, the coarse one again from the fine centers."""
    indices = farthest_point_sample(points, num_samples, start)
    return farthest_point_sample(gather_points(points, indices), num_samples // 4, torch.zeros_like(start))


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, the textbook loop first; raise if one picks other points than float64."""
    points = make_clouds(sizes.batch_size, sizes.num_points)
    start = torch.zeros(sizes.batch_size, dtype=torch.long)
    expected = farthest_point_sample(points.double(), sizes.num_samples, start)
    samplers = {
        "textbook loop": lambda: sample_by_the_textbook(points, sizes.num_samples),
        "`farthest_point_sample`, both scales": lambda: farthest_point_sample(points, sizes.num_samples, start),
    }
    for name, sampler in samplers.items():
        if not torch.equal(sampler(), expected):
            raise RuntimeError(f"{name} picks other points than float64")
    samplers["`farthest_point_sample`, once for each scale"] = lambda: sample_both_scales_apart(
        points, sizes.num_samples, start
    )
    candidates = {name: lambda sampler=sampler: len(sampler()) for name, sampler in samplers.items()}
    return measure_in_turns(candidates, "clouds/s", sizes.num_rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("farthest_point_sampling", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
