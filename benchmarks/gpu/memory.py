"""Peak memory of a training step, and the largest batch that fits."""

import functools
import gc
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.bm_training_step import build, training_step

from .batches import Record
from .sizes import GpuSizes, find_device


def peak_memory(step: Callable[[], Any]) -> float | None:
    """Run a step and return the peak memory of tensors in GiB, `None` without CUDA."""
    if not torch.cuda.is_available():
        step()
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**30


def peak_of_batch(sizes: GpuSizes, batch_size: int) -> float | None:
    """Return the peak memory of the second eager step, when the optimizer has its moments."""
    model, optimizer, points = build(sizes.step_sizes(batch_size), find_device())
    step = functools.partial(training_step, model, optimizer, points)
    step()
    return peak_memory(step)


def free_memory() -> None:
    """Return the memory of tensors that are no longer used to the device."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def fits(sizes: GpuSizes, batch_size: int) -> bool:
    """Return whether a training step of this batch fits into memory."""
    try:
        peak_of_batch(sizes, batch_size)
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        free_memory()
    return True


def find_largest_batch(sizes: GpuSizes, record: Record) -> int:
    """Find the largest batch that fits, within an eighth: double it, then halve the increments."""
    largest, candidate = 0, sizes.batch_sizes[-1]
    while candidate <= sizes.max_batch_size and fits(sizes, candidate):
        largest, candidate = candidate, 2 * candidate
        record("largest_batch", largest)
    if candidate > sizes.max_batch_size:
        return largest
    step = largest // 2
    while step >= max(largest // 8, 1):
        if fits(sizes, largest + step):
            largest += step
            record("largest_batch", largest)
        step //= 2
    return largest


def measure(sizes: GpuSizes, record: Record) -> None:
    """Find the largest batch in eager mode, which needs more memory than compiled."""
    record("searched_up_to", sizes.max_batch_size)
    record("largest_batch", find_largest_batch(sizes, record))
