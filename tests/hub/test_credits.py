"""Licenses and credits of the training data on a card, and in the file next to it."""

import json
from dataclasses import asdict

import pytest

from jointmae_hf.evaluation import Result, write_results
from jointmae_hf.hub import ModelCardFacts, TrainingData, render_model_card, write_card
from jointmae_hf.hub.credits import credit_lines, license_notices, render_credits


LOSS = Result("loss", 0.1, "squared units", "validation", "last epoch", 0, 4, 4, "mine")
FREE = TrainingData("free", "cc0-1.0", num_samples=9)


def with_credits(name, number):
    """Return a dataset with some credits and one cloud without."""
    credits = [{"license": "CC-BY-4.0", "credit": f"Artist {one:02d}", "num_samples": 2} for one in range(number)]
    return TrainingData(name, None, None, 2 * number + 1, None, {"CC-BY-4.0": 2 * number, "CC0-1.0": 1}, credits)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["JointMAEForPreTraining"]}))

    def write(*data):
        write_results(tmp_path / "results.json", [LOSS], {"training_data": [asdict(one) for one in data]})
        write_card(tmp_path)
        return tmp_path

    return write


def test_few_credits_are_on_the_card(folder):
    output = folder(with_credits("mine", 3), FREE)
    card = (output / "README.md").read_text(encoding="utf-8")
    assert "- mine, 7 clouds, licenses: CC-BY-4.0 (6), CC0-1.0 (1)\n- free, 9 clouds, license: cc0-1.0\n" in card
    assert "These licenses ask for credit: CC-BY-4.0." in card
    assert "- Artist 02, CC-BY-4.0 (2)\n" in card
    assert not (output / "CREDITS.md").exists()


def test_many_credits_are_in_a_file_next_to_the_card(folder):
    output = folder(with_credits("mine", 200))
    card, credits = ((output / name).read_text(encoding="utf-8") for name in ("README.md", "CREDITS.md"))
    assert "[CREDITS.md](CREDITS.md) has all 200 credits, for 400 clouds." in card
    assert "Artist" not in card
    assert credits.count("\n- Artist") == 200


def test_stale_file_of_credits_is_removed(folder):
    folder(with_credits("mine", 200))
    assert not (folder(FREE) / "CREDITS.md").exists()


def test_equal_credits_of_several_datasets_are_joined():
    lines = credit_lines([with_credits("one", 2), with_credits("other", 1), FREE])
    assert lines == ["Artist 00, CC-BY-4.0 (4)", "Artist 01, CC-BY-4.0 (2)"]


def test_clouds_that_name_no_one_are_listed():
    data = TrainingData("mine", credits=[{"license": "CC-BY-4.0", "credit": "", "num_samples": 3}])
    assert credit_lines([data]) == ["(the data name no one), CC-BY-4.0 (3)"]


@pytest.mark.parametrize(
    ("data", "notice"),
    [
        (
            TrainingData("scans", "non-commercial research", None, 5),
            "**Restricted:** 5 clouds of scans: non-commercial",
        ),
        (TrainingData("mine", licenses={"CC-BY-NC-4.0": 2}), "**Restricted:** 2 clouds of mine: CC-BY-NC-4.0."),
        (TrainingData("mine", None, None, 1000), "**License not known:** 1,000 clouds of mine."),
        (TrainingData("mine", "ask Joe"), "**License not known:** mine: ask Joe."),
    ],
)
def test_licenses_that_forbid_sharing_or_are_not_known_are_stated(data, notice):
    (found,) = license_notices([FREE, data])
    assert found.startswith(notice)
    assert found in render_model_card(ModelCardFacts("org/tiny", training_data=[FREE, data])).text


def test_free_licenses_need_no_notice():
    assert license_notices([FREE, with_credits("mine", 2)]) == []
    assert render_credits("tiny", [FREE]) is None
