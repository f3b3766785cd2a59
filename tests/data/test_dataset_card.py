import numpy as np
import pytest
import yaml
from datasets import Dataset, DatasetInfo, Features
from huggingface_hub import DatasetCard

from jointmae_hf.data import point_cloud_features, point_cloud_table
from jointmae_hf.data.dataset_card import write_dataset_card


def make_split(labels, **info):
    features = point_cloud_features(4, ["bed", "tv | stand"])
    clouds = [np.zeros((4, 3), np.float32)] * len(labels)
    table = point_cloud_table(features, clouds, [str(n) for n in range(len(labels))], labels)
    return Dataset(table, info=DatasetInfo(features=features, **info))


def write(options=None, **info):
    splits = {"train": make_split([0, 1, 1], **info), "test": make_split([1], **info)}
    return write_dataset_card("modelnet40", splits, options or {}, num_bytes=123)


def metadata(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_metadata_names_the_files_of_every_split():
    files = [{"split": split, "path": f"data/{split}-*"} for split in ("train", "test")]
    assert metadata(write())["configs"] == [{"config_name": "default", "data_files": files}]


def test_metadata_hold_features_and_counts():
    info = metadata(write())["dataset_info"]
    assert Features._from_yaml_list(info["features"]) == point_cloud_features(4, ["bed", "tv | stand"])
    assert [(split["name"], split["num_examples"]) for split in info["splits"]] == [("train", 3), ("test", 1)]
    assert info["download_size"] == 123


@pytest.mark.parametrize(
    ("terms", "expected"), [("cc-by-4.0", "cc-by-4.0"), ("ShapeNet terms, research only", "other"), ("", None)]
)
def test_metadata_name_the_license_as_the_hub_knows_it(terms, expected):
    assert metadata(write(license=terms)).get("license") == expected


def test_card_counts_the_clouds_of_every_class():
    card = write()
    assert "| clouds | train | test |\n| --- | --- | --- |\n| all | 3 | 1 |\n| bed | 1 | 0 |\n" in card
    assert r"| tv \| stand | 2 | 1 |" in card


def test_card_states_license_and_source():
    card = write(
        license="ShapeNet terms, research only", homepage="https://shapenet.org", description="Chairs.\n\nMore."
    )
    assert "## Terms\n\nShapeNet terms, research only\n\nSource: https://shapenet.org\n" in card
    assert "# modelnet40\n\nChairs.\n\n```python" in card


def test_card_asks_for_the_license_when_it_is_not_known():
    assert "Name it here before you share" in write()


def test_card_holds_the_command_without_folders_of_the_machine():
    card = write({"num_points": 8, "suffixes": [".off"], "folds": "/home/me/folds"})
    command = "convert modelnet40 --config folds=folds num_points=8 'suffixes=[\".off\"]'"
    assert command in card
    assert "/home" not in card


def test_card_is_read_by_the_hub():
    assert DatasetCard(write()).data.pretty_name == "modelnet40"
