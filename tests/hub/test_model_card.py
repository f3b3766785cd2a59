"""Tests of model cards."""

import re
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from jointmae_hf.evaluation import Result, write_results
from jointmae_hf.hub import ModelCardFacts, TrainingData, card_from_run, render_model_card


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
    (folder / "config.json").write_text('{"architectures": ["JointMAEForPreTraining"]}')
    run = {"recipe": {"seed": 3}, "training_data": [{"name": "Shapes", "license": "MIT"}], "command": "python run.py"}
    write_results(folder / "results.json", [SVM], run)
    return folder


def test_render_model_card_has_metadata_that_parses():
    data = ModelCard(str(render_model_card(FACTS))).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "transformers", "feature-extraction")
    assert data.datasets == ["org/shapes"]
    assert data.metrics == ["accuracy"]


def test_render_model_card_has_the_tags():
    tags = render_model_card(FACTS).data.tags
    assert tags == ["point-cloud", "3d", "masked-autoencoder", "self-supervised-learning", "joint-mae"]


def test_render_model_card_has_a_model_index_of_measures_alone():
    """Losses and baselines are on the card, not in its metadata."""
    (result,) = render_model_card(FACTS).data.eval_results
    assert (result.dataset_name, result.dataset_split, result.metric_value) == ("modelnet40", "test", 91.25)
    assert (result.dataset_type, result.metric_type) == ("modelnet40", "accuracy")
    assert result.metric_name == "linear SVM (%): last epoch; seed 3"


def test_model_index_holds_the_mean_over_seeds():
    results = [replace(SVM, seed=seed, value=value) for seed, value in ((0, 90.0), (1, 92.0))]
    (result,) = render_model_card(replace(FACTS, results=results)).data.eval_results
    assert result.metric_value == 91.0
    assert "mean of 2 runs" in result.metric_name


def test_model_index_leaves_out_what_joint_mae_is_compared_with():
    scratch = replace(SVM, pre_training="from scratch", value=1.0)
    (result,) = render_model_card(replace(FACTS, results=[scratch, SVM])).data.eval_results
    assert result.metric_value == 91.25


def test_model_index_of_a_segmenter_has_mean_iou():
    results = [replace(SVM, name=name, dataset="shapenet_part") for name in ("class_miou", "instance_miou")]
    card = render_model_card(replace(FACTS, results=results))
    assert card.data.metrics == ["mean_iou"]
    assert [result.task_type for result in card.data.eval_results] == ["point-cloud-segmentation"] * 2


def test_render_model_card_gives_classifiers_a_tag_and_no_pipeline():
    card = render_model_card(replace(FACTS, architecture="JointMAEForPointCloudClassification"))
    assert card.data.pipeline_tag is None
    assert "point-cloud-classification" in card.data.tags
    assert "AutoModelForPointCloudClassification.from_pretrained" in card.text


def test_render_model_card_shows_results_next_to_the_paper():
    card = render_model_card(FACTS).text
    line = "| Joint-MAE on x | modelnet40 | linear_svm | 91.2 % | 92.4 % | test; last epoch | 3 | 9,840 / 2,468 |"
    assert line in card


def test_render_model_card_shows_losses_next_to_their_references():
    card = render_model_card(FACTS).text
    assert "| loss | data | learned | trivial | split, selection | seed |" in card
    assert "| `loss_3d` | shapes | 0.0076 | 0.0209 | validation; last epoch | 3 |" in card


@pytest.mark.parametrize(
    ("architecture", "text"),
    [
        ("JointMAEForPreTraining", "Pre-training needs no labels"),
        ("JointMAEModel", "This is the encoder"),
        ("JointMAEForPointCloudClassification", "assigns one class to a point cloud"),
        ("JointMAEForPointCloudSegmentation", "assigns one part to every point of a cloud"),
    ],
)
def test_render_model_card_states_the_purpose_of_each_class(architecture, text):
    assert text in render_model_card(ModelCardFacts("org/tiny", architecture)).text


def test_render_model_card_names_labels_and_base_model():
    facts = replace(FACTS, architecture="JointMAEForPointCloudClassification", labels=["mug", "chair"])
    card = render_model_card(replace(facts, base_model="org/jointmae-base"))
    assert "Classes, 2: mug, chair." in card.text
    assert card.data.base_model == "org/jointmae-base"


def test_metadata_have_no_base_model_when_it_is_no_hub_id():
    assert render_model_card(replace(FACTS, base_model="my-run")).data.base_model is None


def test_example_code_loads_the_tagged_version():
    card = render_model_card(replace(FACTS, revision="v1.0"))
    assert card.text.count('"org/jointmae-base", revision="v1.0"') == 4


@pytest.mark.parametrize(
    "text",
    [
        "y up",
        "It samples 2,048 points",
        "| parameters | 30,000,000 |",
        "| `hidden_size` | 384 |",
        "[Shapes](https://example.org/shapes), 41,952 clouds, license: CC BY 4.0",
        "| `learning_rate` | 0.0005 |",
        "- Trained on furniture.",
        "](figure.png)",
        '"org/jointmae-base"',
        "Guo, Ziyu and Zhang, Renrui and Qiu, Longtian and Li, Xianzhi and Heng, Pheng-Ann",
        "2302.14007",
        "- command: `python run.py`",
    ],
)
def test_render_model_card_has_each_fact(text):
    assert text in render_model_card(FACTS).text


@pytest.mark.parametrize(
    "text",
    [
        "## Results",
        "## Recipe",
        "## Training data",
        "## Environment",
        "![",
        "None",
        "It samples",
        "model-index",
        "## Model",
    ],
)
def test_render_model_card_leaves_out_what_is_not_known(text):
    assert text not in str(render_model_card(ModelCardFacts(model_id="org/tiny")))


def test_render_model_card_has_no_open_placeholder():
    card = str(render_model_card(FACTS))
    assert not re.search(r"\{\{|\{%|\{#", card)
    assert "\n\n\n" not in card
    assert "More information needed" not in card


def test_render_model_card_stays_short():
    assert len(str(render_model_card(FACTS)).splitlines()) < 200


def test_render_model_card_keeps_tables_whole_when_a_value_has_a_bar():
    assert r"| `mask` | a\|b c |" in render_model_card(replace(FACTS, recipe={"mask": "a|b\nc"})).text


def test_known_facts_override_those_of_the_folder(output_dir):
    assert card_from_run(output_dir, model_id="org/better").data.model_name == "better"


def test_card_from_run_does_not_contain_the_path_of_the_folder(output_dir):
    assert str(output_dir.parent) not in str(card_from_run(output_dir))


def test_training_data_of_a_mixture_have_their_shares():
    data = [
        TrainingData("Shapes", "MIT", num_samples=300, share=0.75, num_drawn=300),
        TrainingData("Mine", share=0.25),
    ]
    text = str(render_model_card(replace(FACTS, training_data=data)))
    assert "- Shapes, 75 % of the batches, 300 clouds, license: MIT" in text
    assert "- Mine, 25 % of the batches" in text
