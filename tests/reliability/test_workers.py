"""A worker that raises, dies or hangs ends the run with an error that names worker, samples and file."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


PROGRAM = Path(__file__).parent / "programs" / "faulty_worker.py"
DIED = r"exited unexpectedly|is killed by signal"  # whichever torch notices first
FAULTS = {
    "raises": "OSError: Caught OSError in DataLoader worker process",
    "is killed": DIED,
    "hangs": "DataLoader timed out after 5",
    "exits": DIED,
    "runs into a bus error": DIED,
}
NAMED = re.compile(r"Worker [01] \(process \d+\) was at samples ((?:\d+, )*\d+) of (.*\.arrow)\.")


@pytest.mark.parametrize(
    "fault",
    ["raises", "is killed", "hangs", *(pytest.param(name, marks=pytest.mark.slow) for name in list(FAULTS)[3:])],
)
def test_lost_worker_ends_the_run_and_is_named(fault, config_folder, tmp_path):
    """Measured: 6 s from start to end, of which 5 s are imports; a hanging worker takes `loader_timeout` more."""
    command = [sys.executable, str(PROGRAM), fault, str(config_folder), str(tmp_path)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 1
    assert re.search(FAULTS[fault], finished.stderr)
    named = NAMED.findall(finished.stderr)
    assert "5" in [number for samples, _ in named for number in samples.split(", ")], finished.stderr
    assert Path(named[0][1]).is_file()
