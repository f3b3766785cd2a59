"""A Hub on loopback, and new processes that find it through `HF_ENDPOINT` and run the scripts of `clients`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub


CLIENTS = Path(__file__).parent / "clients"


@pytest.fixture(scope="session", params=[True, pytest.param(False, marks=pytest.mark.hub)], ids=["xet", "lfs"])
def with_xet(request):
    """Whether clients transfer large files with Xet or, marked `hub`, with git-LFS."""
    return request.param


@pytest.fixture(scope="session")
def hub(with_xet, tmp_path_factory):
    with LoopbackHub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="session")
def client_environment(hub, with_xet):
    """Environment variables of a new process."""

    def build(home, xet=with_xet, **others):
        variables = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", **others}
        return {**os.environ, **hub.environment(home, xet), **variables}

    return build


@pytest.fixture(scope="session")
def run_client(client_environment, tmp_path_factory):
    """Run a script of `clients` in a new process with its own cache, and return the last line that it prints."""

    def run(script, *arguments, home=None, **variables):
        home = home or tmp_path_factory.mktemp("home")
        # Not in the clone, so that only installed packages are found, and without answers to prompts.
        finished = subprocess.run(
            [sys.executable, "-I", str(CLIENTS / script), *map(str, arguments)],
            env=client_environment(home, **variables),
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert finished.returncode == 0, finished.stderr[-4000:]
        return json.loads(finished.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def pushed(run_client, tmp_path_factory):
    """Push every class under its name, and a pipeline, and keep all outputs on one cloud."""
    folder = tmp_path_factory.mktemp("pushed")
    run_client("push.py", folder)
    return folder
