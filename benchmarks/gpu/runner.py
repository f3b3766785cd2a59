"""Run each subject in its own process with a time budget, and collect the results in one JSON file.

    python -m benchmarks gpu [--point_mae PATH]

On one H200, it finishes within eight minutes. The file is updated after each subject. If a subject fails or runs out
of time, the reason is reported, the next one runs, and the exit status is 1.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measurement import Measurement, format_table
from jointmae_hf.evaluation import collect_run_facts
from jointmae_hf.evaluation.results import write_json

from . import attention, memory, neighbors, point_mae, projection, rates, sampling, throughput, trainer
from .sizes import SIZES, GpuSizes


LEAST_SECONDS = 15.0
"""A subject is not started with less time left."""


@dataclass(frozen=True)
class Subject:
    """Describe one part of the benchmark.

    Args:
        name (`str`):
            Key of the result in the JSON file.
        measure (`Callable`):
            Function of the sizes and, if `needs_rates`, of [`rates.Rates`].
        seconds (`float`):
            Time budget.
        needs_rates (`bool`, *optional*, defaults to `False`):
            Whether `measure` takes the rates of the machine.
    """

    name: str
    measure: Callable[..., dict[str, Any]]
    seconds: float
    needs_rates: bool = False


def list_subjects(sizes: GpuSizes, point_mae_source: str | None) -> list[Subject]:
    """List the subjects in the order in which they run, the most important first."""
    middle = sizes.middle_batch_size
    batches = [middle, *(size for size in sizes.batch_sizes if size != middle)]
    steps = [
        Subject(f"step_{size}", partial(throughput.measure, batch_size=size), 120, needs_rates=True)
        for size in batches
    ]
    peer = [Subject("point_mae", partial(point_mae.measure, source=point_mae_source), 90)] if point_mae_source else []
    return [
        Subject("rates", rates.measure, 40),
        steps[0],
        Subject("trainer", trainer.measure, 90),
        Subject("attention", attention.measure, 45),
        Subject("farthest_point_sampling", sampling.measure, 60, needs_rates=True),
        *peer,
        *steps[1:],
        Subject("neighbors", neighbors.measure, 60, needs_rates=True),
        Subject("projection", projection.measure, 60),
        Subject("memory", memory.measure, 60),
    ]


def run_subject(subject: Subject, command: Sequence[str], seconds: float) -> dict[str, Any]:
    """Run a subject in its own process within its budget; return status, seconds, and the result or the reason."""
    limit, start = min(subject.seconds, seconds), time.monotonic()
    if limit < min(LEAST_SECONDS, subject.seconds):
        return {"status": "not started", "seconds": 0.0, "reason": f"{max(seconds, 0.0):.0f} seconds were left"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "result.json")
        log = Path(folder, "log.txt")
        with log.open("w") as output:
            process = subprocess.Popen([*command, str(path)], stdout=output, stderr=output, start_new_session=True)
            try:
                process.wait(limit)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # including its compile workers
                process.wait()
        took = round(time.monotonic() - start, 1)
        if path.is_file():
            return {"status": "measured", "seconds": took, "result": json.loads(path.read_text(encoding="utf-8"))}
        status = "failed" if took < limit else "out of time"
        return {"status": status, "seconds": took, "reason": log.read_text(errors="replace")[-6000:]}


def tables(result: Mapping[str, Any]) -> list[str]:
    """Format all measurements of a subject, one table per batch."""
    parts = [result, *result.get("batches", [])]
    return [
        format_table([Measurement(**fields) for fields in part["measurements"]])
        for part in parts
        if "measurements" in part
    ]


def run_all(options: argparse.Namespace) -> dict[str, Any]:
    """Run all subjects; write the file after each of them."""
    start, path = time.monotonic(), Path(options.output_dir, "gpu.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"size": options.size, "run": collect_run_facts(), "subjects": {}}
    command = [sys.executable, "-m", "benchmarks", "gpu", "--size", options.size, "--output_dir", str(path.parent)]
    command += ["--point_mae", options.point_mae] if options.point_mae else []
    for subject in list_subjects(SIZES[options.size], options.point_mae):
        if options.subjects and subject.name not in (*options.subjects, "rates"):
            continue
        left = 60 * options.minutes - (time.monotonic() - start)
        outcome = run_subject(subject, [*command, "--measure", subject.name, "--write"], left)
        content["subjects"][subject.name] = outcome
        content["seconds"] = round(time.monotonic() - start, 1)
        write_json(path, content)
        print(f"\n{subject.name}: {outcome['status']} in {outcome['seconds']} s", flush=True)
        for text in tables(outcome["result"]) if "result" in outcome else [outcome["reason"]]:
            print(text, flush=True)
    return content


def measure_one(options: argparse.Namespace) -> None:
    """Measure the subject of `--measure` in this process and write its result."""
    sizes = SIZES[options.size]
    subject = next(one for one in list_subjects(sizes, options.point_mae) if one.name == options.measure)
    given = []
    if subject.needs_rates:
        done = json.loads(Path(options.output_dir, "gpu.json").read_text(encoding="utf-8"))["subjects"]
        given = [rates.Rates(**done["rates"]["result"])]
    result = json.dumps(subject.measure(sizes, *given), allow_nan=False)
    Path(options.write).write_text(result, encoding="utf-8")


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument(
        "--size",
        choices=sorted(SIZES),
        default="full",
        help="sizes of all subjects; tiny is for trying everything on a CPU",
    )
    parser.add_argument("--minutes", type=float, default=7.5, help="time limit for all subjects together")
    parser.add_argument(
        "--point_mae", help="checkout of Point-MAE to compare with, the folder that contains models/Point_MAE.py"
    )
    parser.add_argument("--subjects", nargs="+", help="run only these subjects, and the rates of the machine")
    parser.add_argument("--output_dir", default="outputs/benchmarks", help="folder for gpu.json")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all subjects, or one for [`run_subject`]; return exit status 1 if a subject was not measured."""
    options = build_parser().parse_args(arguments)
    if options.measure:
        measure_one(options)
        return 0
    content = run_all(options)
    missing = [name for name, outcome in content["subjects"].items() if outcome["status"] != "measured"]
    print(
        f"\n{content['seconds']:.0f} seconds; "
        + (f"not measured: {', '.join(missing)}" if missing else "all measured")
    )
    return int(bool(missing))
