"""Pre-training steps in bfloat16, eager and compiled: rate, share of the floor, memory and time by kernel."""

import functools
import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.bm_training_step import build, count_compilations, record_products, training_step
from benchmarks.operator_shares import operator_times, shares_by_kind
from jointmae_hf.training.compilation import compile_regions

from .batches import Record, measure_batch
from .memory import peak_memory
from .rates import Rates
from .sizes import GpuSizes, find_device


PARAMETER_PASSES = 7
"""AdamW reads a parameter, its gradient and two moments, and writes all but the gradient."""


def compile_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, points: torch.Tensor, backend: str, record: Record
) -> Callable[[], int]:
    """Compile a training step as the trainer does, record its compile time; raise if later steps compile again."""
    step = functools.partial(training_step, compile_regions(model, backend), optimizer, points)
    start = time.perf_counter()
    step()
    record("compile_seconds", time.perf_counter() - start)
    step()
    num_compilations = count_compilations(step)
    record("recompilations", num_compilations)
    if num_compilations:
        raise RuntimeError("the compiled step must not be compiled again, got new graphs after the first steps")
    return step


def floor_of_step(sizes: GpuSizes, rates: Rates, preset: str) -> dict[str, float]:
    """Return the cost of the matrix products of a cloud at the measured rates, and the optimizer traffic of a step."""
    model, _, points = build(sizes.step_sizes(sizes.batch_sizes[0], preset), find_device(), preset)
    products = record_products(model, points)
    num_flops, num_bytes = products.num_flops / len(points), products.num_bytes / len(points)
    parameters = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    return {
        "flops": num_flops,
        "bytes": num_bytes,
        "optimizer_bytes": float(PARAMETER_PASSES * parameters),
        "seconds": rates.floor(num_flops, num_bytes),
    }


def measure(
    sizes: GpuSizes,
    record: Record,
    rates: Rates | None,
    batch_size: int,
    preset: str = "jointmae-base",
    is_compiled: bool = False,
) -> None:
    """Measure a step at one batch size, eager or compiled, then memory and time by kernel, and the floor at last."""
    model, optimizer, points = build(sizes.step_sizes(batch_size, preset), find_device(), preset)
    if is_compiled:
        step = compile_step(model, optimizer, points, sizes.compile_backend, record)
    else:
        step = functools.partial(training_step, model, optimizer, points)
        start = time.perf_counter()
        step()
        record("first_step_seconds", time.perf_counter() - start)
    name = "compiled" if is_compiled else "eager"
    (measured,) = measure_batch({name: step}, sizes, batch_size, record, num_calls=sizes.num_step_calls)
    record("peak_gib", peak_memory(step))
    times = operator_times(step)
    record("shares", shares_by_kind(times))
    record("kernels", dict(itertools.islice(times.items(), 25)))
    if rates is not None:
        floor = floor_of_step(sizes, rates, preset)
        record("floor", floor)
        seconds_per_cloud = floor["seconds"] + rates.floor(0, floor["optimizer_bytes"]) / batch_size
        record("share_of_floor", statistics.median(measured.rates) * seconds_per_cloud)
