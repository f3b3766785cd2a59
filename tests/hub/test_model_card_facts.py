"""Tests of the facts on model cards."""

import json

import pytest

from jointmae_hf import JointMAEForPointCloudClassification
from jointmae_hf.data import load_point_clouds
from jointmae_hf.evaluation import Result, write_results
from jointmae_hf.hub import ModelCardFacts, TrainingData, facts_from_run


SVM = Result("linear_svm", 91.25, "%", "test", "last epoch", 3, 9840, 2468, "modelnet40", pre_training="Joint-MAE")


@pytest.fixture
def output_dir(tmp_path):
    folder = tmp_path / "my-run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["JointMAEForPreTraining"]}))
    run = {
        "recipe": {"seed": 3},
        "training_data": [{"name": "Shapes", "license": "MIT"}],
        "command": "python run.py",
    }
    write_results(folder / "results.json", [SVM], run)
    return folder


@pytest.mark.parametrize("figure", ["/home/someone/figure.png", "../figure.png"])
def test_figure_outside_the_repository_is_rejected(figure):
    with pytest.raises(ValueError, match="`figure` must be a path relative to the card"):
        ModelCardFacts(model_id="org/tiny", figure=figure)


def test_facts_from_run_reads_results_and_recipe(output_dir):
    facts = facts_from_run(output_dir)
    assert (facts.model_id, facts.results, facts.recipe) == ("my-run", [SVM], {"seed": 3})
    assert facts.training_data == [TrainingData("Shapes", "MIT")]
    assert facts.figure is None


def test_facts_from_run_finds_figure_and_number_of_points(output_dir):
    (output_dir / "figure.png").touch()
    (output_dir / "preprocessor_config.json").write_text('{"num_points": 1024}')
    facts = facts_from_run(output_dir)
    assert (facts.figure, facts.num_points) == ("figure.png", 1024)


def test_facts_from_run_reads_size_settings_and_labels(tiny_config, tmp_path):
    tiny_config.id2label = {0: "mug", 1: "chair"}
    model = JointMAEForPointCloudClassification(tiny_config)
    model.save_pretrained(tmp_path)
    facts = facts_from_run(tmp_path)
    assert facts.num_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert facts.settings["num_groups"] == [32, 16]
    assert "mask_ratio" not in facts.settings
    assert facts.labels == ["mug", "chair"]


def test_placeholder_labels_are_left_out(tiny_config, tmp_path):
    JointMAEForPointCloudClassification(tiny_config).save_pretrained(tmp_path)
    assert facts_from_run(tmp_path).labels == []


def test_training_data_from_split_has_the_license_of_the_dataset(tmp_path):
    options = {"num_train": 2, "num_validation": 0, "num_test": 0, "num_points": 8, "cache_dir": tmp_path}
    split = load_point_clouds("synthetic_shapes", split="train", **options)
    assert TrainingData.from_split("synthetic_shapes", split) == TrainingData(
        "synthetic_shapes", "apache-2.0", None, 2
    )


def test_facts_from_run_needs_the_configuration_only(output_dir):
    (output_dir / "results.json").unlink()
    assert facts_from_run(output_dir).results == []


def test_facts_from_run_raises_without_configuration(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        facts_from_run(tmp_path)
