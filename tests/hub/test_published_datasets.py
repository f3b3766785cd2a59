"""From `convert --push_to_hub` to `load_dataset("owner/name", streaming=True)`, each in a fresh process."""

import re
import subprocess
import sys

import pytest
from huggingface_hub import DatasetCard
from loopback_hub.cards import check_card

from jointmae_hf.data import load_point_clouds


COMMIT = r"POST /api/datasets/tester/{}/commit/"
FAULTS = {
    "commit-503": (COMMIT, {"status": 503, "times": 2}),
    "commit-dropped": (COMMIT, {"drop": True}),
    "answer-dropped": (COMMIT, {"drop": True, "after": True}),
    "created-503": (r"POST /api/repos/create", {"status": 503}),
    "info-dropped": (r"GET /api/datasets/tester/{}(\?|$)", {"drop": True}),
    "preupload-dropped": (r"POST /api/datasets/tester/{}/preupload/", {"drop": True}),
    "dead": (COMMIT, {"status": 503, "times": 1000}),
    "unplugged": (COMMIT, {"drop": True, "times": 1000}),
}
FATAL = {"dead", "unplugged"}
OPTIONS = {"num_train": 6, "num_validation": 2, "num_test": 3, "num_points": 16}


@pytest.fixture(scope="session")
def repo_id(hub, client_environment, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    config = [f"{name}={value}" for name, value in OPTIONS.items()]
    convert = [sys.executable, "-m", "jointmae_hf.cli", "convert", "synthetic_shapes", "--output_dir", "shapes"]
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


def test_dataset_is_private_by_default(hub, repo_id):
    assert hub.repositories["dataset", repo_id].private


def test_card_is_valid_and_names_the_repository(hub, repo_id):
    text = hub.files(repo_id, kind="dataset")["README.md"].decode()
    assert check_card(text) == ([], [])
    assert DatasetCard(text).data.configs[0]["config_name"] == "default"
    assert 'load_dataset("tester/shapes", split="train")' in text


def test_usage_on_the_card_runs_as_written(hub, repo_id, run_client, source, tmp_path):
    text = hub.files(repo_id, kind="dataset")["README.md"].decode()
    (tmp_path / "usage.py").write_text(re.search(r"```python\n(.*?)```", text, flags=re.DOTALL)[1], encoding="utf-8")
    assert run_client("read_dataset.py", repo_id, tmp_path / "usage.py")["usage"] == len(source["train"])


def test_only_card_checksums_and_parquet_travel(hub, repo_id):
    names = set(hub.files(repo_id, kind="dataset")) - {".gitattributes", "README.md", "SHA256SUMS"}
    assert names == {f"data/{split}-00000-of-00001.parquet" for split in ("train", "validation", "test")}


@pytest.fixture(scope="session")
def outcomes(hub, run_client, tmp_path_factory):
    for name, (pattern, fault) in FAULTS.items():
        hub.fault(pattern.format(name), **fault)
    return run_client("push_dataset.py", tmp_path_factory.mktemp("converted"), *FAULTS)


def commits(hub, name):
    """Commits of a dataset after the first one of the Hub itself."""
    return [commit["title"] for commit in hub.repositories["dataset", f"tester/{name}"].history()][:-1]


@pytest.mark.parametrize("name", sorted(set(FAULTS) - FATAL))
def test_fault_that_passes_ends_in_one_complete_commit(hub, outcomes, name):
    assert outcomes[name].startswith(f"{hub.url}/datasets/tester/{name}/commit/")
    assert commits(hub, name) == ["Upload point clouds"]
    assert {*outcomes["files"], ".gitattributes"} == hub.files(f"tester/{name}", kind="dataset").keys()


@pytest.mark.parametrize("name", sorted(FATAL))
def test_fault_that_stays_ends_in_a_clear_error_and_no_commit(hub, outcomes, name):
    assert outcomes[name].startswith(f"ConnectionError: The Hub must be reachable to commit to tester/{name}, got")
    assert "in each of 5 attempts" in outcomes[name]
    assert commits(hub, name) == []


def test_shards_of_an_older_upload_go_in_the_same_commit(hub, outcomes):
    assert {*outcomes["renewed"], ".gitattributes"} == hub.files("tester/renewed", kind="dataset").keys()
    assert commits(hub, "renewed") == ["Upload point clouds", "Upload point clouds"]


def test_folder_stays_as_it_was(outcomes):
    assert outcomes["unchanged"]
