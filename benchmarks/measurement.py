"""Comparing rates on a machine that is never quiet: in turns, as ratios within a round, medians with their spread."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from jointmae_hf.evaluation import collect_run_facts


@dataclass(frozen=True)
class Measurement:
    """Rates of one candidate over all rounds.

    Args:
        name (`str`):
            The candidate.
        unit (`str`):
            Unit of its rates, such as `"samples/s"`.
        rates (`list[float]`):
            One for each round.
        ratios (`list[float]`):
            Rate in proportion to that of the reference in the same round.
    """

    name: str
    unit: str
    rates: list[float]
    ratios: list[float]

    def cells(self) -> list[str]:
        """Row of the table: name, median rate, median ratio, least and largest ratio."""
        spread = f"{min(self.ratios):.2f} to {max(self.ratios):.2f}"
        return [self.name, f"{statistics.median(self.rates):,.0f}", f"{statistics.median(self.ratios):.2f}", spread]


def measure_in_turns(candidates: Mapping[str, Callable[[], int]], unit: str, num_rounds: int = 7) -> list[Measurement]:
    """Run all candidates in each round, after one round that is not counted.

    Args:
        candidates (`Mapping[str, Callable[[], int]]`):
            Each does its work once and returns how many units it did. The first is the reference of the ratios.
        unit (`str`):
            Unit of the rates.
        num_rounds (`int`, *optional*, defaults to 7):
            Rounds that are counted. Each starts with the next candidate, so that none is run twice in succession, which
            would find its data in the processor's cache.

    Returns:
        `list[Measurement]`: One for each candidate.

    Raises:
        ValueError: If `num_rounds` is not positive.
    """
    if num_rounds < 1:
        raise ValueError(f"`num_rounds` must be at least 1, got {num_rounds}.")
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(num_rounds + 1):
        first = number % len(candidates)
        for name in (*list(candidates)[first:], *list(candidates)[:first]):
            start = time.perf_counter()
            count = candidates[name]()
            rates[name].append(count / (time.perf_counter() - start))
    rates = {name: values[1:] for name, values in rates.items()}
    reference = next(iter(rates.values()))
    return [
        Measurement(name, unit, values, [own / other for own, other in zip(values, reference, strict=True)])
        for name, values in rates.items()
    ]


def wait_for(device: torch.device) -> None:
    """Wait until all work of a device is done: CUDA returns before.

    Args:
        device (`torch.device`):
            The device.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def repeat_calls(
    function: Callable[[], Any], device: torch.device, units_per_call: int, num_calls: int
) -> Callable[[], int]:
    """Make a candidate of [`measure_in_turns`] that calls a function several times and waits once.

    Args:
        function (`Callable[[], Any]`):
            Does its work, perhaps without waiting for the device.
        device (`torch.device`):
            Where it works.
        units_per_call (`int`):
            Such as the clouds of a batch.
        num_calls (`int`):
            Calls for each measurement, so that the wait does not count.

    Returns:
        `Callable[[], int]`: The candidate.
    """

    def candidate() -> int:
        for _ in range(num_calls):
            function()
        wait_for(device)
        return num_calls * units_per_call

    return candidate


def format_table(measurements: Sequence[Measurement]) -> str:
    """Write measurements as a Markdown table.

    Args:
        measurements (`Sequence[Measurement]`):
            The first is the reference.

    Returns:
        `str`: Lines of the table.
    """
    head = ["", measurements[0].unit, "ratio", "spread"]
    rows = [head, ["---"] * len(head), *(measurement.cells() for measurement in measurements)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def report(
    subject: str, settings: Mapping[str, Any], measurements: Sequence[Measurement], output_dir: str | Path
) -> Path:
    """Print measurements, and write them with versions and hardware to `{subject}.json`.

    Args:
        subject (`str`):
            What was measured.
        settings (`Mapping[str, Any]`):
            Sizes of the benchmark.
        measurements (`Sequence[Measurement]`):
            The first is the reference.
        output_dir (`str` or `pathlib.Path`):
            Folder of the file; made if needed.

    Returns:
        `pathlib.Path`: The file.
    """
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
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return path


def run_benchmark(
    subject: str,
    sizes: Any,
    measure: Callable[[Any], list[Measurement]],
    description: str | None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Read sizes from the command line, measure, print and write.

    Args:
        subject (`str`):
            What is measured.
        sizes (dataclass of `int` fields):
            Sizes by default; each becomes a flag.
        measure (`Callable[[Any], list[Measurement]]`):
            Measures all candidates at the given sizes.
        description (`str`, *optional*):
            For `--help`.
        arguments (`Sequence[str]`, *optional*):
            Defaults to the command line.
    """
    parser = argparse.ArgumentParser(description=description)
    for name, value in asdict(sizes).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--output_dir", default="outputs/benchmarks", help="folder of the JSON file")
    options = vars(parser.parse_args(arguments))
    output_dir = options.pop("output_dir")
    report(subject, options, measure(type(sizes)(**options)), output_dir)
