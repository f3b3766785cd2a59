"""The notebook: stored as executed, and executed again by the slow test."""

import base64
import re
from pathlib import Path

import nbformat
import pytest


NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed_percents(notebook):
    """Return the percentages that the cells print, in order."""
    texts = [output.text for cell in code_cells(notebook) for output in cell.outputs if output.get("name") == "stdout"]
    return [float(value) for value in re.findall(r"([\d.]+) %", "".join(texts))]


def test_notebook_is_stored_as_executed_from_top_to_bottom(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.output_type for cell in cells for output in cell.outputs} <= {
        "stream",
        "display_data",
        "execute_result",
    }


def test_figures_of_the_notebook_are_small(notebook):
    outputs = [output.get("data", {}) for cell in code_cells(notebook) for output in cell.outputs]
    figures = [base64.b64decode(data["image/png"]) for data in outputs if "image/png" in data]
    assert len(figures) == 3
    assert NOTEBOOK.stat().st_size < 800_000


def test_notebook_names_no_path_of_a_machine():
    assert not re.search(r"/tmp/|/home/|/root/|/work/", NOTEBOOK.read_text())


def test_links_of_the_notebook_lead_somewhere(notebook):
    for cell in notebook.cells:
        for target in re.findall(r"\]\(([^)#:]+)\)", cell.source):
            assert (NOTEBOOK.parent / target).exists(), target


@pytest.mark.slow
def test_notebook_runs_and_finds_what_it_shows(notebook, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # threads wait for each other on a busy machine
    stored = printed_percents(notebook)
    NotebookClient(notebook, timeout=500, kernel_name="python3").execute()
    assert printed_percents(notebook) == pytest.approx(stored, abs=12)
