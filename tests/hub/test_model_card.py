"""Tests of the model card."""

import json
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from jointmae_hf import JointMAEForPointCloudClassification
from jointmae_hf.data import load_point_clouds
from jointmae_hf.evaluation import Result, write_results
from jointmae_hf.hub import ModelCardFacts, TrainingData, card_from_run, facts_from_run, render_model_card


SVM = Result(
    "linear_svm", 91.25, "%", "test", "last epoch", 3, 9840, 2468, "modelnet40", pre_training="Joint-MAE on x"
)
UNTRAINED = replace(SVM, name="linear_svm_untrained", value=40.0, pre_training=None)
LOSS = Result("loss_3d", 0.0076, "squared units", "validation", "last epoch", 3, 9840, 200, "shapes")
TRIVIAL = replace(LOSS, name="loss_3d_trivial", value=0.0209)
FACTS = ModelCardFacts(
    model_id="org/jointmae-base",
    num_points=2048,
    training_data=[TrainingData("Shapes", "CC BY 4.0", "https://example.org/shapes", 41952, "org/shapes")],
    recipe={"learning_rate": 5e-4, "num_train_epochs": 300},
    results=[SVM, UNTRAINED, LOSS, TRIVIAL],
    settings={"hidden_size": 384},
    num_parameters=30_000_000,
    run={"commit": "a" * 40, "command": "python run.py", "versions": {"torch": "2.9"}, "hardware": {"num_cores": 2}},
    limits=["Trained on furniture."],
    figure="figure.png",
)


@pytest.fixture
def output_dir(tmp_path):
    folder = tmp_path / "my-run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["JointMAEForPreTraining"]}))
    facts = {
        "recipe": {"seed": 3},
        "training_data": [{"name": "Shapes", "licence": "MIT"}],
        "command": "python run.py",
    }
    write_results(folder / "results.json", [SVM], facts)
    return folder


def test_render_model_card_has_metadata_that_parses():
    data = ModelCard(render_model_card(FACTS)).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "transformers", "feature-extraction")
    assert data.datasets == ["org/shapes"]
    assert data.metrics == ["accuracy"]


def test_render_model_card_has_the_tags():
    tags = ModelCard(render_model_card(FACTS)).data.tags
    assert tags == ["point-cloud", "3d", "masked-autoencoder", "self-supervised-learning", "joint-mae"]


def test_render_model_card_has_a_model_index_of_measures_alone():
    """Losses and what the checkpoint is compared with are on the card, not in its metadata."""
    (result,) = ModelCard(render_model_card(FACTS)).data.eval_results
    assert (result.dataset_name, result.dataset_split, result.metric_value) == ("modelnet40", "test", 91.25)
    assert (result.dataset_type, result.metric_type) == ("modelnet40", "accuracy")
    assert result.metric_name == "linear SVM (%): last epoch; seed 3"


def test_model_index_holds_the_mean_over_seeds():
    results = [replace(SVM, seed=seed, value=value) for seed, value in ((0, 90.0), (1, 92.0))]
    (result,) = ModelCard(render_model_card(replace(FACTS, results=results))).data.eval_results
    assert result.metric_value == 91.0
    assert "mean of 2 runs" in result.metric_name


def test_model_index_leaves_out_what_joint_mae_is_compared_with():
    scratch = replace(SVM, pre_training="from scratch", value=1.0)
    (result,) = ModelCard(render_model_card(replace(FACTS, results=[scratch, SVM]))).data.eval_results
    assert result.metric_value == 91.25


def test_model_index_of_a_segmenter_has_mean_iou():
    results = [replace(SVM, name=name, dataset="shapenet_part") for name in ("class_miou", "instance_miou")]
    card = ModelCard(render_model_card(replace(FACTS, results=results)))
    assert card.data.metrics == ["mean_iou"]
    assert [result.task_type for result in card.data.eval_results] == ["point-cloud-segmentation"] * 2


def test_render_model_card_gives_classifiers_a_tag_and_no_pipeline():
    card = render_model_card(replace(FACTS, architecture="JointMAEForPointCloudClassification"))
    data = ModelCard(card).data
    assert data.pipeline_tag is None
    assert "point-cloud-classification" in data.tags
    assert "AutoModelForPointCloudClassification.from_pretrained" in card


def test_render_model_card_shows_results_beside_the_paper():
    card = render_model_card(FACTS)
    line = "| Joint-MAE on x | modelnet40 | linear_svm | 91.2 % | 92.4 % | test; last epoch | 3 | 9,840 / 2,468 |"
    assert line in card


def test_render_model_card_shows_losses_beside_their_references():
    card = render_model_card(FACTS)
    assert "| loss | data | learned | trivial | split, selection | seed |" in card
    assert "| `loss_3d` | shapes | 0.0076 | 0.0209 | validation; last epoch | 3 |" in card


@pytest.mark.parametrize(
    ("architecture", "text"),
    [
        ("JointMAEForPreTraining", "Pre-training needs no labels"),
        ("JointMAEModel", "It is the encoder"),
        ("JointMAEForPointCloudClassification", "gives a point cloud one class"),
        ("JointMAEForPointCloudSegmentation", "gives every point of a cloud one part"),
    ],
)
def test_render_model_card_says_what_each_class_is_for(architecture, text):
    assert text in render_model_card(ModelCardFacts("org/tiny", architecture))


def test_render_model_card_names_labels_and_base_model():
    facts = replace(FACTS, architecture="JointMAEForPointCloudClassification", labels=["mug", "chair"])
    card = render_model_card(replace(facts, base_model="org/jointmae-base"))
    assert "Classes, 2: mug, chair." in card
    assert ModelCard(card).data.base_model == "org/jointmae-base"


def test_base_model_that_is_no_id_stays_out_of_the_metadata():
    assert ModelCard(render_model_card(replace(FACTS, base_model="my-run"))).data.base_model is None


def test_usage_names_the_version():
    card = render_model_card(replace(FACTS, revision="v1.0"))
    assert card.count('"org/jointmae-base", revision="v1.0"') == 4


@pytest.mark.parametrize(
    "text",
    [
        "y up",
        "it takes 2,048 points",
        "| parameters | 30,000,000 |",
        "| `hidden_size` | 384 |",
        "[Shapes](https://example.org/shapes), 41,952 clouds, licence: CC BY 4.0",
        "| `learning_rate` | 0.0005 |",
        "- Trained on furniture.",
        "](figure.png)",
        '"org/jointmae-base"',
        "Guo, Ziyu and Zhang, Renrui and Qiu, Longtian and Li, Xianzhi and Heng, Pheng-Ann",
        "2302.14007",
        "- command: `python run.py`",
    ],
)
def test_render_model_card_tells_each_fact(text):
    assert text in render_model_card(FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "## Results",
        "## Recipe",
        "## Training data",
        "## Environment",
        "![",
        "None",
        "points, which",
        "model-index",
        "## Model",
    ],
)
def test_render_model_card_leaves_out_what_is_not_known(text):
    assert text not in render_model_card(ModelCardFacts(model_id="org/tiny"))


def test_render_model_card_has_no_open_placeholder():
    card = render_model_card(FACTS)
    assert "$" not in card
    assert "\n\n\n" not in card
    assert "More information needed" not in card


def test_render_model_card_stays_short():
    assert len(render_model_card(FACTS).splitlines()) < 200


def test_render_model_card_keeps_tables_whole_when_a_value_has_a_bar():
    assert r"| `mask` | a\|b c |" in render_model_card(replace(FACTS, recipe={"mask": "a|b\nc"}))


@pytest.mark.parametrize("figure", ["/home/someone/figure.png", "../figure.png"])
def test_model_card_facts_refuse_a_figure_outside_the_repository(figure):
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


def test_labels_that_nobody_named_are_left_out(tiny_config, tmp_path):
    JointMAEForPointCloudClassification(tiny_config).save_pretrained(tmp_path)
    assert facts_from_run(tmp_path).labels == []


def test_training_data_takes_the_terms_of_the_dataset(tmp_path):
    options = {"num_train": 2, "num_validation": 0, "num_test": 0, "num_points": 8, "cache_dir": tmp_path}
    split = load_point_clouds("synthetic_shapes", split="train", **options)
    assert TrainingData.from_split("synthetic_shapes", split) == TrainingData(
        "synthetic_shapes", "apache-2.0", None, 2
    )


def test_facts_from_run_needs_the_configuration_only(output_dir):
    (output_dir / "results.json").unlink()
    assert facts_from_run(output_dir).results == []


def test_facts_from_run_refuses_a_folder_without_configuration(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        facts_from_run(tmp_path)


def test_card_from_run_lets_known_facts_win(output_dir):
    data = ModelCard(card_from_run(output_dir, model_id="org/better")).data
    assert data.model_name == "better"


def test_card_from_run_does_not_tell_where_the_folder_lies(output_dir):
    assert str(output_dir.parent) not in card_from_run(output_dir)
