"""The first training step of the default model: all of it compiled as one graph, or by `compile_regions`.

    OMP_NUM_THREADS=1 python -m benchmarks.bm_compilation

Each form starts in a new process without caches and compiles on one thread. Seconds are processor time, which other work
changes little. The steady steps of both forms and of the eager model are compared in turns. Takes 6 minutes on a CPU.
"""

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import nn

from jointmae_hf.training import compile_regions

from .bm_training_step import Sizes, build, training_step
from .measurement import Measurement, measure_in_turns, run_benchmark


NO_CACHE = {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}
FORMS = ("eager", "compile_regions", "whole graph")
FIRST_STEP = (
    "import json, sys; from benchmarks.bm_compilation import print_first_step as p; p(*json.loads(sys.argv[1]))"
)


def compile_as(form: str, model: nn.Module) -> nn.Module:
    """Return the model in one of the forms."""
    if form == "whole graph":
        return torch.compile(model, fullgraph=True)
    return compile_regions(model) if form == "compile_regions" else model


def processor_time() -> float:
    """Return the seconds of processor time of this process and of the compilers that it has started."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def print_first_step(form: str, sizes: dict[str, int]) -> None:
    """Print seconds of processor time, seconds and graphs of the first step, as JSON."""
    model, optimizer, points = build(Sizes(**sizes), torch.device("cpu"))
    start, used = time.perf_counter(), processor_time()
    training_step(compile_as(form, model), optimizer, points)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    print(json.dumps([processor_time() - used, time.perf_counter() - start, graphs]))


def measure_first_step(form: str, sizes: Sizes) -> Measurement:
    """Measure the first step of a form in a new process; the rate is the number of steps in an hour."""
    command = [sys.executable, "-c", FIRST_STEP, json.dumps([form, asdict(sizes)])]
    run = subprocess.run(command, env=os.environ | NO_CACHE, stdout=subprocess.PIPE, text=True, check=True)
    used, seconds, graphs = json.loads(run.stdout.splitlines()[-1])
    print(f"first step, {form}: {used:.1f} s of processor time, {seconds:.1f} s, {graphs} graphs")
    return Measurement(f"first step, {form}", "steps/h", [3600 / used], [1.0])


def measure_steady(sizes: Sizes) -> list[Measurement]:
    """Measure the steps of all forms once they are compiled; raise if one is compiled again."""
    candidates = {}
    for form in FORMS:
        model, optimizer, points = build(sizes, torch.device("cpu"))
        candidates[form] = functools.partial(training_step, compile_as(form, model), optimizer, points)
        candidates[form]()
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    measurements = measure_in_turns(candidates, "clouds/s", sizes.num_rounds)
    if torch._dynamo.utils.counters["stats"]["unique_graphs"] != graphs:
        raise RuntimeError("steps must not be compiled again, got new graphs after the first")
    return measurements


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure first and steady steps; print the latter as a table of their own."""
    whole, regions = (measure_first_step(form, sizes) for form in ("whole graph", "compile_regions"))
    regions = Measurement(regions.name, regions.unit, regions.rates, [regions.rates[0] / whole.rates[0]])
    return [whole, regions, *measure_steady(sizes)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("compilation", Sizes(batch_size=4, num_rounds=9), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
