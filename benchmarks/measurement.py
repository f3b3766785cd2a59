"""Compare rates on a noisy machine: candidates run in turns; report ratios within a round, medians and spread."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from jointmae_hf.evaluation import collect_run_facts
from jointmae_hf.evaluation.results import write_json


@dataclass(frozen=True)
class Measurement:
    """Hold the rates of one candidate over all rounds.

    Args:
        name (`str`):
            Name of the candidate.
        unit (`str`):
            Unit of the rates, such as `"samples/s"`.
        rates (`list[float]`):
            One rate per round.
        ratios (`list[float]`):
            Rates relative to the reference in the same round.
    """

    name: str
    unit: str
    rates: list[float]
    ratios: list[float]

    def cells(self) -> list[str]:
        """Return a row of the table: name, median rate, median ratio, minimum and maximum ratio."""
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        return [self.name, f"{statistics.median(self.rates):,.0f}", f"{statistics.median(self.ratios):.2f}", spread]


def measure_in_turns(candidates: Mapping[str, Callable[[], int]], unit: str, num_rounds: int = 7) -> list[Measurement]:
    """Run all candidates in each round, after one warm-up round.

    Args:
        candidates (`Mapping[str, Callable[[], int]]`):
            Functions that do their work once and return the number of units. The first is the reference.
        unit (`str`):
            Unit of the rates.
        num_rounds (`int`, *optional*, defaults to 7):
            Counted rounds. Each starts with the next candidate, so that none runs twice in a row, which would find its
            data in the cache of the processor.

    Returns:
        `list[Measurement]`: One per candidate.

    Raises:
        ValueError: If `num_rounds` is not positive.
    """
    *_, measurements = measure_rounds(candidates, unit, num_rounds)
    return measurements


def measure_rounds(
    candidates: Mapping[str, Callable[[], int]], unit: str, num_rounds: int
) -> Iterator[list[Measurement]]:
    """Do what [`measure_in_turns`] does; yield the measurements of all rounds so far after each counted round."""
    if num_rounds < 1:
        raise ValueError(f"`num_rounds` must be at least 1, got {num_rounds}.")
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(num_rounds + 1):
        first = number % len(candidates)
        for name in (*list(candidates)[first:], *list(candidates)[:first]):
            start = time.perf_counter()
            count = candidates[name]()
            rates[name].append(count / (time.perf_counter() - start))
        if number:
            yield _compare({name: values[1:] for name, values in rates.items()}, unit)


def _compare(rates: Mapping[str, list[float]], unit: str) -> list[Measurement]:
    """Return the measurements of some candidates, the first of which is the reference."""
    reference = next(iter(rates.values()))
    return [
        Measurement(name, unit, values, [own / other for own, other in zip(values, reference, strict=True)])
        for name, values in rates.items()
    ]


def wait_for(device: torch.device) -> None:
    """Wait until all work of a device is done; CUDA calls return earlier."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def repeat_calls(
    function: Callable[[], Any], device: torch.device, units_per_call: int, num_calls: int
) -> Callable[[], int]:
    """Return a candidate of [`measure_in_turns`] that calls a function several times and waits for the device once."""

    def candidate() -> int:
        for _ in range(num_calls):
            function()
        wait_for(device)
        return num_calls * units_per_call

    return candidate


def format_table(measurements: Sequence[Measurement]) -> str:
    """Format measurements as a Markdown table; the first one is the reference."""
    head = ["", measurements[0].unit, "ratio", "spread"]
    rows = [head, ["---"] * len(head), *(measurement.cells() for measurement in measurements)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def report(
    subject: str, settings: Mapping[str, Any], measurements: Sequence[Measurement], output_dir: str | Path
) -> Path:
    """Print measurements, and write them with versions and hardware to `{subject}.json`."""
    facts = collect_run_facts()
    hardware = facts["hardware"]
    print(f"{subject}: {json.dumps(dict(settings))}, {hardware['cpu']}, {hardware['num_cores']} cores")
    print(format_table(measurements))
    content = {
        "subject": subject,
        "settings": dict(settings),
        "measurements": [asdict(measurement) for measurement in measurements],
        "run": facts,
    }
    path = Path(output_dir, f"{subject}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)
    return path


def run_benchmark(
    subject: str,
    sizes: Any,
    measure: Callable[[Any], list[Measurement]],
    description: str | None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Read sizes from the command line, one flag per field of `sizes`; measure, print and write."""
    parser = argparse.ArgumentParser(description=description)
    for name, value in asdict(sizes).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--output_dir", default="outputs/benchmarks", help="folder for the JSON file")
    options = vars(parser.parse_args(arguments))
    output_dir = options.pop("output_dir")
    report(subject, options, measure(type(sizes)(**options)), output_dir)
