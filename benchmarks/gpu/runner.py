"""Run all subjects in workers, and write each figure to one JSON file the moment it exists.

    python -m benchmarks gpu [--point_mae PATH]

Subjects share a worker, so that imports and the start of CUDA are paid once. Each has its own time limit: a subject
that fails, is killed or runs out of time leaves the figures that it had, and a new worker goes on with the next one.
Eager subjects come first. The exit status is 1 if a subject was not measured.
"""

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from benchmarks.measurement import Measurement, format_table
from jointmae_hf.evaluation.results import collect_run_facts, write_json

from .sizes import SIZES
from .subjects import START_SECONDS, Subject, list_subjects


RATES = ("bfloat16_flops", "float32_flops", "bytes_per_second")


class Worker:
    """Hold a process that measures subjects, and read its events.

    Args:
        command (`Sequence[str]`):
            Command that prints one event a line, see `worker.py`.
        log (`IO`):
            File for what it prints to stderr.
        environment (`Mapping[str, str]`):
            Its environment.
    """

    def __init__(self, command: Sequence[str], log: IO[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(environment), start_new_session=True
        )
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        """Queue events until the process and its children are gone."""
        assert self._process.stdout is not None  # a pipe, see above
        with contextlib.suppress(json.JSONDecodeError):  # a line that was cut by a kill
            for line in self._process.stdout:
                self._events.put(json.loads(line))

    def next_event(self, deadline: float) -> dict[str, Any]:
        """Return the next event; `{"event": "out of time"}` or `{"event": "failed"}` if there is none any more."""
        while True:
            has_exited = self._process.poll() is not None
            try:
                return self._events.get(timeout=0.1)
            except queue.Empty:
                if has_exited:
                    return {"event": "failed"}
                if time.monotonic() > deadline:
                    return {"event": "out of time"}

    def end(self) -> None:
        """Kill the process with its children, such as compile workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Results:
    """Hold the content of the JSON file, which is rewritten atomically at every change.

    Args:
        path (`Path`):
            The file.
        size (`str`):
            Value of `--size`.
    """

    def __init__(self, path: Path, size: str) -> None:
        self.path, self._start = path, time.monotonic()
        self.content: dict[str, Any] = {"size": size, "run": collect_run_facts(), "subjects": {}}
        self._started = self._start

    @property
    def seconds(self) -> float:
        """`float`: Seconds since the start."""
        return round(time.monotonic() - self._start, 1)

    @property
    def rates(self) -> dict[str, float] | None:
        """`dict[str, float]`, *optional*: Rates of the machine, if all of them were measured."""
        figures = self.content["subjects"].get("rates", {}).get("figures", {})
        return figures if set(RATES) <= figures.keys() else None

    def begin(self, subject: str) -> None:
        """Add a subject."""
        self._started = time.monotonic()
        self.content["subjects"][subject] = {"status": "running", "seconds": 0.0, "figures": {}}
        self._write()

    def restart_clock(self) -> None:
        """Count the seconds of the subject from now on, as the worker has finished its imports."""
        self._started = time.monotonic()

    def add_figure(self, subject: str, figure: str, value: Any) -> None:
        """Add or replace a figure."""
        self.content["subjects"][subject]["figures"][figure] = value
        self._write()

    def finish(self, subject: str, status: str, reason: str | None = None) -> None:
        """Record how a subject ended."""
        outcome = self.content["subjects"][subject]
        outcome |= {"status": status, "seconds": round(time.monotonic() - self._started, 1)}
        outcome |= {"reason": reason} if reason is not None else {}
        self._write()

    def _write(self) -> None:
        """Write the file."""
        self.content["seconds"] = self.seconds
        write_json(self.path, self.content)


def measure_in_worker(
    worker: Worker, subjects: Sequence[Subject], results: Results, deadline: float, log: Path
) -> int:
    """Read the events of a worker until it has ended; return how many subjects it has finished or failed at."""
    for position, subject in enumerate(subjects):
        results.begin(subject.name)
        event = worker.next_event(min(time.monotonic() + START_SECONDS, deadline))  # imports
        limit = min(time.monotonic() + subject.seconds, deadline)
        while event["event"] in ("started", "figure"):
            if event["event"] == "started":
                results.restart_clock()
            else:
                results.add_figure(subject.name, event["figure"], event["value"])
            event = worker.next_event(limit)
        if event["event"] != "ended":
            results.finish(subject.name, event["event"], log.read_text(errors="replace")[-6000:])
            print_outcome(subject.name, results.content["subjects"][subject.name])
            return position + 1
        results.finish(subject.name, "measured")
        print_outcome(subject.name, results.content["subjects"][subject.name])
    return len(subjects)


def run_all(subjects: Sequence[Subject], options: argparse.Namespace, results: Results) -> None:
    """Run all subjects; a new worker follows one that failed."""
    deadline = time.monotonic() + 60 * options.minutes
    pending = list(subjects)
    with tempfile.TemporaryDirectory() as folder:
        log_path = Path(folder, "log.txt")
        # An empty cache, so that compile times are those of a first start.
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(Path(folder, "inductor"))}
        while pending and time.monotonic() < deadline:
            with log_path.open("w") as log, start_worker(pending, options, results, log, environment) as worker:
                done = measure_in_worker(worker, pending, results, deadline, log_path)
            pending = pending[done:]
    for subject in pending:
        results.begin(subject.name)
        results.finish(subject.name, "not started", "no time was left")


@contextlib.contextmanager
def start_worker(
    subjects: Sequence[Subject],
    options: argparse.Namespace,
    results: Results,
    log: IO[str],
    environment: Mapping[str, str],
) -> Iterator[Worker]:
    """Start a worker for subjects; end it with its children."""
    command = [sys.executable, "-m", "benchmarks.gpu.worker", "--size", options.size]
    command += ["--point_mae", options.point_mae] if options.point_mae else []
    command += ["--rates", json.dumps(results.rates)] if results.rates else []
    worker = Worker([*command, "--subjects", *(subject.name for subject in subjects)], log, environment)
    try:
        yield worker
    finally:
        worker.end()


def print_outcome(name: str, outcome: Mapping[str, Any]) -> None:
    """Print how a subject ended: a table for each batch, one line for each small figure, and the reason of a failure."""
    print(f"\n{name}: {outcome['status']} in {outcome['seconds']} s")
    for figure, value in outcome["figures"].items():
        if isinstance(value, dict) and "measurements" in value:
            print(format_table([Measurement(**fields) for fields in value["measurements"]]))
        elif not isinstance(value, dict):
            print(f"{figure}: {value}")
    print(outcome.get("reason", ""), end="", flush=True)


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
    return parser


def choose_subjects(options: argparse.Namespace) -> list[Subject]:
    """Return the subjects of the command line; raise `ValueError` for one that does not exist."""
    sizes = SIZES[options.size]
    subjects = list_subjects(sizes.batch_sizes, bool(options.point_mae), sizes.time_factor)
    if not options.subjects:
        return subjects
    names = [subject.name for subject in subjects]
    unknown = sorted(set(options.subjects) - set(names))
    if unknown:
        raise ValueError(f"`--subjects` must be some of {', '.join(names)}, got {', '.join(unknown)}.")
    return [subject for subject in subjects if subject.name in (*options.subjects, "rates")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all subjects; return exit status 1 if one was not measured."""
    options = build_parser().parse_args(arguments)
    subjects = choose_subjects(options)
    path = Path(options.output_dir, "gpu.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    results = Results(path, options.size)
    run_all(subjects, options, results)
    outcomes = results.content["subjects"]
    missing = [
        f"{name} ({outcome['status']})" for name, outcome in outcomes.items() if outcome["status"] != "measured"
    ]
    print(f"\n{results.seconds:.0f} seconds; {'not measured: ' + ', '.join(missing) if missing else 'all measured'}")
    return int(bool(missing))
