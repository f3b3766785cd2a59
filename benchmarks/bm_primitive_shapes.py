"""Compositions of primitives on one core, in batches of a loader and one by one.

    python -m benchmarks.bm_primitive_shapes

One thread, as in a worker of a `DataLoader`, with freed memory kept as in the scripts (`disable_malloc_trim`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import torch

from jointmae_hf.data import compose_shapes
from jointmae_hf.training import disable_malloc_trim

from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    batch_size: int = 64
    num_points: int = 2048
    num_shapes: int = 1024
    num_rounds: int = 7


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, batches first; every round generates other shapes."""
    disable_malloc_trim()
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    starts = count(0, sizes.num_shapes)

    def generate(batch_size: int, num_shapes: int) -> int:
        for index in (next(starts) + torch.arange(num_shapes)).split(batch_size):
            compose_shapes(0, index, sizes.num_points)
        return num_shapes

    candidates = {
        f"batches of {sizes.batch_size}": lambda: generate(sizes.batch_size, sizes.num_shapes),
        "batches of 16": lambda: generate(16, sizes.num_shapes),
        "one by one": lambda: generate(1, max(1, sizes.num_shapes // 16)),
    }
    try:
        return measure_in_turns(candidates, "shapes/s", sizes.num_rounds)
    finally:
        torch.set_num_threads(num_threads)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("primitive_shapes", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
