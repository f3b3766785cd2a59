"""Nearest neighbors of the fine centers: ours, eager and compiled, compared with forms that use a matrix product."""

import functools
from typing import Any

import torch

from benchmarks.bm_neighbors import by_cdist, by_expanded_form
from benchmarks.clouds import make_clouds
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points, k_nearest_neighbors

from .batches import compare_with_floor, measure_batch
from .rates import Rates
from .sizes import GpuSizes, find_device


NUM_NEIGHBORS = 16


def measure_searches(sizes: GpuSizes, rates: Rates, batch_size: int) -> dict[str, Any]:
    """Measure one batch, `torch.cdist` first; the floor writes and reads all distances once."""
    points = make_clouds(batch_size, sizes.num_points).to(find_device())
    queries = gather_points(points, farthest_point_sample(points, sizes.num_samples))
    searches = {
        "cdist, topk": by_cdist,
        "expanded form, topk": by_expanded_form,
        "`k_nearest_neighbors`": k_nearest_neighbors,
        "`k_nearest_neighbors`, compiled": torch.compile(
            k_nearest_neighbors, backend=sizes.compile_backend, dynamic=False
        ),
    }
    functions = {name: functools.partial(search, queries, points, NUM_NEIGHBORS) for name, search in searches.items()}
    measured = measure_batch(functions, sizes, batch_size)
    return compare_with_floor(measured, rates.floor(0, 2 * 4 * sizes.num_samples * sizes.num_points))


def measure(sizes: GpuSizes, rates: Rates) -> dict[str, Any]:
    """Measure the smallest and the largest batch."""
    return {"batches": [measure_searches(sizes, rates, batch_size) for batch_size in sizes.extreme_batch_sizes]}
