"""The pre-training script as users start it: two steps by default, the whole quick recipe when slow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModel, AutoProcessor

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.data import generate_shape


SCRIPT = Path(__file__).parents[2] / "examples" / "run_pretrain.py"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_points": 256, "num_groups": [64, 16], "image_size": 64}


def run(output_dir, *flags, check=True):
    """Start the script by `accelerate launch`."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", str(SCRIPT)]
    command = [*launch, "--output_dir", str(output_dir), *flags]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=900)


def values(output_dir):
    results = json.loads((output_dir / "results.json").read_text(encoding="utf-8"))
    return {result["name"]: result["value"] for result in results["results"]}


@pytest.fixture(scope="module")
def cloud_folder(tmp_path_factory):
    """A user's tree of clouds: two splits, two classes, sizes that differ, far from the unit sphere."""
    root = tmp_path_factory.mktemp("my clouds")
    for split, count in (("train", 40), ("test", 12)):
        for index in range(count):
            shape = generate_shape(0, "train", index % 2 + 20 * index, num_points=300 + index % 3)
            folder = root / split / ("mug" if index % 2 else "chair")
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{index}.npy", 50 + 20 * shape.points.astype(np.float64))
    return root


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cloud_folder):
    """Output folder and printed text of a run on the user's clouds."""
    output_dir = tmp_path_factory.mktemp("runs") / "mine"
    flags = ["--data_dir", str(cloud_folder), "--config_overrides", json.dumps(SMALL), "--max_steps", "4"]
    flags += ["--per_device_train_batch_size", "8", "--save_strategy", "steps", "--save_steps", "2"]
    flags += ["--save_total_limit", "2", "--logging_steps", "2", "--log_gradient_norms", "True"]
    flags += ["--bf16_full_eval", "True", "--use_cpu", "True"]
    return output_dir, run(output_dir, *flags)


def test_script_leaves_a_loadable_checkpoint(finished):
    output_dir, _ = finished
    model, processor = AutoModel.from_pretrained(output_dir), AutoProcessor.from_pretrained(output_dir)
    inputs = processor(np.random.default_rng(0).normal(size=(500, 3)), return_tensors="pt")
    assert model.eval()(**inputs).pooler_output.shape == (1, 32)
    pretrained = JointMAEForPreTraining.from_pretrained(output_dir, dtype="auto")
    assert pretrained.config.num_points == 256
    assert {parameter.dtype for parameter in pretrained.parameters()} == {torch.float32}


def test_script_leaves_figure_results_and_card(finished):
    output_dir, _ = finished
    assert (output_dir / "reconstruction.png").stat().st_size > 10_000
    assert {"loss_3d", "loss_3d_trivial", "loss_3d_2d_perfect", "linear_svm", "linear_svm_untrained"} <= set(
        values(output_dir)
    )
    card = ModelCard.load(output_dir / "README.md")
    assert card.data.library_name == "transformers"
    assert "reconstruction.png" in card.text


def test_script_prints_the_losses_and_the_linear_svm(finished):
    _, process = finished
    assert "loss_3d_2d" in process.stdout
    assert "linear SVM accuracy on held-out clouds: pre-trained" in process.stdout
    assert "loss_2d=" in process.stderr


def test_script_writes_no_path_of_the_machine(finished, cloud_folder):
    output_dir, _ = finished
    for name in ("results.json", "README.md", "config.json", "preprocessor_config.json"):
        assert str(cloud_folder.parent) not in (output_dir / name).read_text(encoding="utf-8")


def test_script_resumes_to_the_same_weights(finished, cloud_folder):
    output_dir, _ = finished
    flags = ["--data_dir", str(cloud_folder), "--config_overrides", json.dumps(SMALL), "--max_steps", "4"]
    flags += ["--per_device_train_batch_size", "8", "--save_strategy", "no", "--num_probe_train", "0"]
    resumed_dir = output_dir.parent / "resumed"
    run(resumed_dir, *flags, "--resume_from_checkpoint", str(output_dir / "checkpoint-2"))
    first = JointMAEForPreTraining.from_pretrained(output_dir).state_dict()
    second = JointMAEForPreTraining.from_pretrained(resumed_dir).state_dict()
    assert all(first[name].equal(second[name]) for name in first)


def test_script_goes_on_from_a_checkpoint(finished, cloud_folder, tmp_path):
    start, _ = finished
    flags = ["--model", str(start), "--dataset", "synthetic_shapes", "--max_steps", "1", "--learning_rate", "1e-9"]
    flags += ["--dataset_options", '{"num_train": 80, "num_validation": 6, "num_test": 16, "num_points": 256}']
    flags += ["--config_overrides", '{"num_views": 2}', "--per_device_train_batch_size", "8", "--save_strategy", "no"]
    process = run(tmp_path, *flags, "--use_cpu", "True", "--report_to", "none", "--data_on_device", "True")
    before, after = (JointMAEForPreTraining.from_pretrained(folder) for folder in (start, tmp_path))
    assert (after.config.hidden_size, after.config.num_views) == (before.config.hidden_size, 2)
    for name, weight in after.named_parameters():
        torch.testing.assert_close(weight, before.get_parameter(name), rtol=0, atol=1e-8)
    assert "before " in process.stdout
    assert {"linear_svm", "linear_svm_before"} < set(values(tmp_path))
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["run"]["training_data"]
    assert [one["name"] for one in data] == [cloud_folder.name, "synthetic_shapes"]


def test_script_mixes_datasets_and_reports_their_shares(tmp_path, cloud_folder):
    flags = ["--dataset", "primitive_shapes", "folder", "--dataset_weights", "0.75", "0.25"]
    flags += ["--dataset_options", '[{"num_points": 256, "num_validation": 6}, {}]', "--data_dir", str(cloud_folder)]
    flags += ["--config_overrides", json.dumps(SMALL), "--max_steps", "2", "--per_device_train_batch_size", "8"]
    process = run(tmp_path, *flags, "--use_cpu", "True", "--save_strategy", "no", "--report_to", "none")
    data = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["run"]["training_data"]
    assert [(one["name"], one["license"], one["share"], one["num_drawn"]) for one in data] == [
        ("primitive_shapes", "apache-2.0", 0.75, 12),
        (cloud_folder.name, None, 0.25, 4),
    ]
    assert "75 % of the batches, 12 clouds" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "linear SVM accuracy on held-out clouds" in process.stdout  # of the folder, which has classes


def test_script_names_a_wrong_weight_before_any_work(tmp_path):
    flags = ["--dataset", "primitive_shapes", "sample_shapes", "--dataset_weights", "0.7", "0"]
    process = run(tmp_path, *flags, check=False)
    assert process.returncode != 0
    assert "`dataset_weights` must be positive and finite, got 0.0 for sample_shapes" in process.stderr


def test_script_refuses_an_unknown_recipe(tmp_path):
    process = run(tmp_path, "--recipe", "quickest", check=False)
    assert process.returncode != 0
    assert "--recipe must be one of" in process.stderr


@pytest.mark.slow
def test_quick_recipe_beats_the_untrained_encoder(tmp_path):
    """Measured with seed 42: losses 0.51, 0.51 and 0.63 of the trivial ones, linear SVM 64.8 % against 46.6 %."""
    run(tmp_path / "quick")
    measured = values(tmp_path / "quick")
    for name in ("loss_3d", "loss_2d", "loss_3d_2d"):
        assert measured[name] < 0.7 * measured[f"{name}_trivial"]
    assert measured["linear_svm"] > measured["linear_svm_untrained"] + 5.0
