import csv
import json

import pytest
from transformers import pipeline

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEModel
from jointmae_hf.cli import main


@pytest.fixture
def model(save_model, build_tiny_config, settle):
    config = build_tiny_config(id2label={0: "chair", 1: "lamp", 2: "table"})
    return save_model(settle(JointMAEForPointCloudClassification(config)))


@pytest.fixture
def expected(model, cloud):
    return pipeline("point-cloud-classification", model=model)(cloud, top_k=2)


def test_classes_are_those_of_the_pipeline(model, cloud, expected, capsys):
    main(["classify", cloud, "--model", model, "--top_k", "2"])
    lines = [f"  {100 * guess['score']:5.1f} %  {guess['label']}" for guess in expected]
    assert capsys.readouterr().out.splitlines() == [cloud, *lines]


def test_csv_has_a_row_per_class(model, cloud, expected, tmp_path):
    main(["classify", cloud, cloud, "--model", model, "--top_k", "2", "--output", str(tmp_path / "classes.csv")])
    with open(tmp_path / "classes.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["rank"]) for row in rows] == [(cloud, "1"), (cloud, "2")] * 2
    assert [row["label"] for row in rows[:2]] == [guess["label"] for guess in expected]
    assert [float(row["score"]) for row in rows[:2]] == pytest.approx([guess["score"] for guess in expected], abs=1e-6)


def test_json_has_an_entry_per_file(model, cloud, expected, tmp_path):
    main(["classify", cloud, "--model", model, "--top_k", "1", "--output", str(tmp_path / "classes.json")])
    (entry,) = json.loads((tmp_path / "classes.json").read_text(encoding="utf-8"))
    assert entry["path"] == cloud
    assert [guess["label"] for guess in entry["classes"]] == [expected[0]["label"]]


def test_formats_beyond_those_of_the_pipeline_are_read(model, tmp_path, capsys):
    header = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 3\nHEIGHT 1\nPOINTS 3\nDATA ascii\n"
    (tmp_path / "scan.pcd").write_text(f"{header}0 0 0\n1 0 0\n0 1 0\n")
    main(["classify", str(tmp_path / "scan.pcd"), "--model", model])
    assert "scan.pcd\n" in capsys.readouterr().out


def test_model_without_the_head_is_refused(save_model, tiny_config, cloud, refuse):
    model = save_model(JointMAEModel(tiny_config))
    message = "jointmae: error: `--model` must be a JointMAEForPointCloudClassification, got "
    assert refuse(["classify", cloud, "--model", model]).startswith(message)


def test_file_that_cannot_be_read_is_refused(model, tmp_path, refuse):
    (tmp_path / "broken.ply").write_text("no")
    line = refuse(["classify", tmp_path / "broken.ply", "--model", model])
    assert "broken.ply` must be a complete .ply file" in line


def test_ending_of_the_output_is_checked_before_the_model_is_loaded(cloud, refuse):
    line = refuse(["classify", cloud, "--model", "none", "--output", "classes.txt"])
    assert line == "jointmae: error: `--output` must end in .csv or .json, got classes.txt."
