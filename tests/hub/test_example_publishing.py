"""`--push_to_hub` of the pre-training script, started as users start it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub.cards import check_card


SCRIPT = Path(__file__).parents[2] / "examples" / "run_pretrain.py"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_points": 256, "num_groups": [64, 16], "image_size": 64}

pytestmark = pytest.mark.hub


@pytest.fixture(scope="module")
def files(hub, client_environment, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    flags = ["--output_dir", "run", "--config_overrides", json.dumps(SMALL), "--max_steps", "2"]
    flags += ["--num_probe_train", "0", "--push_to_hub", "True"]
    command = [sys.executable, str(SCRIPT), *flags, "--hub_model_id", "tester/from-script"]
    environment = client_environment(home)
    finished = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=500)
    assert finished.returncode == 0, finished.stderr[-4000:]
    return hub.files("tester/from-script")


def test_script_publishes_in_one_commit(hub, files):
    titles = [commit["title"] for commit in hub.repositories["model", "tester/from-script"].history()]
    assert titles == ["Upload JointMAEForPreTraining", "initial commit"]


def test_script_publishes_no_pickle_and_no_checkpoint(files):
    endings = {Path(name).suffix for name in files if name != ".gitattributes"}
    assert endings == {".json", ".md", ".png", ".py", ".safetensors"}
    assert not any("/" in name for name in files)


def test_card_of_the_script_is_valid_and_names_the_repository(files):
    card = files["README.md"].decode()
    assert check_card(card) == ([], [])
    assert 'from_pretrained("tester/from-script")' in card
    assert "synthetic_shapes" in card
