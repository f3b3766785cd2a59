"""From `convert --push_to_hub` to `load_dataset("owner/name", streaming=True)`, each in a fresh process."""

import subprocess
import sys

import pytest
from huggingface_hub import DatasetCard
from loopback_hub.cards import check_card

from jointmae_hf.data import load_point_clouds


OPTIONS = {"num_train": 6, "num_validation": 2, "num_test": 3, "num_points": 16}


@pytest.fixture(scope="session")
def repo_id(hub, client_environment, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    config = [f"{name}={value}" for name, value in OPTIONS.items()]
    convert = [sys.executable, "-m", "jointmae_hf.data", "convert", "synthetic_shapes", "--output_dir", "shapes"]
    command = [*convert, "--config", *config, "--push_to_hub", "tester/shapes"]
    subprocess.run(command, env=client_environment(home), cwd=home, check=True, capture_output=True, timeout=300)
    return "tester/shapes"


@pytest.fixture(scope="session")
def read(repo_id, run_client):
    return run_client("read_dataset.py", repo_id)


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    return load_point_clouds("synthetic_shapes", cache_dir=tmp_path_factory.mktemp("cache"), **OPTIONS)


def test_streaming_gives_every_row_of_every_split(read, source):
    assert read["splits"] == {split: len(rows) for split, rows in source.items()}
    assert read["equal"]


def test_rows_and_features_come_back(read, source):
    assert read["first"] == source["train"][0]
    assert read["features"] == {split: str(rows.features) for split, rows in source.items()}


def test_data_set_is_private_unless_asked_for(hub, repo_id):
    assert hub.repositories["dataset", repo_id].private


def test_card_is_there_and_valid(hub, repo_id):
    text = hub.files(repo_id, kind="dataset")["README.md"].decode()
    assert check_card(text) == ([], [])
    assert DatasetCard(text).data.configs[0]["config_name"] == "default"


def test_only_card_and_parquet_travel(hub, repo_id):
    names = set(hub.files(repo_id, kind="dataset")) - {".gitattributes", "README.md"}
    assert names == {f"data/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")}
