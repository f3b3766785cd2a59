"""Nearest neighbors of the fine centers: exact without a matrix product, compared with forms that use one.

    python -m benchmarks.bm_neighbors

`torch.cdist` and the expanded form `|q|^2 - 2 q.p + |p|^2` use a matrix product, which loses precision under TF32 and
autocast; `docs/performance.md` shows how many neighbors change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points, k_nearest_neighbors

from .clouds import make_clouds
from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    batch_size: int = 32
    num_points: int = 2048
    num_queries: int = 256
    num_neighbors: int = 16
    num_rounds: int = 7


def by_cdist(queries: Tensor, points: Tensor, num_neighbors: int) -> Tensor:
    """Find neighbors by `torch.cdist`, which uses a matrix product for large inputs."""
    return torch.cdist(queries, points).topk(num_neighbors, largest=False).indices


def by_exact_cdist(queries: Tensor, points: Tensor, num_neighbors: int) -> Tensor:
    """Find neighbors by `torch.cdist` without a matrix product."""
    distance = torch.cdist(queries, points, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(num_neighbors, largest=False).indices


def by_expanded_form(queries: Tensor, points: Tensor, num_neighbors: int) -> Tensor:
    """Find neighbors by `|p|^2 - 2 q.p`, which orders points as distances do."""
    distance = torch.baddbmm(points.square().sum(dim=-1)[:, None], queries, points.mT, alpha=-2)
    return distance.topk(num_neighbors, largest=False).indices


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, `torch.cdist` first."""
    points = make_clouds(sizes.batch_size, sizes.num_points)
    queries = gather_points(points, farthest_point_sample(points, sizes.num_queries))
    compiled = torch.compile(k_nearest_neighbors, dynamic=False)
    searches = {
        "cdist, topk": by_cdist,
        "cdist without matrix product, topk": by_exact_cdist,
        "expanded form, topk": by_expanded_form,
        "`k_nearest_neighbors`": k_nearest_neighbors,
        "`k_nearest_neighbors`, compiled": compiled,
    }
    candidates = {
        name: lambda search=search: len(search(queries, points, sizes.num_neighbors))
        for name, search in searches.items()
    }
    return measure_in_turns(candidates, "clouds/s", sizes.num_rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("neighbors", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
