"""Measured rates of matrix products and copies on this machine, and the floor that follows from them."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.measurement import measure_in_turns, repeat_calls

from .batches import Record
from .sizes import GpuSizes, find_device


@dataclass(frozen=True)
class Rates:
    """Hold the median rates of the machine.

    Args:
        bfloat16_flops (`float`):
            Floating-point operations per second of a square matrix product.
        float32_flops (`float`):
            The same in float32, without TF32.
        bytes_per_second (`float`):
            Bytes read and written per second by a large copy.
    """

    bfloat16_flops: float
    float32_flops: float
    bytes_per_second: float

    def floor(self, num_flops: float, num_bytes: float) -> float:
        """Return the seconds for bfloat16 matrix products and memory traffic, one after the other."""
        return num_flops / self.bfloat16_flops + num_bytes / self.bytes_per_second

    def instruction_floor(self, num_instructions: float) -> float:
        """Return the seconds to issue float32 instructions; a multiply-add is one and counts as two operations."""
        return num_instructions / (self.float32_flops / 2)


def _product(size: int, dtype: torch.dtype, device: torch.device) -> Callable[[], Any]:
    """Return a square matrix product into preallocated memory."""
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))
    result = torch.empty_like(left)
    return lambda: torch.matmul(left, right, out=result)


def measure(sizes: GpuSizes, record: Record) -> Rates:
    """Measure the rates one after the other, in float32 without TF32, the default of torch."""
    device, size = find_device(), sizes.matrix_size
    source = torch.randn(sizes.copy_bytes // 4, device=device)
    target = torch.empty_like(source)
    functions = {
        "bfloat16_flops": (_product(size, torch.bfloat16, device), 2 * size**3),
        "bytes_per_second": (lambda: target.copy_(source), 2 * sizes.copy_bytes),
        "float32_flops": (_product(size, torch.float32, device), 2 * size**3),
    }
    medians = {}
    for name, (function, units) in functions.items():
        candidate = repeat_calls(function, device, units, sizes.num_calls)
        (measured,) = measure_in_turns({name: candidate}, "units/s", sizes.num_rounds)
        medians[name] = statistics.median(measured.rates)
        record(name, medians[name])
    return Rates(**medians)
