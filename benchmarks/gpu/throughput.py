"""Pre-training steps in bfloat16, eager and compiled, at one batch: rate, share of the floor, memory, time by kernel."""

import functools
import itertools
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from benchmarks.bm_training_step import build, count_compilations, record_products, training_step
from benchmarks.measurement import measure_in_turns, repeat_calls
from benchmarks.operator_shares import operator_times, shares_by_kind

from .memory import peak_memory
from .rates import Rates
from .sizes import GpuSizes, find_device


PARAMETER_PASSES = 7
"""AdamW reads a parameter, its gradient and two moments, and writes all but the gradient."""


def compiled_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, points: torch.Tensor, backend: str
) -> Callable[[], int]:
    """Compile a training step for one batch and run it until nothing is compiled any more.

    Raises:
        RuntimeError: If three more steps compile anything again.
    """
    step = functools.partial(training_step, torch.compile(model, backend=backend, dynamic=False), optimizer, points)
    for _ in range(2):
        step()
    if count_compilations(step):
        raise RuntimeError("the compiled step must not be compiled again, got new graphs after the first steps")
    return step


def floor_of_step(sizes: GpuSizes, rates: Rates) -> dict[str, float]:
    """What a cloud costs at least: its matrix products at the measured rates, and the optimizer's traffic.

    Args:
        sizes ([`GpuSizes`]):
            Products are recorded at the smallest batch.
        rates ([`Rates`]):
            Of this machine.

    Returns:
        `dict[str, float]`: `flops` and `bytes` of a cloud, `optimizer_bytes` of a step, and `seconds` of a cloud.
    """
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
    """Measure one batch size.

    Args:
        sizes ([`GpuSizes`]):
            Sizes of the benchmark.
        rates ([`Rates`]):
            Of this machine.
        batch_size (`int`):
            Clouds of a step.

    Returns:
        `dict[str, Any]`: `measurements`, eager first; `floor` of a cloud; `share_of_floor` of the compiled step;
        `peak_gib`; `shares` by kind and the slowest `kernels` in milliseconds, of one compiled step.
    """
    device, floor = find_device(), floor_of_step(sizes, rates)
    model, optimizer, points = build(sizes.step_sizes(batch_size), device)
    eager = functools.partial(training_step, model, optimizer, points)
    steps = {"eager": eager, "compiled": compiled_step(model, optimizer, points, sizes.compile_backend)}
    candidates = {name: repeat_calls(step, device, batch_size, sizes.num_calls) for name, step in steps.items()}
    measured = measure_in_turns(candidates, f"clouds/s, batch {batch_size}", sizes.num_rounds)
    floor_seconds = batch_size * floor["seconds"] + rates.floor(0, floor["optimizer_bytes"])
    times = operator_times(steps["compiled"])
    return {
        "measurements": [asdict(measurement) for measurement in measured],
        "floor": floor,
        "floor_clouds_per_second": batch_size / floor_seconds,
        "share_of_floor": statistics.median(measured[-1].rates) * floor_seconds / batch_size,
        "peak_gib": {name: peak_memory(step) for name, step in steps.items()},
        "shares": shares_by_kind(times),
        "kernels": dict(itertools.islice(times.items(), 25)),
    }
