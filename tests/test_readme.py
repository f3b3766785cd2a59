"""The README says what the kept results say."""

import json
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def measured():
    results = json.loads((ROOT / "docs" / "results" / "run_pretrain_quick.json").read_text(encoding="utf-8"))
    return {result["name"]: result["value"] for result in results["results"]}


@pytest.mark.parametrize("name", ["loss_3d", "loss_2d", "loss_3d_2d"])
def test_losses_are_those_of_the_results_file(measured, name):
    kinds = ["", "_trivial", "_perfect"]
    cells = [f"{measured[name + kind]:.4f}" if name + kind in measured else "" for kind in kinds]
    row = "| " + " | ".join([f"{name}, validation", *cells]) + " |"
    assert row.replace("|  |", "| |") in (ROOT / "README.md").read_text(encoding="utf-8")


def test_linear_svm_is_that_of_the_results_file(measured):
    row = f"| {measured['linear_svm']:.1f} % | {measured['linear_svm_untrained']:.1f} % |"
    assert row in (ROOT / "README.md").read_text(encoding="utf-8")
