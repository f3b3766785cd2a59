"""Measure functions on one batch in turns, and record the rates and the share of a floor after every round."""

import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

from benchmarks.measurement import Measurement, measure_rounds, repeat_calls

from .sizes import GpuSizes, find_device


Record = Callable[[str, Any], None]
"""Writes a figure, a name and a value that JSON can represent, to the results at once; a later value replaces it."""


def measure_batch(
    functions: Mapping[str, Callable[[], Any]],
    sizes: GpuSizes,
    batch_size: int,
    record: Record,
    called_once: Collection[str] = (),
    seconds_per_cloud: float | None = None,
    num_calls: int | None = None,
) -> list[Measurement]:
    """Measure functions that process a batch, called `num_calls` (`sizes.num_calls`) times per round or once.

    The figure `batch_<size>` is recorded after the first round, and again after each further one.
    """
    num_calls = num_calls or sizes.num_calls
    candidates = {
        name: repeat_calls(function, find_device(), batch_size, 1 if name in called_once else num_calls)
        for name, function in functions.items()
    }
    for measurements in measure_rounds(candidates, f"clouds/s, batch {batch_size}", sizes.num_rounds):
        record(f"batch_{batch_size}", summarize(measurements, seconds_per_cloud))
    return measurements


def summarize(measurements: list[Measurement], seconds_per_cloud: float | None = None) -> dict[str, Any]:
    """Return measurements and medians as JSON, with the share of the floor that the last one reaches."""
    medians = {measured.name: statistics.median(measured.rates) for measured in measurements}
    summary = {"measurements": [asdict(measured) for measured in measurements], "medians": medians}
    if seconds_per_cloud is None:
        return summary
    return summary | {
        "floor_clouds_per_second": 1 / seconds_per_cloud,
        "share_of_floor": medians[measurements[-1].name] * seconds_per_cloud,
    }
