import csv

import numpy as np
import pytest
from transformers import pipeline

from jointmae_hf import JointMAEForPointCloudSegmentation
from jointmae_hf.cli import main
from jointmae_hf.cli.segment import find_category, part_color
from jointmae_hf.model.cloud_files import read_cloud_file
from jointmae_hf.training.finetuning import part_fields


PARTS = {0: "cup body", 1: "folding chair seat", 2: "folding chair leg"}
FIELDS = {"id2label": PARTS, "num_categories": 2, "category_labels": [[0], [1, 2]]}


@pytest.fixture
def model(save_model, build_tiny_config, settle):
    return save_model(settle(JointMAEForPointCloudSegmentation(build_tiny_config(**FIELDS))))


@pytest.fixture
def expected(model, cloud):
    return pipeline("point-cloud-segmentation", model=model)(cloud, category=1)


@pytest.fixture
def segment(model, cloud, tmp_path):
    def run(name, category="Folding Chair"):
        main(["segment", cloud, "--model", model, "--category", category, "--output", str(tmp_path / name)])
        return tmp_path / name

    return run


def test_ply_keeps_the_points_in_order(segment, expected):
    np.testing.assert_array_equal(read_cloud_file(segment("labeled.ply"), 1), expected["points"])


def test_ply_has_colors_labels_and_scores(segment, expected):
    header, _, body = segment("labeled.ply").read_bytes().partition(b"end_header\n")
    fields = [
        *((name, "<f4") for name in "xyz"),
        *((name, "u1") for name in "rgb"),
        ("label", "<i4"),
        ("score", "<f4"),
    ]
    vertices = np.frombuffer(body, dtype=fields)
    np.testing.assert_array_equal(vertices["label"], expected["labels"])
    np.testing.assert_allclose(vertices["score"], expected["scores"], rtol=1e-5)
    assert vertices[["r", "g", "b"]][0].tolist() == part_color(int(expected["labels"][0]))
    assert f"comment label {expected['labels'][0]} folding chair".encode() in header


def test_csv_has_a_row_per_point(segment, expected):
    with open(segment("labeled.csv"), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == expected["labels"].tolist()
    assert rows[0]["part"] == PARTS[expected["labels"][0]]
    assert [float(rows[0][axis]) for axis in "xyz"] == pytest.approx(expected["points"][0].tolist())


def test_parts_are_shown_with_their_shares(segment, expected, capsys):
    segment("labeled.ply")
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.endswith("cloud.npy: 100 points")
    assert lines == [f"  {part['num_points']:5.1f} %  {part['label']}" for part in expected["parts"]]


def test_number_of_points_on_a_mesh_can_be_chosen(model, tmp_path, capsys):
    (tmp_path / "mesh.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    output = str(tmp_path / "labeled.ply")
    main(["segment", str(tmp_path / "mesh.off"), "--model", model, "--num_points", "500", "--output", output])
    assert "mesh.off: 500 points" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "number"), [("cup", 0), ("folding chair", 1), ("FOLDING CHAIR", 1), ("cup body", 0), ("1", 1)]
)
def test_category_is_a_name_or_a_number(build_tiny_config, text, number):
    assert find_category(build_tiny_config(**FIELDS), text) == number


@pytest.mark.parametrize(("dataset", "last"), [("shapenet_part", "table"), ("synthetic_shapes", "vase")])
def test_categories_of_the_part_datasets_have_names(build_tiny_config, dataset, last):
    config = build_tiny_config(**part_fields(dataset))
    assert find_category(config, last) == config.num_categories - 1


def test_words_that_begin_two_categories_are_refused(build_tiny_config):
    config = build_tiny_config(
        id2label={0: "table top", 1: "table lamp"}, num_categories=2, category_labels=[[0], [1]]
    )
    with pytest.raises(
        ValueError, match=r"`--category` must be .*table top, table lamp, or a number below 2, got 'table'"
    ):
        find_category(config, "table")


@pytest.mark.parametrize("text", ["seat", "2", "-1", ""])
def test_unknown_category_is_refused(build_tiny_config, text):
    with pytest.raises(ValueError, match=f"one of cup body, folding chair, or a number below 2, got '{text}'"):
        find_category(build_tiny_config(**FIELDS), text)


def test_colors_of_parts_that_follow_each_other_differ():
    colors = np.array([part_color(label) for label in range(10)], dtype=float)
    assert np.linalg.norm(np.diff(colors, axis=0), axis=1).min() > 100
