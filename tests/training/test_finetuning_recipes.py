"""Recipes of fine-tuning: every value with its source."""

import dataclasses

import pytest
from transformers import TrainingArguments

from jointmae_hf import JointMAEConfig
from jointmae_hf.training import FINE_TUNING_RECIPES
from jointmae_hf.training.finetuning_recipes import choose_recipe
from jointmae_hf.training.recipes import AUGMENTATIONS


RECIPES = [recipe for recipes in FINE_TUNING_RECIPES.values() for recipe in recipes.values()]
PAPER = FINE_TUNING_RECIPES["classification"]["paper"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_value_has_a_source_and_a_field(recipe):
    fields = {field.name for field in dataclasses.fields(TrainingArguments)}
    assert set(recipe.training) <= fields
    assert {*recipe.model, *recipe.architecture} <= set(JointMAEConfig().to_dict())
    assert {name for name, _ in recipe.augmentation} <= set(AUGMENTATIONS)
    settings = [*recipe.training.values(), *recipe.model.values(), recipe.num_candidates, recipe.normalize]
    assert all(setting.source for setting in [*settings, recipe.num_votes, *recipe.augmentation])


def test_paper_recipe_of_scanobjectnn_is_its_own():
    recipe = choose_recipe("classification", "paper", "scanobjectnn")
    assert (recipe.model["pooling"].value, recipe.normalize.value, recipe.num_votes.value) == ("concat", False, 0)
    assert choose_recipe("classification", "paper", "modelnet40") is PAPER


def test_unknown_recipe_and_augmentation_are_refused():
    with pytest.raises(ValueError, match="`recipe` must be one of paper, quick, got 'best'"):
        choose_recipe("few_shot", "best", "modelnet40")
    with pytest.raises(ValueError, match=r"`augmentation` must be among .*, got turn"):
        PAPER.with_augmentation(["turn"])
