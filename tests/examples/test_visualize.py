"""The drawing scripts on a tiny checkpoint and a cloud file."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jointmae_hf import JointMAEForPreTraining


EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def cloud(tmp_path):
    points = np.random.default_rng(0).normal(size=(300, 3))
    np.save(tmp_path / "my cloud.npy", 7 + 30 * points)
    return tmp_path / "my cloud.npy"


@pytest.fixture
def checkpoint(build_tiny_config, tmp_path):
    def save(**overrides):
        JointMAEForPreTraining(build_tiny_config(image_size=64, **overrides)).save_pretrained(tmp_path / "tiny")
        return tmp_path / "tiny"

    return save


@pytest.fixture
def run(monkeypatch, tmp_path):
    def start(script, *flags):
        arguments = ["--output_dir", str(tmp_path / "out"), "--dpi", "50", *map(str, flags)]
        monkeypatch.setattr("sys.argv", [script, *arguments])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return sorted(path.name for path in (tmp_path / "out").iterdir())

    return start


def test_pipeline_script_draws_three_figures_of_a_cloud(run, checkpoint, cloud, tmp_path):
    written = run("visualize_pipeline.py", "--model", checkpoint(), "--cloud", cloud)
    assert written == ["alignment.png", "losses.png", "pipeline.png"]
    assert Image.open(tmp_path / "out" / "losses.png").text["checkpoint"] == "tiny"


def test_reconstruction_script_draws_figures_and_a_page(run, checkpoint, cloud, tmp_path):
    written = run("visualize_reconstruction.py", "--model", checkpoint(), "--cloud", cloud)
    assert written == ["attention.png", "reconstruction.html", "reconstruction.png"]
    page = (tmp_path / "out" / "reconstruction.html").read_text(encoding="utf-8")
    assert "my cloud" in page
    assert str(tmp_path) not in page


def test_reconstruction_script_draws_the_page_alone_of_a_3d_only_model(run, checkpoint, cloud):
    model = checkpoint(use_2d_branch=False)
    assert run("visualize_reconstruction.py", "--model", model, "--cloud", cloud) == ["reconstruction.html"]


@pytest.mark.parametrize("script", ["visualize_pipeline.py", "visualize_reconstruction.py"])
def test_script_names_the_index_when_there_is_no_such_cloud(run, checkpoint, script):
    with pytest.raises(ValueError, match="`index` must be one of 2 clouds, counted from 0, got 2"):
        run(script, "--model", checkpoint(), "--num_clouds", "2", "--index", "2")
