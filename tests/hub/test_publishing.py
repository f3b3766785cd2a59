"""Tests of publishing over the Hub's protocol: what is uploaded, and that faults end in one commit or a clear error."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import ModelCard
from transformers import TrainingArguments

from jointmae_hf import JointMAEModel
from jointmae_hf.hub import finish_run, publish, publishing, write_remote_code
from jointmae_hf.hub.publishing import stage_files


MODEL_FOLDER = Path(__file__).parents[2] / "jointmae_hf" / "model"
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


@pytest.fixture
def checkpoint(tiny_config, tmp_path):
    folder = tmp_path / "checkpoint"
    JointMAEModel(tiny_config).save_pretrained(folder)
    return folder


def commits(hub, name):
    """Commits of a repository after the first one, which the Hub makes."""
    return [commit["title"] for commit in hub.repositories["model", f"tester/{name}"].history()][:-1]


def test_only_files_of_the_model_are_uploaded(files):
    data = {name for name in files if not name.endswith(".py")}
    expected = {"config.json", "model.safetensors", "preprocessor_config.json", "README.md", "results.json"}
    assert data == {*expected, "reconstruction.png", ".gitattributes"}
    assert {"modeling_jointmae.py", "pipeline_jointmae.py", "configuration_jointmae.py"} <= files.keys()
    assert not any(b"hf_aaaa" in content for content in files.values())


def test_folder_of_the_run_is_not_changed(outcomes):
    assert outcomes["unchanged"]


def test_configuration_references_code_and_pipeline(files):
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


def test_publishing_again_commits_changed_files_only(hub, outcomes):
    """The first card names the tag, the second has none."""
    assert commits(hub, "published") == ["Upload Identity", "Upload JointMAEForPreTraining"]
    tagged = hub.files("tester/published", revision="v1.0")
    assert b'"tester/published", revision="v1.0"' in tagged["README.md"]
    changed = {name for name, content in hub.files("tester/published").items() if tagged[name] != content}
    assert changed == {"README.md"}


def test_publish_returns_the_url_of_the_commit(hub, outcomes):
    first = list(hub.repositories["model", "tester/published"].history())[1]
    assert outcomes["published"] == f"{hub.url}/tester/published/commit/{first['id']}"


def test_existing_tag_is_rejected(outcomes):
    assert outcomes["same tag"].startswith("ValueError: `tag` must be new, got 'v1.0'")


@pytest.mark.parametrize("name", sorted(set(FAULTS) - FATAL))
def test_temporary_fault_ends_in_one_complete_commit(hub, outcomes, files, name):
    assert outcomes[name].startswith(f"{hub.url}/tester/{name}/commit/")
    assert len(commits(hub, name)) == 1
    found = hub.files(f"tester/{name}")
    assert found.keys() == files.keys()
    assert found["model.safetensors"] == files["model.safetensors"]


@pytest.mark.parametrize("name", ["dead", "unplugged"])
def test_permanent_fault_ends_in_a_clear_error_and_no_commit(hub, outcomes, name):
    message = f"ConnectionError: The Hub must be reachable to commit to tester/{name}, got"
    assert outcomes[name].startswith(message)
    assert "in each of 5 attempts" in outcomes[name]
    assert commits(hub, name) == []


def test_refused_request_is_not_repeated(hub, outcomes):
    assert outcomes["refused"].startswith("HfHubHTTPError") or "403" in outcomes["refused"]
    asked = [path for _, path, _ in hub.requests if path.startswith("/api/models/tester/refused/commit/")]
    assert len(asked) == 1
    assert commits(hub, "refused") == []


def test_code_of_an_older_upload_is_removed(hub, outcomes):
    files = hub.files("tester/renewed")
    assert "modeling_of_old.py" not in files
    assert "reconstruction.png" in files
    assert len(commits(hub, "renewed")) == 2


def test_folder_without_a_model_is_rejected_before_any_request(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "jointmae"}', encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"`folder` must hold safetensors weights, model\*\.safetensors, got"):
        publish(tmp_path, "me/mine")


def test_all_code_of_the_model_is_written(checkpoint):
    written = {path.name: path.read_text() for path in write_remote_code(checkpoint)}
    sources = {path.name: path.read_text() for path in MODEL_FOLDER.glob("*.py") if path.name != "__init__.py"}
    assert written == sources


def test_foreign_architecture_is_rejected(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"architectures": ["ViTModel"]}))
    with pytest.raises(ValueError, match=r"`architecture` must be one of JointMAEModel, .*, got 'ViTModel'"):
        write_remote_code(checkpoint)


@pytest.mark.parametrize("architectures", [None, [], ["JointMAEModel", "JointMAEForPreTraining"]])
def test_configuration_must_name_one_class(checkpoint, architectures):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"architectures": architectures}))
    with pytest.raises(ValueError, match=r"`architectures` in config\.json must name one class, got"):
        write_remote_code(checkpoint)


def test_shards_are_staged_with_their_index(tiny_config, tmp_path):
    JointMAEModel(tiny_config).save_pretrained(tmp_path / "run", max_shard_size="50KB")
    (tmp_path / "staging").mkdir()
    names = {path.name for path in stage_files(tmp_path / "run", tmp_path / "staging")}
    shards = {path.name for path in (tmp_path / "run").glob("*.safetensors")}
    assert len(shards) > 1
    assert {*shards, "model.safetensors.index.json"} <= names


def test_publish_checks_contents_before_any_request(checkpoint):
    (checkpoint / "README.md").write_text("run in /home/someone/run")
    with pytest.raises(ValueError, match=r"must hold no path of this machine, got '/home/someone/run' in README\.md"):
        publish(checkpoint, "me/mine")


def test_publish_rejects_a_card_with_a_missing_figure(checkpoint):
    (checkpoint / "README.md").write_text("![input](figure.png) ![badge](https://example.org/badge.svg)")
    with pytest.raises(ValueError, match=r"must hold the figures of README\.md as \.png, got none named \['figure"):
        publish(checkpoint, "me/mine")


@pytest.fixture
def uploads(monkeypatch):
    """Arguments of the calls of `publish`, which uploads nothing."""
    calls = []
    monkeypatch.setattr(publishing, "publish", lambda *args, **kwargs: calls.append((args, kwargs)) or "url")
    return calls


def test_finished_run_is_published_as_its_arguments_say(checkpoint, uploads, tmp_path):
    names = {"hub_model_id": "me/secret", "hub_private_repo": True, "hub_token": "hf_x"}
    training = TrainingArguments(str(tmp_path / "run"), use_cpu=True, **names)
    assert finish_run(checkpoint, training, push_to_hub=True) == "url"
    assert uploads == [((checkpoint, "me/secret"), {"private": True, "token": "hf_x"})]
    assert (checkpoint / "README.md").is_file()


def test_repository_of_a_finished_run_is_named_after_its_folder(checkpoint, uploads, tmp_path):
    training = TrainingArguments(str(tmp_path / "run"), use_cpu=True)
    finish_run(checkpoint, training, push_to_hub=True)
    assert uploads == [((checkpoint, "run"), {"private": None, "token": None})]


def test_finished_run_is_not_published_unasked(checkpoint, uploads, tmp_path):
    assert finish_run(checkpoint, TrainingArguments(str(tmp_path), use_cpu=True), push_to_hub=False) is None
    assert uploads == []
    assert (checkpoint / "README.md").is_file()


@pytest.mark.parametrize(("existing", "private"), [(False, True), (True, False)])
def test_existing_repository_of_other_visibility_is_rejected(existing, private):
    api = SimpleNamespace(model_info=lambda repo_id: SimpleNamespace(private=existing))
    with pytest.raises(ValueError, match=f"`private` must be {existing} for the existing repository me/mine, got"):
        publishing._check_visibility(api, "me/mine", private)
    publishing._check_visibility(api, "me/mine", existing)
    publishing._check_visibility(api, "me/mine", None)
