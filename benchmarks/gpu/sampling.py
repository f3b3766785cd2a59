"""Farthest point sampling: the kernel compared with both loops and with the time to issue its instructions."""

import torch

from benchmarks.bm_farthest_point_sampling import sample_by_the_textbook
from benchmarks.clouds import make_clouds
from jointmae_hf.model.farthest_point_sampling import _sample_with_loop, farthest_point_sample

from .batches import Record, measure_batch
from .rates import Rates
from .sizes import GpuSizes, find_device


INSTRUCTIONS_PER_POINT = 8
"""Per pick: three differences, a product, two multiply-adds, the minimum and the comparison of the maximum."""


def measure_samplers(sizes: GpuSizes, record: Record, rates: Rates | None, batch_size: int) -> None:
    """Measure one batch, the textbook loop first; raise if a candidate picks other points than float64 on the CPU."""
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
    instructions = INSTRUCTIONS_PER_POINT * sizes.num_points * num_samples
    floor = rates.instruction_floor(instructions) if rates else None
    measure_batch(samplers, sizes, batch_size, record, ("textbook loop", "loop in place"), floor)


def measure(sizes: GpuSizes, record: Record, rates: Rates | None) -> None:
    """Measure the smallest and the largest batch."""
    for batch_size in sizes.extreme_batch_sizes:
        measure_samplers(sizes, record, rates, batch_size)
