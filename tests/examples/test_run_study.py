"""The script of the study on embedded shapes: pieces that stop by themselves, and the same command that goes on."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest


SCRIPT = Path(__file__).parents[2] / "examples" / "run_study.py"


def run(output_dir, *flags):
    command = [sys.executable, str(SCRIPT), "--tiny", "True", "--output_dir", str(output_dir), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=SCRIPT.parents[1])


@pytest.mark.slow
def test_script_stops_in_time_and_the_same_command_goes_on(tmp_path):
    flags = ["--steps_per_minute", "200", "--studies", "claim"]
    stopped = run(tmp_path, "--minutes", "0", *flags)
    assert stopped.returncode == 0, stopped.stderr
    assert "joint_mae_10_minutes: the time is up; the same command goes on" in stopped.stdout
    finished = run(tmp_path, *flags)
    assert finished.returncode == 0, finished.stderr
    assert "Joint-MAE, 5 minutes minus 3D only, 5 minutes, paired by seed on test" in finished.stdout
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert len(content["run"]["stages"]) == 7
    assert content["run"]["stages"]["joint_mae_10_minutes"]["steps"] == 10


def test_script_without_clouds_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run_study.py", "--output_dir", str(tmp_path)])
    with pytest.raises(SystemExit, match="--clouds must name a file"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
