"""Tests of `jointmae cards`: the cards in the repository are up to date, and their code runs."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from loopback_hub.cards import check_card

from jointmae_hf.cli import main
from jointmae_hf.evaluation import Result
from jointmae_hf.hub import facts_from_preset, render_model_card
from jointmae_hf.model.configuration_jointmae import PRESETS


CARDS = Path(__file__).parents[2] / "model_cards"
CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
UNRELEASED = [name for name in PRESETS if not (CHECKPOINTS / name).exists()]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    main(["cards", "--output_dir", str(folder), "--checkpoints", str(CHECKPOINTS)])
    return folder


def test_there_is_a_card_for_each_preset(written):
    names = {f"{name}.md" for name in PRESETS}
    assert {path.name for path in written.iterdir()} == names
    assert {path.name for path in CARDS.glob("*.md")} == {*names, "README.md"}


@pytest.mark.parametrize("name", PRESETS)
def test_card_in_the_repository_is_up_to_date(written, name):
    """`jointmae cards` updates them."""
    assert (CARDS / f"{name}.md").read_text(encoding="utf-8") == (written / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", UNRELEASED)
def test_card_without_weights_has_no_results(written, name):
    card = ModelCard.load(written / f"{name}.md")
    assert "weights of this configuration are not released yet" in card.text
    assert "from_pretrained" not in card.text
    assert card.data.eval_results is None
    assert card.data.metrics is None


@pytest.mark.parametrize("name", PRESETS)
def test_card_has_metadata_that_the_hub_accepts(written, name):
    assert check_card((written / f"{name}.md").read_text(encoding="utf-8")) == ([], [])


def test_example_code_of_a_preset_runs():
    card = render_model_card(facts_from_preset("jointmae-small")).text
    (code,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    names = {}
    exec(code, names)
    assert names["loss"].isfinite()
    assert f"| parameters | {sum(p.numel() for p in names['model'].parameters()):,} |" in card


def test_result_without_weights_is_rejected():
    result = Result("linear_svm", 91.0, "%", "test", "last epoch", 0, 10, 10, "modelnet40")
    with pytest.raises(ValueError, match="`results` must be empty for a configuration without weights, got 1"):
        render_model_card(replace(facts_from_preset("jointmae-small"), results=[result]))
