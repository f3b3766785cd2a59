"""Remote code: what `push_to_hub` adds to a checkpoint, and that it leaves nothing behind."""

import json
from pathlib import Path

import pytest
import transformers.utils.hub
from transformers import AutoModel, pipeline

from jointmae_hf import (
    JointMAEConfig,
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPreTraining,
)
from jointmae_hf.model.remote_code import FEATURE_EXTRACTOR_AUTO_MAP, build_auto_map


class OfflineHub:
    """Hub that keeps the files of one upload, or fails."""

    def __init__(self, folder, fails):
        self.folder, self.fails = folder, fails

    def upload(self, working_dir, *args, **kwargs):
        if self.fails:
            raise ConnectionError
        for path in Path(working_dir).iterdir():
            (self.folder / path.name).write_bytes(path.read_bytes())


@pytest.fixture
def push(monkeypatch, tmp_path):
    """Push an object to a folder, or fail half way; return the folder."""

    def push_to_folder(pushed, fails):
        (tmp_path / "hub").mkdir(exist_ok=True)
        hub = OfflineHub(tmp_path / "hub", fails)
        repo = type("Repo", (), {"repo_id": "me/name"})
        card = type("Card", (), {"save": lambda self, path: None})
        monkeypatch.setattr(
            transformers.utils.hub, "hf_api", lambda: type("Api", (), {"create_repo": lambda *_, **__: repo})()
        )
        monkeypatch.setattr(transformers.utils.hub, "create_and_tag_model_card", lambda *_, **__: card())
        monkeypatch.setattr(
            type(pushed), "_upload_modified_files", lambda _, *args, **kwargs: hub.upload(*args, **kwargs)
        )
        if fails:
            with pytest.raises(ConnectionError):
                pushed.push_to_hub("name")
        else:
            pushed.push_to_hub("name")
        return tmp_path / "hub"

    return push_to_folder


def read_json(path):
    return json.loads(path.read_text())


FAILS = pytest.mark.parametrize("fails", [False, True], ids=["uploaded", "failed"])


@FAILS
def test_pushed_model_saves_no_code_locally_afterwards(tiny_config, tmp_path, push, fails):
    model = JointMAEForPreTraining(tiny_config)
    folder = push(model, fails)
    assert not hasattr(model.config, "auto_map")
    model.save_pretrained(tmp_path / "local")
    assert "auto_map" not in read_json(tmp_path / "local" / "config.json")
    if not fails:
        assert read_json(folder / "config.json")["auto_map"] == build_auto_map("JointMAEForPreTraining")
        assert (folder / "modeling_jointmae.py").is_file()


@FAILS
def test_pushed_feature_extractor_saves_no_code_locally_afterwards(tmp_path, push, fails):
    extractor = JointMAEFeatureExtractor(num_points=64)
    folder = push(extractor, fails)
    extractor.save_pretrained(tmp_path / "local")
    assert "auto_map" not in read_json(tmp_path / "local" / "preprocessor_config.json")
    if not fails:
        auto_map = read_json(folder / "preprocessor_config.json")["auto_map"]
        assert auto_map == FEATURE_EXTRACTOR_AUTO_MAP


@FAILS
def test_pushed_pipeline_saves_no_code_of_its_parts_afterwards(tiny_config, tmp_path, push, fails):
    parts = JointMAEForPointCloudClassification(tiny_config), JointMAEFeatureExtractor(num_points=64)
    classify = pipeline("point-cloud-classification", model=parts[0], feature_extractor=parts[1])
    folder = push(classify, fails)
    for part in parts:
        part.save_pretrained(tmp_path / "local")
    assert not {"auto_map", "custom_pipelines"} & read_json(tmp_path / "local" / "config.json").keys()
    assert "auto_map" not in read_json(tmp_path / "local" / "preprocessor_config.json")
    assert fails or (folder / "pipeline_jointmae.py").is_file()


def test_checkpoint_with_code_is_saved_without_it(tiny_config, tmp_path, push):
    push(JointMAEForPreTraining(tiny_config), False)
    folder = push(JointMAEFeatureExtractor(num_points=64), False)
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path / "local")
    JointMAEFeatureExtractor.from_pretrained(folder).save_pretrained(tmp_path / "local")
    assert "auto_map" not in read_json(tmp_path / "local" / "config.json")
    assert "auto_map" not in read_json(tmp_path / "local" / "preprocessor_config.json")


def test_code_of_others_stays_in_a_configuration():
    own = {"AutoModel": "me/name--modeling_jointmae.JointMAEModel"}
    config = JointMAEConfig(auto_map={**own, "AutoModelForPreTraining": "modeling_theirs.Model"})
    assert config.auto_map == {"AutoModelForPreTraining": "modeling_theirs.Model"}
    assert not hasattr(JointMAEConfig(auto_map=own), "auto_map")
