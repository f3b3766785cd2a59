"""Nearest neighbours of the fine centres: ours, eager and compiled, against forms with a matrix product."""

import statistics
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.bm_neighbors import by_cdist, by_expanded_form
from benchmarks.clouds import make_clouds
from benchmarks.measurement import measure_in_turns, repeat_calls
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points, k_nearest_neighbors

from .rates import Rates
from .sizes import GpuSizes, find_device


NUM_NEIGHBORS = 16


def measure_batch(sizes: GpuSizes, rates: Rates, batch_size: int) -> dict[str, Any]:
    """Measure one batch.

    Args:
        sizes ([`GpuSizes`]):
            Sizes of the benchmark.
        rates ([`Rates`]):
            Of this machine.
        batch_size (`int`):
            Clouds.

    Returns:
        `dict[str, Any]`: `measurements` with `torch.cdist` first; `floor_clouds_per_second`, if the distances were
        written and read once; `share_of_floor` of the compiled form.
    """
    device = find_device()
    points = make_clouds(batch_size, sizes.num_points).to(device)
    queries = gather_points(points, farthest_point_sample(points, sizes.num_samples))
    compiled = torch.compile(k_nearest_neighbors, backend=sizes.compile_backend, dynamic=False)
    searches = {
        "cdist, topk": by_cdist,
        "expanded form, topk": by_expanded_form,
        "`k_nearest_neighbors`": k_nearest_neighbors,
        "`k_nearest_neighbors`, compiled": compiled,
    }
    candidates = {
        name: repeat_calls(
            lambda search=search: search(queries, points, NUM_NEIGHBORS), device, batch_size, sizes.num_calls
        )
        for name, search in searches.items()
    }
    measured = measure_in_turns(candidates, f"clouds/s, batch {batch_size}", sizes.num_rounds)
    floor = 1 / rates.floor(0, 2 * 4 * sizes.num_samples * sizes.num_points)
    return {
        "measurements": [asdict(measurement) for measurement in measured],
        "floor_clouds_per_second": floor,
        "share_of_floor": statistics.median(measured[-1].rates) / floor,
    }


def measure(sizes: GpuSizes, rates: Rates) -> dict[str, Any]:
    """Measure the smallest and the largest batch."""
    batch_sizes = (sizes.batch_sizes[0], sizes.batch_sizes[-1])
    return {"batches": [measure_batch(sizes, rates, batch_size) for batch_size in batch_sizes]}
