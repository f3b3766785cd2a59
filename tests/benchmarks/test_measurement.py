import json

import pytest

from benchmarks import measurement
from benchmarks.measurement import Measurement, format_table, measure_in_turns, report


@pytest.fixture
def clock(monkeypatch):
    """Clock that only candidates advance."""
    now = [0.0]
    monkeypatch.setattr(measurement.time, "perf_counter", lambda: now[0])

    def work(seconds, count, log=None, name=None):
        def candidate():
            now[0] += seconds
            if log is not None:
                log.append(name)
            return count

        return candidate

    return work


def test_rates_are_units_by_seconds_and_ratios_within_the_round(clock):
    slow, fast = measure_in_turns({"slow": clock(2.0, 10), "fast": clock(0.5, 10)}, "samples/s", num_rounds=3)
    assert slow == Measurement("slow", "samples/s", [5.0] * 3, [1.0] * 3)
    assert fast == Measurement("fast", "samples/s", [20.0] * 3, [4.0] * 3)


def test_first_round_is_not_counted_and_each_starts_with_the_next_candidate(clock):
    log = []
    candidates = {name: clock(1.0, 1, log, name) for name in "abc"}
    measured = measure_in_turns(candidates, "samples/s", num_rounds=2)
    assert "".join(log) == "abcbcacab"
    assert len(measured[0].rates) == 2


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="`num_rounds` must be at least 1, got 0"):
        measure_in_turns({"a": lambda: 1}, "samples/s", num_rounds=0)


def test_table_holds_medians_and_spread():
    rows = [
        Measurement("a", "samples/s", [1e4, 3e4, 2e4], [1.0] * 3),
        Measurement("b", "samples/s", [5e4] * 3, [5, 1.7, 2.5]),
    ]
    assert format_table(rows).splitlines() == [
        "|  | samples/s | ratio | spread |",
        "| --- | --- | --- | --- |",
        "| a | 20,000 | 1.00 | 1.00 to 1.00 |",
        "| b | 50,000 | 2.50 | 1.70 to 5.00 |",
    ]


def test_report_prints_the_table_and_writes_versions_and_hardware(tmp_path, capsys):
    rows = [Measurement("a", "samples/s", [2.0], [1.0])]
    path = report("loading", {"num_clouds": 4}, rows, tmp_path / "new")
    content = json.loads(path.read_text())
    assert format_table(rows) in capsys.readouterr().out
    assert content["measurements"] == [{"name": "a", "unit": "samples/s", "rates": [2.0], "ratios": [1.0]}]
    assert content["settings"] == {"num_clouds": 4}
    assert content["run"]["versions"]["numpy"]
    assert "cpu" in content["run"]["hardware"]
