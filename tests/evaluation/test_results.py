"""The results file and the facts of a run."""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

import jointmae_hf
from jointmae_hf.evaluation import Result, collect_run_facts, read_results, write_results
from jointmae_hf.evaluation.results import write_json


RESULT = Result("linear_svm_accuracy", 92.4, "%", "test", "last epoch", 0, 9840, 2468, "ModelNet40")


def test_write_json_replaces_the_file_in_the_order_of_the_record(tmp_path):
    for record in ({"b": 1}, {"b": 2, "a": ["ä", None]}):
        write_json(tmp_path / "record.json", record)
    assert (tmp_path / "record.json").read_text() == json.dumps(record, indent=2) + "\n"
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_write_results_can_be_read_back(tmp_path):
    write_results(tmp_path / "results.json", [RESULT], {"seconds": 1.5})
    assert read_results(tmp_path / "results.json") == ([RESULT], {"seconds": 1.5})


def test_write_results_keeps_every_field_of_the_contract(tmp_path):
    write_results(tmp_path / "results.json", [RESULT], {})
    content = json.loads((tmp_path / "results.json").read_text())
    assert set(content["results"][0]) == {
        "name",
        "value",
        "unit",
        "split",
        "selection_rule",
        "seed",
        "num_train",
        "num_test",
        "dataset",
    }


def test_write_results_keeps_the_old_file_when_replacing_fails(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_results(path, [RESULT], {})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_results(path, [replace(RESULT, value=1.0)], {})
    assert read_results(path)[0] == [RESULT]
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_write_results_keeps_spread_protocol_and_pre_training(tmp_path):
    result = replace(RESULT, std=0.3, num_runs=10, protocol="5-way 10-shot", pre_training="Joint-MAE on ldraw")
    write_results(tmp_path / "results.json", [result], {})
    assert read_results(tmp_path / "results.json")[0] == [result]


@pytest.mark.parametrize("change", [{"std": 0.1}, {"std": -1.0, "num_runs": 2}, {"num_runs": 0}])
def test_result_refuses_a_spread_that_cannot_be(change):
    with pytest.raises(ValueError, match=r"`(std|num_runs)` of 'linear_svm_accuracy' must be"):
        replace(RESULT, **change)


def test_write_results_refuses_an_empty_list(tmp_path):
    with pytest.raises(ValueError, match="`results` must hold"):
        write_results(tmp_path / "results.json", [], {})


def test_write_results_refuses_nan_among_the_facts(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(tmp_path / "results.json", [RESULT], {"loss": float("nan")})
    assert not list(tmp_path.iterdir())


def test_read_results_names_the_format_when_it_is_another(tmp_path):
    (tmp_path / "results.json").write_text('{"format_version": 99}')
    with pytest.raises(ValueError, match="format 1, got 99"):
        read_results(tmp_path / "results.json")


def test_result_refuses_nan():
    with pytest.raises(ValueError, match="`value` of 'linear_svm_accuracy' must be finite"):
        replace(RESULT, value=float("nan"))


def test_result_refuses_an_empty_selection_rule():
    with pytest.raises(ValueError, match="`selection_rule`"):
        replace(RESULT, selection_rule="")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("/home/someone/run.py", "run.py"),
        ("--data=/home/someone/cloud.npz", "--data=cloud.npz"),
        ("/home/someone/two words/cloud.npz", "cloud.npz"),
        ("/a/b/train.npz,/a/b/test.npz", "train.npz,test.npz"),
        ('{"path": "/home/someone/x"}', """'{"path": "x"}'"""),
        ("C:\\Users\\someone\\cloud.npz", "cloud.npz"),
        ("file:///home/someone/x", "file:x"),
        ("https://huggingface.co/org/name", "https://huggingface.co/org/name"),
        ("outputs/run", "outputs/run"),
        ("--ratio=3/4", "--ratio=3/4"),
    ],
)
def test_collect_run_facts_cuts_absolute_paths(argument, expected):
    command = collect_run_facts(arguments=["run.py", argument])["command"]
    assert command == f"python run.py {expected}"


def test_collect_run_facts_takes_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/opt/run.py", "--seed", "3"])
    assert collect_run_facts()["command"] == "python run.py --seed 3"


def test_collect_run_facts_knows_versions_and_hardware():
    facts = collect_run_facts(seconds=2.0)
    assert {"python", "torch", "transformers", "jointmae_hf", "numpy"} <= set(facts["versions"])
    assert facts["hardware"]["num_cores"] >= 1
    assert facts["seconds"] == 2.0


def test_collect_run_facts_has_no_commit_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert collect_run_facts()["commit"] is None


def test_collect_run_facts_finds_the_commit_of_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "core.hooksPath="]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    (tmp_path / "new.txt").write_text("x")
    facts = collect_run_facts()
    assert len(facts["commit"]) == 40
    assert facts["has_uncommitted_changes"] is True


def test_collect_run_facts_can_be_written_as_json():
    assert json.loads(json.dumps(collect_run_facts(), allow_nan=False))


def test_evaluation_can_be_imported_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(jointmae_hf, "evaluation", jointmae_hf.evaluation)
    for name in [name for name in sys.modules if name.startswith("jointmae_hf.evaluation")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert importlib.import_module("jointmae_hf.evaluation").__all__
