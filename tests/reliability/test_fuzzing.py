"""Corrupted files for every reader; see `fuzzing.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fuzzing_targets import TARGETS


PROGRAM = Path(__file__).with_name("fuzzing.py")


def fuzz(num_inputs, seconds, *readers):
    """What each reader made of corrupted files, in a process of its own; a reader that kills it fails here too."""
    command = [sys.executable, str(PROGRAM), *readers]
    command += ["--inputs", str(num_inputs), "--seconds", str(seconds)]
    finished = subprocess.run(command, capture_output=True, text=True)
    outcomes = {line["reader"]: line for line in map(json.loads, finished.stdout.splitlines())}
    findings = {name: outcome["findings"] for name, outcome in outcomes.items() if outcome["findings"]}
    assert findings == {}
    assert finished.returncode == 0, finished.stderr[-3000:]
    return outcomes


def test_corrupted_files_are_read_or_refused_by_every_reader():
    outcomes = fuzz(300, 60)
    assert set(outcomes) == set(TARGETS)
    for name, outcome in outcomes.items():
        assert outcome["accepted"] + outcome["refused"] == outcome["inputs"] == 300, name
        assert min(outcome["accepted"], outcome["refused"]) > 10, name


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", TARGETS)
def test_corrupted_files_are_read_or_refused_in_ten_minutes(name):
    assert fuzz(100_000, 600, name)[name]["inputs"] > 300
