"""Recipes: sources, configurations and transforms."""

import dataclasses

import pytest
import torch
from transformers import TrainingArguments

from jointmae_hf import JointMAEConfig
from jointmae_hf.training import FINE_TUNING_RECIPES
from jointmae_hf.training.recipes import AUGMENTATIONS, RECIPES


@pytest.fixture(params=sorted(RECIPES))
def recipe(request):
    return RECIPES[request.param]


def test_every_value_has_a_source(recipe):
    settings = [
        *recipe.model.values(),
        *recipe.training.values(),
        *recipe.augmentation,
        *recipe.dataset_sizes.values(),
    ]
    assert all(setting.source.strip() for setting in settings)


def test_every_field_exists(recipe):
    assert set(recipe.model) <= set(JointMAEConfig().to_dict())
    assert set(recipe.training) <= {field.name for field in dataclasses.fields(TrainingArguments)}
    assert {name for name, _ in recipe.augmentation} <= set(AUGMENTATIONS)


def test_paper_recipe_is_the_default_configuration_except_for_the_neighborhood():
    config, default = RECIPES["paper"].build_config().to_dict(), JointMAEConfig().to_dict()
    assert {name for name in default if config[name] != default[name]} == {"neighborhood"}
    assert config["neighborhood"] == "all"


def test_overrides_replace_the_recipe():
    assert RECIPES["best"].build_config(num_views=2, neighborhood="all").num_views == 2
    assert RECIPES["best"].build_config(neighborhood="all").neighborhood == "all"


def test_preset_replaces_the_size_of_the_recipe():
    config = RECIPES["quick"].build_config("jointmae-small")
    assert (config.hidden_size, config.num_hidden_layers, config.num_points) == (192, 8, 1024)


@pytest.mark.parametrize(
    ("overrides", "fields"),
    [
        ({"hidden_size": 192}, {"intermediate_size": 768}),
        ({"hidden_size": 192, "intermediate_size": 100}, {"intermediate_size": 100}),
        ({"num_points": 512}, {"num_groups": [64, 16]}),
        ({"num_points": 64, "num_groups": [32, 8]}, {"num_groups": [32, 8]}),
        ({"embedding_3d": "flat"}, {"num_groups": [32], "group_size": [32]}),
        ({"embedding_3d": "flat", "num_points": 512}, {"num_groups": [16]}),
    ],
)
def test_fields_of_the_recipe_follow_those_they_depend_on(overrides, fields):
    for config in (
        RECIPES["quick"].build_config(**overrides),
        FINE_TUNING_RECIPES["classification"]["quick"].build_config(**overrides),
    ):
        assert {name: getattr(config, name) for name in fields} == fields


def test_flat_model_from_scratch_has_groups_of_one_scale():
    recipe = FINE_TUNING_RECIPES["classification"]["paper_scanobjectnn"]
    assert len(recipe.build_config(embedding_3d="flat").group_size) == 1


def test_transform_normalizes_and_subsamples_first(recipe):
    transform = recipe.build_transform(num_points=16, seed=0)
    points = 5 + 3 * torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0))
    assert transform(points, epoch=0, index=torch.arange(2)).shape == (2, 16, 3)
    assert repr(transform).startswith("Compose([Normalize(), RandomSubsample(num_points=16, seed=0)")


def test_description_has_the_values_in_effect(tmp_path):
    recipe = RECIPES["quick"]
    training = TrainingArguments(output_dir=str(tmp_path), learning_rate=0.5, use_cpu=True)
    described = recipe.describe(training, recipe.build_config(image_size=64))
    assert (described["learning_rate"], described["image_size"]) == (0.5, 64)
    assert described["augmentation"] == ["rotate_y"]


@pytest.mark.parametrize(("max_steps", "length"), [(3000, {"max_steps": 3000}), (-1, {"num_train_epochs": 300})])
def test_description_has_the_length_in_effect(tmp_path, max_steps, length):
    recipe = RECIPES["best"]
    training = TrainingArguments(output_dir=str(tmp_path), max_steps=max_steps, num_train_epochs=300, use_cpu=True)
    described = recipe.describe(training, recipe.build_config())
    assert {name: described[name] for name in ("max_steps", "num_train_epochs") if name in described} == length
