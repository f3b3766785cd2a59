"""The command `python -m benchmarks gpu` on a CPU: order, time limits, and what dying subjects leave."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks import __main__ as every_benchmark
from benchmarks.gpu import runner, worker
from benchmarks.gpu.rates import Rates
from benchmarks.gpu.sizes import SIZES
from benchmarks.gpu.subjects import START_SECONDS, Subject, list_subjects


ROOT = Path(__file__).parents[2]
FIGURE = '{"event": "figure", "figure": "rate", "value": 1.5}'


def read(folder):
    return json.loads((folder / "gpu.json").read_text(encoding="utf-8"))["subjects"]


@pytest.fixture
def run_program(tmp_path, monkeypatch):
    """Run subjects `first` and `second` in workers that are small programs, one after the other."""

    def run(*programs, seconds=60.0, minutes=5.0, subjects=("first", "second")):
        commands, results = iter(programs), runner.Results(tmp_path / "gpu.json", "tiny")

        @contextlib.contextmanager
        def start(pending, options, results, log, environment):
            started = runner.Worker([sys.executable, "-u", "-c", next(commands)], log, environment)
            yield started
            started.end()

        monkeypatch.setattr(runner, "start_worker", start)
        options = runner.build_parser().parse_args(["--size", "tiny", "--minutes", str(minutes)])
        runner.run_all([Subject(name, seconds) for name in subjects], options, results)
        return read(tmp_path)

    return run


def lines(*events):
    """Return a program that prints events."""
    return "import os, sys, time, subprocess\n" + "\n".join(f"print('{event}', flush=True)" for event in events)


def start(subject):
    return json.dumps({"event": "started", "subject": subject})


ENDED = '{"event": "ended"}'


def test_subjects_share_a_worker(run_program):
    outcomes = run_program(lines(start("first"), FIGURE, ENDED, start("second"), ENDED))
    assert [outcome["status"] for outcome in outcomes.values()] == ["measured", "measured"]
    assert outcomes["first"]["figures"] == {"rate": 1.5}


@pytest.mark.parametrize(
    ("death", "status", "reason"),
    [
        ("raise KeyError('gone')", "failed", "KeyError: 'gone'"),
        ("os.kill(os.getpid(), 9)", "failed", ""),
        ("print('{\"event\": \"fig', end='', flush=True); os.kill(os.getpid(), 9)", "failed", ""),
        ("subprocess.run(['sleep', '60'])", "out of time", ""),
    ],
)
def test_subject_that_dies_leaves_its_figures_and_the_next_one_runs(run_program, death, status, reason):
    start_time = time.monotonic()
    second = lines(start("second"), FIGURE, ENDED)
    outcomes = run_program(lines(start("first"), FIGURE) + f"\n{death}", second, seconds=2.0)
    assert outcomes["first"]["status"] == status
    assert outcomes["first"]["figures"] == {"rate": 1.5}
    assert reason in outcomes["first"]["reason"]
    assert outcomes["second"]["status"] == "measured"
    assert time.monotonic() - start_time < 50


def test_worker_that_cannot_start_fails_at_each_subject(run_program):
    outcomes = run_program("import no_such_module", "import no_such_module")
    assert [outcome["status"] for outcome in outcomes.values()] == ["failed", "failed"]
    assert "no_such_module" in outcomes["second"]["reason"]


def test_subject_is_not_started_without_time(run_program):
    hanging = lines(start("first"), FIGURE) + "\ntime.sleep(60)"
    outcomes = run_program(hanging, minutes=0.02)
    assert outcomes["first"]["status"] == "out of time"
    assert outcomes["first"]["figures"] == {"rate": 1.5}
    assert outcomes["second"] == {"status": "not started", "seconds": 0.0, "figures": {}, "reason": "no time was left"}


@pytest.mark.parametrize("point_mae", [None, "some"])
@pytest.mark.parametrize("size", sorted(SIZES))
def test_every_subject_has_a_function(size, point_mae):
    subjects = list_subjects(SIZES[size].batch_sizes, point_mae is not None)
    assert {subject.name for subject in subjects} == set(worker.find_measures(SIZES[size], point_mae))


def test_order_is_rates_then_eager_subjects_then_compiled_ones():
    subjects = list_subjects(SIZES["full"].batch_sizes, has_point_mae=True)
    assert [subject.name for subject in subjects] == [
        "rates",
        *("step_128", "step_256", "step_512", "small_step_256", "point_mae", "trainer"),
        *("farthest_point_sampling", "neighbors", "projection", "attention", "gradients"),
        *("compiled_step_256", "compiled_step_128", "compiled_step_512"),
        *("compiled_point_mae", "compiled_trainer", "compiled_neighbors", "compiled_projection"),
        "memory",
    ]


def test_limits_of_the_eager_half_fit_into_180_seconds_and_the_default_into_eight_minutes():
    subjects = list_subjects(SIZES["full"].batch_sizes, has_point_mae=True)
    first_compiled = [subject.is_compiled for subject in subjects].index(True)
    assert START_SECONDS + sum(subject.seconds for subject in subjects[:first_compiled]) <= 180
    assert runner.build_parser().parse_args([]).minutes < 8


def test_unknown_subject_is_refused():
    with pytest.raises(ValueError, match=r"`--subjects` must be some of rates, step_1, .*, got memmory"):
        runner.main(["--size", "tiny", "--subjects", "memmory"])


def test_worker_sends_each_figure_and_uses_the_rates_that_it_measured():
    events, rates = [], Rates(1.0, 2.0, 3.0)

    def measure_rates(record, known):
        record("bfloat16_flops", 1.0)
        return rates

    def measure(record, known):
        record("known", known is rates)

    measures = {"rates": measure_rates, "other": measure}
    worker.measure_subjects(["rates", "other"], measures, None, lambda **event: events.append(event))
    assert [event["event"] for event in events] == ["started", "figure", "ended"] * 2
    assert events[4] == {"event": "figure", "figure": "known", "value": True}


def test_command_measures_the_chosen_subjects_and_the_rates(tmp_path, capsys):
    flags = ["--size", "tiny", "--subjects", "neighbors", "projection", "--output_dir", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        every_benchmark.main(["gpu", *flags])
    assert stopped.value.code == 0
    outcomes = read(tmp_path)
    assert list(outcomes) == ["rates", "neighbors", "projection"]
    assert {outcome["status"] for outcome in outcomes.values()} == {"measured"}
    assert outcomes["neighbors"]["figures"]["batch_2"]["share_of_floor"] > 0
    printed = capsys.readouterr().out
    assert "`k_nearest_neighbors`" in printed
    assert "all measured" in printed


def test_kill_of_a_subject_keeps_its_figures_and_the_command_goes_on(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "gpu", "--size", "tiny", "--output_dir", str(tmp_path)]
    command += ["--subjects", "gradients", "neighbors"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 200
        while not _has_figure(tmp_path, "gradients"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        (child,) = psutil.Process(process.pid).children()
        child.send_signal(signal.SIGKILL)
        printed, _ = process.communicate(timeout=200)
    outcomes = read(tmp_path)
    assert process.returncode == 1
    assert outcomes["neighbors"]["status"] == "measured"
    assert outcomes["gradients"]["status"] == "failed"
    assert "cpu_float64" in outcomes["gradients"]["figures"]
    assert "not measured: gradients (failed)" in printed


def _has_figure(folder, subject):
    """Return whether the file has a figure of a subject."""
    return (folder / "gpu.json").is_file() and bool(read(folder).get(subject, {}).get("figures"))
