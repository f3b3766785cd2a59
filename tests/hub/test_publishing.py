"""Publishing: what travels, and that nothing does before the model was loaded."""

from types import SimpleNamespace
from typing import ClassVar

import pytest

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.hub import publish, publishing


class RecordingApi:
    """Stand-in for `HfApi` that keeps what it was asked to do."""

    calls: ClassVar[list] = []

    def __init__(self, token=None):
        self.token = token

    def create_repo(self, repo_id, **options):
        self.calls.append(("create_repo", repo_id, options))
        return SimpleNamespace(repo_id=f"me/{repo_id}")

    def upload_folder(self, **options):
        self.calls.append(("upload_folder", options["repo_id"], options))
        return SimpleNamespace(commit_url="https://example.org/commit")


@pytest.fixture
def calls(monkeypatch):
    monkeypatch.setattr(publishing, "HfApi", RecordingApi)
    monkeypatch.setattr(RecordingApi, "calls", [])
    return RecordingApi.calls


def test_publish_uploads_to_the_repository_that_was_made(calls, tiny_config, tmp_path):
    JointMAEForPreTraining(tiny_config).save_pretrained(tmp_path)
    assert publish(tmp_path, "mine") == "https://example.org/commit"
    assert [call[:2] for call in calls] == [("create_repo", "mine"), ("upload_folder", "me/mine")]


def test_publish_leaves_pickles_and_checkpoints_at_home(calls, tiny_config, tmp_path):
    JointMAEForPreTraining(tiny_config).save_pretrained(tmp_path)
    publish(tmp_path, "mine")
    options = calls[1][2]
    assert not any(pattern.endswith((".bin", ".pt", ".pth", "*")) for pattern in options["allow_patterns"])
    assert options["ignore_patterns"] == ["checkpoint-*/**"]


def test_publish_uploads_nothing_that_does_not_load(calls, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "jointmae"}', encoding="utf-8")
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        publish(tmp_path, "mine")
    assert calls == []
