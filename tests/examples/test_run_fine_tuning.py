"""The scripts of Tables 2 to 5 as users start them, on tiny models."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoProcessor

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEForPointCloudSegmentation
from jointmae_hf.data import generate_shape


EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_points": 64, "num_groups": [16, 8], "intermediate_size": 32}
SHAPES = {"num_train": 60, "num_validation": 20, "num_test": 20, "num_points": 64}


def run(script, output_dir, *flags):
    """Start a script from scratch; return its results and what it prints."""
    command = [sys.executable, str(EXAMPLES / script), "--output_dir", str(output_dir), "--from_scratch", "True"]
    command += ["--config_overrides", json.dumps(SMALL), "--use_cpu", "True", "--report_to", "none", *flags]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    content = json.loads((output_dir / "results.json").read_text(encoding="utf-8"))
    return content["results"], finished.stdout


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """Output folder, results and printed text of a run on a user's tree of clouds of different sizes."""
    root = tmp_path_factory.mktemp("my clouds")
    for split, count in (("train", 40), ("test", 8)):
        for index in range(count):
            shape = generate_shape(0, split, index % 2 + 20 * index, num_points=80 + index % 3)
            folder = root / split / ("mug" if index % 2 else "chair")
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{index}.npy", 50 + 20 * shape.points)
    output_dir = tmp_path_factory.mktemp("runs") / "mine"
    flags = ["--data_dir", str(root), "--num_train_epochs", "2", "--per_device_train_batch_size", "8"]
    return output_dir, *run("run_classification.py", output_dir, *flags)


def test_classification_reports_last_and_best_with_and_without_a_vote(classified):
    _, results, printed = classified
    found = {(result["name"], result["selection_rule"]) for result in results}
    rules = ("last epoch", "best overall_accuracy on validation")
    names = ("overall_accuracy", "class_accuracy", "overall_accuracy_voted", "class_accuracy_voted")
    assert found == {(name, rule) for name in names for rule in rules}
    assert {result["split"] for result in results} == {"test"}
    assert "| from scratch | my clouds" in printed


def test_classification_leaves_a_classifier_of_the_users_classes(classified):
    output_dir, _, _ = classified
    model = JointMAEForPointCloudClassification.from_pretrained(output_dir).eval()
    inputs = AutoProcessor.from_pretrained(output_dir)(np.eye(3), return_tensors="pt")
    assert model.config.id2label == {0: "chair", 1: "mug"}
    assert model(**inputs).logits.shape == (1, 2)
    assert ModelCard.load(output_dir / "README.md").data.library_name == "transformers"


def test_segmentation_reports_means_and_each_category(tmp_path):
    flags = ["--dataset_options", json.dumps(SHAPES), "--num_train_epochs", "1", "--num_groups", "32", "16"]
    flags += ["--metric_for_best_model", "loss", "--bf16_full_eval", "True"]
    flags += ["--config_overrides", json.dumps({name: SMALL[name] for name in SMALL if name != "num_groups"})]
    results, _ = run("run_segmentation.py", tmp_path / "parts", *flags)
    last = [result for result in results if result["selection_rule"] == "last epoch"]
    ious = [result["value"] for result in last if result["name"] == "category_iou"]
    means = {result["name"]: result["value"] for result in last}
    assert len(ious) == 20
    assert means["class_miou"] == pytest.approx(np.mean(ious))
    assert all("32 and 16 groups" in result["protocol"] for result in last)
    assert {result["selection_rule"] for result in results} == {"last epoch", "best loss on validation"}
    model = JointMAEForPointCloudSegmentation.from_pretrained(tmp_path / "parts", dtype="auto")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}  # although bfloat16 was measured
    assert (model.config.num_categories, model.config.id2label[0]) == (20, "airplane fuselage")


@pytest.mark.parametrize("classifier", ["linear_svm", "fine_tuning"])
def test_few_shot_reports_mean_and_spread_and_keeps_its_folds(tmp_path, classifier):
    shapes = {**SHAPES, "num_train": 80, "num_test": 400}
    flags = ["--dataset", "synthetic_shapes", "--dataset_options", json.dumps(shapes), "--classifier", classifier]
    flags += ["--num_ways", "5", "--num_shots", "4", "--num_folds", "2"]
    if classifier == "fine_tuning":
        flags += ["--num_train_epochs", "1", "--per_device_train_batch_size", "10"]
    results, _ = run("run_few_shot.py", tmp_path / "folds", *flags)
    (result,) = results
    assert result["protocol"] == f"5-way 4-shot, {classifier}"
    assert (result["num_runs"], result["num_train"], result["num_test"]) == (2, 20, 100)
    measured = json.loads((tmp_path / "folds" / "folds.json").read_text())["accuracies"]["5-way 4-shot"]
    assert result["value"] == pytest.approx(50 * sum(measured.values()))
