import os
import subprocess
import sys
from pathlib import Path

import pytest

import jointmae_hf
from jointmae_hf.cli import main
from jointmae_hf.data import conversion


@pytest.fixture
def calls(monkeypatch):
    """Arguments of the functions behind the command, which do nothing."""
    made = []

    def convert(*arguments, **config):
        made.append((arguments, config))
        return Path("out")

    monkeypatch.setattr(conversion, "convert_to_parquet", convert)
    monkeypatch.setattr(conversion, "push_dataset", lambda *arguments, **options: made.append((arguments, options)))
    return made


def test_convert_passes_folders_and_options(calls):
    options = ["--config", "num_points=8", "up_axis=z", "--config", 'suffixes=[".off"]', "is_whole=true", "key=a=b"]
    folders = ["--data_dir", "in", "--output_dir", "out", "--cache_dir", "c"]
    main(["convert", "folder", *folders, "--num_proc", "2", *options])
    config = {"num_points": 8, "up_axis": "z", "suffixes": [".off"], "is_whole": True, "key": "a=b"}
    assert calls == [(("folder", "out", "in", "c", 2), config)]


def test_convert_publishes_only_when_asked(calls):
    main(["convert", "folder", "--output_dir", "out", "--push_to_hub", "me/clouds"])
    assert calls[1] == ((Path("out"), "me/clouds"), {"private": True})
    main(["convert", "folder", "--output_dir", "out", "--push_to_hub", "me/clouds", "--public"])
    assert calls[3] == ((Path("out"), "me/clouds"), {"private": False})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "num_points"], "must be key=value, got 'num_points'"),
        (["--config", "a-b=1"], "must be key=value, got 'a-b=1'"),
        (["--public"], "--public needs --push_to_hub"),
    ],
)
def test_wrong_arguments_are_refused(calls, capsys, arguments, message):
    with pytest.raises(SystemExit):
        main(["convert", "folder", "--output_dir", "out", *arguments])
    assert message in capsys.readouterr().err
    assert calls == []


def test_module_runs_as_a_command(tmp_path):
    options = ["--config", "num_train=2", "num_validation=0", "num_test=0", "num_points=4"]
    arguments = ["convert", "synthetic_shapes", "--output_dir", "out", "--cache_dir", "cache", *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(jointmae_hf.__file__).parents[1])}
    finished = subprocess.run(
        [sys.executable, "-m", "jointmae_hf.cli", *arguments],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert "written: " in finished.stderr
    assert (tmp_path / "out" / "data" / "train-00000-of-00001.parquet").is_file()
