"""Checkpoints of tiny models and files for the commands that use a model."""

import numpy as np
import pytest

from jointmae_hf import JointMAEFeatureExtractor


@pytest.fixture
def save_model(tmp_path):
    """Save a model with its feature extractor, and return the folder."""

    def save(model):
        model.save_pretrained(tmp_path / "model")
        JointMAEFeatureExtractor(num_points=64).save_pretrained(tmp_path / "model")
        return str(tmp_path / "model")

    return save


@pytest.fixture
def cloud(tmp_path):
    path = tmp_path / "cloud.npy"
    np.save(path, np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32))
    return str(path)


@pytest.fixture
def refuse(capsys):
    """Run a command that must end with status 2, and return the one line that it writes."""
    from jointmae_hf.cli import main

    def run(arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        assert stopped.value.code == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("jointmae")]
        assert len(lines) == 1
        return lines[0]

    return run
