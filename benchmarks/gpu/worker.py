"""Measure subjects one after the other in one process, which share imports and the start of CUDA.

    python -m benchmarks.gpu.worker --size tiny --subjects rates step_1

Each figure is a line of JSON on stdout, printed the moment it exists. What the subjects print themselves goes to stderr.
`runner.py` starts workers, enforces time limits and writes the file.
"""

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from . import attention, gradients, memory, neighbors, point_mae, projection, rates, sampling, throughput, trainer
from .batches import Record
from .sizes import SIZES, GpuSizes


Measure = Callable[[Record, rates.Rates | None], Any]
"""Measures a subject; takes the function that records its figures and the rates of the machine, if they are known."""


def find_measures(sizes: GpuSizes, point_mae_source: str | None) -> dict[str, Measure]:
    """Return the function of each subject by its name in `subjects.py`."""
    measures: dict[str, Measure] = {"rates": lambda record, _: rates.measure(sizes, record)}
    for is_compiled, prefix in ((False, ""), (True, "compiled_")):
        measures |= {
            f"{prefix}{name}": measure
            for name, measure in _measures_of_mode(sizes, point_mae_source, is_compiled).items()
        }
    middle = sizes.middle_batch_size
    return measures | {
        f"small_step_{middle}": lambda record, known: throughput.measure(
            sizes, record, known, middle, "jointmae-small"
        ),
        "farthest_point_sampling": lambda record, known: sampling.measure(sizes, record, known),
        "attention": lambda record, _: attention.measure(sizes, record),
        "gradients": lambda record, _: gradients.measure(sizes, record),
        "memory": lambda record, _: memory.measure(sizes, record),
    }


def _measures_of_mode(sizes: GpuSizes, point_mae_source: str | None, is_compiled: bool) -> dict[str, Measure]:
    """Return the functions of the subjects that exist eager and compiled."""
    measures: dict[str, Measure] = {
        f"step_{size}": functools.partial(_measure_step, sizes, size, is_compiled) for size in sizes.batch_sizes
    }
    if point_mae_source:
        measures["point_mae"] = lambda record, _: point_mae.measure(sizes, record, point_mae_source, is_compiled)
    return measures | {
        "trainer": lambda record, _: trainer.measure(sizes, record, is_compiled),
        "neighbors": lambda record, known: neighbors.measure(sizes, record, known, is_compiled),
        "projection": lambda record, _: projection.measure(sizes, record, is_compiled),
    }


def _measure_step(
    sizes: GpuSizes, batch_size: int, is_compiled: bool, record: Record, known: rates.Rates | None
) -> None:
    """Measure the step of the base model at one batch size."""
    throughput.measure(sizes, record, known, batch_size, is_compiled=is_compiled)


def send_to(stream: Any) -> Callable[..., None]:
    """Return a function that writes its keyword arguments to a stream as one line of JSON."""

    def send(**event: Any) -> None:
        print(json.dumps(event, allow_nan=False), file=stream, flush=True)

    return send


def measure_subjects(
    names: Sequence[str], measures: dict[str, Measure], known: rates.Rates | None, send: Callable[..., None]
) -> None:
    """Measure subjects in order; an error ends the process, since CUDA may not work after it."""
    for name in names:
        send(event="started", subject=name)
        measured = measures[name](lambda figure, value: send(event="figure", figure=figure, value=value), known)
        known = measured if name == "rates" else known
        torch.compiler.reset()
        memory.free_memory()
        send(event="ended")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the subjects of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.worker", description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="full")
    parser.add_argument("--point_mae")
    parser.add_argument("--rates", help="rates of the machine as JSON, if another worker measured them")
    parser.add_argument("--subjects", nargs="+", required=True)
    options = parser.parse_args(arguments)
    with os.fdopen(os.dup(1), "w") as figures:
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        known = rates.Rates(**json.loads(options.rates)) if options.rates else None
        measures = find_measures(SIZES[options.size], options.point_mae)
        measure_subjects(options.subjects, measures, known, send_to(figures))


if __name__ == "__main__":
    main()
