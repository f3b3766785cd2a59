"""The progress bar with the losses, and figures of fixed clouds at each evaluation, read back from where they went."""

import sys

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from transformers import ProgressCallback

from jointmae_hf.data import read_point_cloud
from jointmae_hf.training import LossProgressCallback, ReconstructionCallback
from jointmae_hf.training.arguments import default_tracker
from jointmae_hf.visualization import reconstruct


TITLES = ["mug", "chair"]


def test_bar_shows_the_three_losses(make_trainer, capsys):
    trainer = make_trainer(disable_tqdm=False)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(LossProgressCallback)
    trainer.train()
    output = "".join(capsys.readouterr())
    assert all(f"{name}=" in output for name in ("loss", "loss_3d", "loss_2d", "loss_3d_2d"))


@pytest.fixture
def train(make_trainer, make_cloud, tiny_config):
    """Train four steps with an evaluation after each two, then evaluate once more as scripts do at the end."""

    def run(config=tiny_config, has_callback=True, **arguments):
        trainer = make_trainer(config=config, eval_strategy="steps", eval_steps=2, **arguments)
        if has_callback:
            trainer.add_callback(ReconstructionCallback(trainer, make_cloud(), TITLES))
        trainer.train()
        trainer.evaluate()
        return trainer

    return run


@pytest.fixture
def trackio_home(tmp_path, monkeypatch):
    """A folder for trackio, which reads its place while it is imported, and ends its run at the end of the process."""
    pytest.importorskip("trackio")
    for name in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    yield tmp_path / "trackio"
    import trackio

    trackio.finish()


def test_each_evaluation_leaves_a_figure(train, tmp_path):
    train()
    pictures = {path.name: imread(path) for path in (tmp_path / "run" / "validation").iterdir()}
    assert sorted(pictures) == ["step_000002.png", "step_000004.png"]
    assert pictures["step_000002.png"].shape[1] == 1200
    assert not np.array_equal(*pictures.values()), "the model has learned in between"


def test_figures_differ_by_the_weights_alone(make_trainer, make_cloud, tmp_path):
    trainer = make_trainer()
    trainer.add_callback(ReconstructionCallback(trainer, make_cloud(), TITLES))
    for step in (1, 2):
        trainer.state.global_step = step
        trainer.evaluate()
    first, last = (imread(path) for path in sorted((tmp_path / "run" / "validation").iterdir()))
    np.testing.assert_array_equal(first, last)


def test_figures_leave_training_as_it_is(train):
    weights, expected = (train(has_callback=has_callback).model.state_dict() for has_callback in (True, False))
    assert [name for name in expected if not torch.equal(weights[name], expected[name])] == []


def test_tensorboard_gets_each_figure_as_it_was_saved(train, tmp_path):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(report_to="tensorboard")
    events = event_accumulator.EventAccumulator(str(next((tmp_path / "run" / "runs").iterdir())))
    events.Reload()
    images = events.Images("eval/reconstruction")
    assert [image.step for image in images] == [2, 4]
    saved = imread(tmp_path / "run" / "validation" / "step_000004.png")[..., :3]
    (tmp_path / "sent.png").write_bytes(images[1].encoded_image_string)
    np.testing.assert_allclose(imread(tmp_path / "sent.png")[..., :3], saved, atol=1.5 / 255)


def test_trackio_gets_figure_and_reconstructions_as_3d_objects(train, make_cloud, trackio_home):
    trainer = train(report_to="trackio", run_name="drawn", project="tests")
    from trackio.sqlite_storage import SQLiteStorage

    logs = SQLiteStorage.get_logs("tests", "drawn")
    figures = [log["eval/reconstruction"] for log in logs if "eval/reconstruction" in log]
    assert [figure["caption"] for figure in figures] == ["step 2", "step 4"]
    sent = [log["eval/reconstruction_1"] for log in logs if "eval/reconstruction_1" in log][-1]
    assert (sent["_type"], sent["caption"], sent["kind"]) == ("trackio.object3d", "chair", "point_cloud")
    points = read_point_cloud(trackio_home / "media" / sent["file_path"])
    expected = reconstruct(trainer.unwrapped_model, make_cloud(), trainer.args.seed).reconstructed_points[1]
    np.testing.assert_allclose(points, expected.numpy(), atol=1e-6)


def test_3d_only_model_has_no_figure(train, build_tiny_config, tmp_path):
    train(build_tiny_config(use_2d_branch=False))
    assert not (tmp_path / "run" / "validation").exists()


def test_scripts_report_to_tensorboard_where_it_is_installed(monkeypatch):
    monkeypatch.setattr("jointmae_hf.training.arguments.is_tensorboard_available", lambda: True)
    assert default_tracker() == "tensorboard"
    monkeypatch.setattr("jointmae_hf.training.arguments.is_tensorboard_available", lambda: False)
    assert default_tracker() == "none"
