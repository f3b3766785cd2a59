"""Measure functions on one batch in turns, and compare the last one with a floor."""

import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.measurement import Measurement, measure_in_turns, repeat_calls

from .sizes import GpuSizes, find_device


def measure_batch(
    functions: Mapping[str, Callable[[], Any]], sizes: GpuSizes, batch_size: int, called_once: Collection[str] = ()
) -> list[Measurement]:
    """Measure functions that process a batch, called `sizes.num_calls` times per round or once."""
    candidates = {
        name: repeat_calls(function, find_device(), batch_size, 1 if name in called_once else sizes.num_calls)
        for name, function in functions.items()
    }
    return measure_in_turns(candidates, f"clouds/s, batch {batch_size}", sizes.num_rounds)


def to_records(measurements: list[Measurement]) -> list[dict[str, Any]]:
    """Convert measurements to JSON records."""
    return [asdict(measurement) for measurement in measurements]


def compare_with_floor(measurements: list[Measurement], seconds_per_cloud: float) -> dict[str, Any]:
    """Return the measurements, the rate of the floor, and the share of it that the last measurement reaches."""
    return {
        "measurements": to_records(measurements),
        "floor_clouds_per_second": 1 / seconds_per_cloud,
        "share_of_floor": statistics.median(measurements[-1].rates) * seconds_per_cloud,
    }
