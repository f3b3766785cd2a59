"""README and first tutorial: short, true to the kept results, and runnable as pasted."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_RUN = (ROOT / "docs" / "first_run.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def measured():
    results = json.loads((ROOT / "docs" / "results" / "run_pretrain_quick.json").read_text(encoding="utf-8"))
    return {result["name"]: result["value"] for result in results["results"]}


@pytest.mark.parametrize("name", ["loss_3d", "loss_2d", "loss_3d_2d"])
def test_losses_are_those_of_the_results_file(measured, name):
    kinds = ["", "_trivial", "_perfect"]
    cells = [f"{measured[name + kind]:.4f}" if name + kind in measured else "" for kind in kinds]
    row = "| " + " | ".join([f"{name}, validation", *cells]) + " |"
    assert row.replace("|  |", "| |") in FIRST_RUN


def test_linear_svm_is_that_of_the_results_file(measured):
    row = f"| {measured['linear_svm']:.1f} % | {measured['linear_svm_untrained']:.1f} % |"
    assert row in FIRST_RUN


def test_nearest_neighbors_are_those_of_the_results_file():
    path = ROOT / "docs" / "results" / "nearest_neighbors_sample_shapes.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    counts = kept["random_weights_by_seed"].values()
    sentence = (
        f"the nearest neighbor has the same class for {kept['pretrained']} of {kept['num_objects']} objects, "
        f"with random weights for {min(counts)} to {max(counts)}"
    )
    assert sentence in " ".join(README.split())


def test_first_code_prints_what_it_says_when_pasted_into_a_fresh_interpreter():
    code = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL).group(1)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout
    assert f"# {run.stdout}" in code


def test_readme_has_at_most_150_lines():
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^):#]+)\)", README))))
def test_link_of_the_readme_leads_somewhere(target):
    assert (ROOT / target).exists()
