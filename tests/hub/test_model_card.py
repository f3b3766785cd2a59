"""Tests of the model card."""

import json
from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from jointmae_hf.evaluation import Result, write_results
from jointmae_hf.hub import ModelCardFacts, TrainingData, card_from_run, facts_from_run, render_model_card


RESULT = Result("linear_svm_accuracy", 91.25, "%", "test", "last epoch", 3, 9840, 2468, "ModelNet40")
FACTS = ModelCardFacts(
    model_id="org/jointmae-base",
    num_points=2048,
    training_data=[TrainingData("Shapes", "CC BY 4.0", "https://example.org/shapes", 41952, "org/shapes")],
    recipe={"learning_rate": 5e-4, "num_train_epochs": 300},
    results=[RESULT],
    paper_values={"linear_svm_accuracy": 92.4},
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
    write_results(folder / "results.json", [RESULT], facts)
    return folder


def test_render_model_card_has_metadata_that_parses():
    data = ModelCard(render_model_card(FACTS)).data
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "transformers", "feature-extraction")
    assert data.datasets == ["org/shapes"]
    assert data.metrics == ["accuracy"]


def test_render_model_card_has_the_tags():
    tags = ModelCard(render_model_card(FACTS)).data.tags
    assert tags == ["point-cloud", "3d", "masked-autoencoder", "self-supervised-learning", "joint-mae"]


def test_render_model_card_has_a_model_index():
    (result,) = ModelCard(render_model_card(FACTS)).data.eval_results
    assert (result.dataset_name, result.dataset_split, result.metric_value) == ("ModelNet40", "test", 91.25)
    assert (result.dataset_type, result.metric_type) == ("modelnet40", "accuracy")


def test_render_model_card_gives_classifiers_a_tag_and_no_pipeline():
    card = render_model_card(replace(FACTS, architecture="JointMAEForPointCloudClassification"))
    data = ModelCard(card).data
    assert data.pipeline_tag is None
    assert "point-cloud-classification" in data.tags
    assert "AutoModelForPointCloudClassification.from_pretrained" in card


def test_render_model_card_shows_results_beside_the_paper():
    assert (
        "| linear_svm_accuracy | ModelNet40 | test | 91.25 % | 92.40 % | last epoch | 3 | 9,840 | 2,468 |"
        in render_model_card(FACTS)
    )


@pytest.mark.parametrize(
    "text",
    [
        "y up",
        "2,048 points per cloud",
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
    ["## Results", "## Recipe", "## Training data", "## Environment", "![", "None", "points per cloud", "model-index"],
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
    assert (facts.model_id, facts.results, facts.recipe) == ("my-run", [RESULT], {"seed": 3})
    assert facts.training_data == [TrainingData("Shapes", "MIT")]
    assert facts.figure is None


def test_facts_from_run_finds_figure_and_number_of_points(output_dir):
    (output_dir / "figure.png").touch()
    (output_dir / "preprocessor_config.json").write_text('{"num_points": 1024}')
    facts = facts_from_run(output_dir)
    assert (facts.figure, facts.num_points) == ("figure.png", 1024)


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
