"""Nearest neighbors of the fine centers: ours, eager or compiled, compared with forms that use a matrix product."""

import functools

import torch

from benchmarks.bm_neighbors import by_cdist, by_expanded_form
from benchmarks.clouds import make_clouds
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points, k_nearest_neighbors

from .batches import Record, measure_batch
from .rates import Rates
from .sizes import GpuSizes, find_device


NUM_NEIGHBORS = 16


def measure_searches(sizes: GpuSizes, record: Record, rates: Rates | None, batch_size: int, is_compiled: bool) -> None:
    """Measure one batch, `torch.cdist` first; the floor writes and reads all distances once."""
    points = make_clouds(batch_size, sizes.num_points).to(find_device())
    queries = gather_points(points, farthest_point_sample(points, sizes.num_samples))
    searches = {
        "cdist, topk": by_cdist,
        "expanded form, topk": by_expanded_form,
        "`k_nearest_neighbors`": k_nearest_neighbors,
    }
    if is_compiled:
        compiled = torch.compile(k_nearest_neighbors, backend=sizes.compile_backend, dynamic=False)
        searches["`k_nearest_neighbors`, compiled"] = compiled
    functions = {name: functools.partial(search, queries, points, NUM_NEIGHBORS) for name, search in searches.items()}
    floor = rates.floor(0, 2 * 4 * sizes.num_samples * sizes.num_points) if rates else None
    measure_batch(functions, sizes, batch_size, record, seconds_per_cloud=floor)


def measure(sizes: GpuSizes, record: Record, rates: Rates | None, is_compiled: bool = False) -> None:
    """Measure the smallest and the largest batch."""
    for batch_size in sizes.extreme_batch_sizes:
        measure_searches(sizes, record, rates, batch_size, is_compiled)
