"""Pre-training steps in bfloat16, eager and compiled: rate, share of the floor, memory and time by kernel."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.bm_training_step import build, count_compilations, record_products, training_step
from benchmarks.operator_shares import operator_times, shares_by_kind

from .batches import compare_with_floor, measure_batch
from .memory import peak_memory
from .rates import Rates
from .sizes import GpuSizes, find_device


PARAMETER_PASSES = 7
"""AdamW reads a parameter, its gradient and two moments, and writes all but the gradient."""


def compiled_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, points: torch.Tensor, backend: str
) -> Callable[[], int]:
    """Compile a training step for one batch and warm it up; raise if three more steps compile again."""
    step = functools.partial(training_step, torch.compile(model, backend=backend, dynamic=False), optimizer, points)
    for _ in range(2):
        step()
    if count_compilations(step):
        raise RuntimeError("the compiled step must not be compiled again, got new graphs after the first steps")
    return step


def floor_of_step(sizes: GpuSizes, rates: Rates) -> dict[str, float]:
    """Return the cost of the matrix products of a cloud at the measured rates, and the optimizer traffic of a step."""
    model, _, points = build(sizes.step_sizes(sizes.batch_sizes[0]), find_device())
    products = record_products(model, points)
    num_flops, num_bytes = products.num_flops / len(points), products.num_bytes / len(points)
    parameters = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return {
        "flops": num_flops,
        "bytes": num_bytes,
        "optimizer_bytes": float(PARAMETER_PASSES * parameters),
        "seconds": rates.floor(num_flops, num_bytes),
    }


def measure(sizes: GpuSizes, rates: Rates, batch_size: int) -> dict[str, Any]:
    """Measure one batch size, eager first; add the floor, peak memory and the time by kernel of a compiled step."""
    floor = floor_of_step(sizes, rates)
    model, optimizer, points = build(sizes.step_sizes(batch_size), find_device())
    eager = functools.partial(training_step, model, optimizer, points)
    steps = {"eager": eager, "compiled": compiled_step(model, optimizer, points, sizes.compile_backend)}
    measured = measure_batch(steps, sizes, batch_size)
    seconds_per_cloud = floor["seconds"] + rates.floor(0, floor["optimizer_bytes"]) / batch_size
    times = operator_times(steps["compiled"])
    return {
        **compare_with_floor(measured, seconds_per_cloud),
        "floor": floor,
        "peak_gib": {name: peak_memory(step) for name, step in steps.items()},
        "shares": shares_by_kind(times),
        "kernels": dict(itertools.islice(times.items(), 25)),
    }
