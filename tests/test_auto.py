"""Registration with the Auto classes."""

import importlib

import pytest
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining, AutoProcessor

import jointmae_hf
from jointmae_hf import (
    AutoModelForPointCloudClassification,
    AutoModelForPointCloudSegmentation,
    JointMAEConfig,
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)


PAIRS = pytest.mark.parametrize(
    ("auto_class", "model_class"),
    [
        (AutoModel, JointMAEModel),
        (AutoModelForPreTraining, JointMAEForPreTraining),
        (AutoModelForPointCloudClassification, JointMAEForPointCloudClassification),
        (AutoModelForPointCloudSegmentation, JointMAEForPointCloudSegmentation),
    ],
)


@PAIRS
def test_auto_class_builds_the_model_from_its_config(tiny_config, auto_class, model_class):
    assert type(auto_class.from_config(tiny_config)) is model_class


@PAIRS
def test_auto_class_loads_the_model_from_its_checkpoint(tiny_config, tmp_path, auto_class, model_class):
    model_class(tiny_config).save_pretrained(tmp_path)
    assert type(auto_class.from_pretrained(tmp_path)) is model_class


def test_auto_config_knows_the_model_type(tiny_config, tmp_path):
    tiny_config.save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is JointMAEConfig
    assert type(AutoConfig.for_model("jointmae")) is JointMAEConfig


@pytest.mark.parametrize("auto_class", [AutoFeatureExtractor, AutoProcessor])
def test_auto_class_loads_the_feature_extractor_beside_the_model(tiny_config, tmp_path, auto_class):
    JointMAEModel(tiny_config).save_pretrained(tmp_path)
    JointMAEFeatureExtractor(num_points=64).save_pretrained(tmp_path)
    assert type(auto_class.from_pretrained(tmp_path)) is JointMAEFeatureExtractor


def test_processed_clouds_are_what_the_model_takes(tiny_config, make_cloud):
    inputs = JointMAEFeatureExtractor(num_points=64)(make_cloud(3, 200), return_tensors="pt")
    assert JointMAEModel(tiny_config)(**inputs).pooler_output.shape == (3, 32)


def test_package_may_be_imported_again():
    importlib.reload(jointmae_hf.auto)


@pytest.mark.parametrize("name", jointmae_hf.__all__)
def test_public_name_exists(name):
    assert getattr(jointmae_hf, name).__module__.startswith("jointmae_hf.")
