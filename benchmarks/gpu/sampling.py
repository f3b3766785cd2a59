"""Farthest point sampling: the kernel against both loops and against the time that its instructions need."""

import statistics
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.bm_farthest_point_sampling import sample_by_the_textbook
from benchmarks.clouds import make_clouds
from benchmarks.measurement import measure_in_turns, repeat_calls
from jointmae_hf.model.farthest_point_sampling import _sample_with_loop, farthest_point_sample

from .rates import Rates
from .sizes import GpuSizes, find_device


INSTRUCTIONS_PER_POINT = 8
"""Of each pick: three differences, a product, two multiply-adds, the minimum and the comparison of the maximum."""


def measure_batch(sizes: GpuSizes, rates: Rates, batch_size: int) -> dict[str, Any]:
    """Measure one batch; float64 on the processor is the judge of the picks.

    Args:
        sizes ([`GpuSizes`]):
            Sizes of the benchmark.
        rates ([`Rates`]):
            Of this machine.
        batch_size (`int`):
            Clouds.

    Returns:
        `dict[str, Any]`: `measurements` with the textbook first, `floor_clouds_per_second`, `share_of_floor`.

    Raises:
        RuntimeError: If a candidate picks other points than float64 does.
    """
    device, num_samples = find_device(), sizes.num_samples
    points = make_clouds(batch_size, sizes.num_points)
    start = torch.zeros(batch_size, dtype=torch.long)
    expected = farthest_point_sample(points.double(), num_samples, start).to(device)
    points, start = points.to(device), start.to(device)
    samplers = {
        "textbook loop": lambda: sample_by_the_textbook(points, num_samples),
        "loop in place": lambda: _sample_with_loop(points, num_samples, start),
        "`farthest_point_sample`": lambda: farthest_point_sample(points, num_samples, start),
    }
    for name, sampler in samplers.items():
        if not torch.equal(sampler(), expected):
            raise RuntimeError(f"{name} picks other points than float64 at batch {batch_size}")
    candidates = {name: repeat_calls(sampler, device, batch_size, 1) for name, sampler in samplers.items()}
    ours = "`farthest_point_sample`"
    candidates[ours] = repeat_calls(samplers[ours], device, batch_size, sizes.num_calls)
    measured = measure_in_turns(candidates, f"clouds/s, batch {batch_size}", sizes.num_rounds)
    instructions = INSTRUCTIONS_PER_POINT * sizes.num_points * num_samples
    floor = 1 / rates.instruction_floor(instructions)
    return {
        "measurements": [asdict(measurement) for measurement in measured],
        "floor_clouds_per_second": floor,
        "share_of_floor": statistics.median(measured[-1].rates) / floor,
    }


def measure(sizes: GpuSizes, rates: Rates) -> dict[str, Any]:
    """Measure the smallest and the largest batch."""
    batch_sizes = (sizes.batch_sizes[0], sizes.batch_sizes[-1])
    return {"batches": [measure_batch(sizes, rates, batch_size) for batch_size in batch_sizes]}
