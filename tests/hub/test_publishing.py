"""Publishing over the Hub's protocol: what travels, and that a fault ends in one complete commit or a clear error."""

import json

import pytest
from huggingface_hub import ModelCard

from jointmae_hf.hub import publish


REFUSED = 403
COMMIT = r"POST /api/models/tester/{}/commit/"
FAULTS = {
    "commit-503": (COMMIT, {"status": 503, "times": 2}),
    "commit-429": (COMMIT, {"status": 429}),
    "commit-dropped": (COMMIT, {"drop": True}),
    "answer-503": (COMMIT, {"status": 503, "after": True}),
    "answer-dropped": (COMMIT, {"drop": True, "after": True}),
    "listing-503": (r"GET /api/models/tester/{}/", {"status": 503}),
    "preupload-dropped": (r"POST /api/models/tester/{}/preupload/", {"drop": True}),
    "dead": (COMMIT, {"status": 503, "times": 1000}),
    "unplugged": (COMMIT, {"drop": True, "times": 1000}),
    "refused": (COMMIT, {"status": REFUSED}),
}
FATAL = {"dead", "unplugged", "refused"}


@pytest.fixture(scope="session")
def outcomes(hub, run_client, tmp_path_factory):
    for name, (pattern, fault) in FAULTS.items():
        hub.fault(pattern.format(name), **fault)
    return run_client("publish.py", tmp_path_factory.mktemp("published"), *FAULTS)


@pytest.fixture
def files(hub, outcomes):
    return hub.files("tester/published")


def commits(hub, name):
    """Commits of a repository beside the Hub's own first one."""
    return [commit["title"] for commit in hub.repositories["model", f"tester/{name}"].history()][:-1]


def test_only_what_belongs_there_travels(files):
    data = {name for name in files if not name.endswith(".py")}
    expected = {"config.json", "model.safetensors", "preprocessor_config.json", "README.md", "results.json"}
    assert data == {*expected, "reconstruction.png", ".gitattributes"}
    assert {"modeling_jointmae.py", "pipeline_jointmae.py", "configuration_jointmae.py"} <= files.keys()
    assert not any(b"hf_aaaa" in content for content in files.values())


def test_folder_of_the_run_stays_as_it_was(outcomes):
    assert outcomes["unchanged"]


def test_configuration_names_code_and_pipeline(files):
    config = json.loads(files["config.json"])
    assert config["auto_map"]["AutoModelForPreTraining"] == "modeling_jointmae.JointMAEForPreTraining"
    assert config["auto_map"]["AutoModel"] == "modeling_jointmae.JointMAEModel"
    assert list(config["custom_pipelines"]) == ["point-cloud-feature-extraction"]
    processor = json.loads(files["preprocessor_config.json"])
    assert processor["auto_map"]["AutoProcessor"] == "feature_extraction_jointmae.JointMAEFeatureExtractor"


def test_card_is_written_for_the_repository_and_its_version(files):
    card = ModelCard(files["README.md"].decode())
    assert 'from_pretrained("tester/published")' in card.text
    assert "reconstruction.png" in card.text
    assert card.data.metrics == ["accuracy"]


def test_publishing_once_more_adds_a_commit_only_for_what_changed(hub, outcomes):
    """The first card names the tag, the second has none."""
    assert commits(hub, "published") == ["Upload Identity", "Upload JointMAEForPreTraining"]
    tagged = hub.files("tester/published", revision="v1.0")
    assert b'"tester/published", revision="v1.0"' in tagged["README.md"]
    changed = {name for name, content in hub.files("tester/published").items() if tagged[name] != content}
    assert changed == {"README.md"}


def test_address_is_that_of_the_commit(hub, outcomes):
    first = list(hub.repositories["model", "tester/published"].history())[1]
    assert outcomes["published"] == f"{hub.url}/tester/published/commit/{first['id']}"


def test_version_is_never_moved(outcomes):
    assert outcomes["same tag"].startswith("ValueError: `tag` must be new, got 'v1.0'")


@pytest.mark.parametrize("name", sorted(set(FAULTS) - FATAL))
def test_fault_that_passes_ends_in_one_complete_commit(hub, outcomes, files, name):
    assert outcomes[name].startswith(f"{hub.url}/tester/{name}/commit/")
    assert len(commits(hub, name)) == 1
    found = hub.files(f"tester/{name}")
    assert found.keys() == files.keys()
    assert found["model.safetensors"] == files["model.safetensors"]


@pytest.mark.parametrize("name", ["dead", "unplugged"])
def test_fault_that_stays_ends_in_a_clear_error_and_no_commit(hub, outcomes, name):
    message = f"ConnectionError: The Hub must be reachable to commit to tester/{name}, got"
    assert outcomes[name].startswith(message)
    assert "in each of 5 attempts" in outcomes[name]
    assert commits(hub, name) == []


def test_refusal_is_not_tried_again(hub, outcomes):
    assert outcomes["refused"].startswith("HfHubHTTPError") or "403" in outcomes["refused"]
    asked = [path for _, path, _ in hub.requests if path.startswith("/api/models/tester/refused/commit/")]
    assert len(asked) == 1
    assert commits(hub, "refused") == []


def test_code_of_an_older_upload_goes(hub, outcomes):
    files = hub.files("tester/renewed")
    assert "modeling_of_old.py" not in files
    assert "reconstruction.png" in files
    assert len(commits(hub, "renewed")) == 2


def test_nothing_is_asked_for_a_folder_without_a_model(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "jointmae"}', encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"`folder` must hold safetensors weights, model\*\.safetensors, got"):
        publish(tmp_path, "me/mine")
