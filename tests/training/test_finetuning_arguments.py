"""Flags of fine-tuning, and the configuration that follows from them."""

import pytest

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.training import FineTuningArguments, MeasuredFolds, parse_fine_tuning_arguments, part_fields


def test_flags_win_over_the_recipe(tmp_path):
    flags = ["--output_dir", str(tmp_path), "--learning_rate", "0.25", "--recipe", "paper", "--from_scratch", "True"]
    script, splits, training, recipe = parse_fine_tuning_arguments("classification", command_line=flags)
    assert (training.learning_rate, training.weight_decay) == (0.25, 0.05)
    assert (splits.dataset, script.recipe, recipe.num_candidates.value) == ("synthetic_shapes", "paper", 1200)


def test_training_on_validation_chooses_no_epoch(tmp_path):
    flags = ["--output_dir", str(tmp_path), "--train_on_validation", "True"]
    _, _, training, _ = parse_fine_tuning_arguments("segmentation", command_line=flags)
    assert (training.eval_strategy, training.metric_for_best_model) == ("no", None)


def test_paper_recipe_needs_a_checkpoint_or_from_scratch(tmp_path):
    with pytest.raises(ValueError, match="`model` must name a checkpoint with recipe 'paper', got None"):
        FineTuningArguments(recipe="paper").find_checkpoint(tmp_path, 0)
    assert FineTuningArguments(recipe="paper", from_scratch=True, model="any").find_checkpoint(tmp_path, 0) is None


@pytest.mark.parametrize("text", ["[1]", "{num_views", '{"number_of_views": 1}'])
def test_config_overrides_must_be_fields(text):
    with pytest.raises(ValueError, match="`config_overrides` must be a JSON object"):
        FineTuningArguments(config_overrides=text)


def test_configuration_is_that_of_the_checkpoint_but_for_what_changes(tiny_config, tmp_path):
    JointMAEForPreTraining(tiny_config).save_pretrained(tmp_path)
    *_, recipe = parse_fine_tuning_arguments("segmentation", command_line=["--output_dir", str(tmp_path)])
    script = FineTuningArguments(model=str(tmp_path), config_overrides='{"num_groups": [48, 24]}')
    config = script.build_config(recipe, str(tmp_path), **part_fields("shapenet_part"))
    assert (config.hidden_size, config.num_groups, config.num_points) == (32, [48, 24], 1024)
    assert (config.num_labels, config.num_categories, config.category_labels[1]) == (50, 16, [4, 5])
    from_scratch = FineTuningArguments(model=str(tmp_path), from_scratch=True).build_config(recipe, None)
    assert from_scratch.hidden_size == 32


def test_parts_of_a_dataset_without_parts_are_refused():
    with pytest.raises(ValueError, match="`dataset` must have parts: shapenet_part or synthetic_shapes, got 'folder'"):
        part_fields("folder")


def test_measured_folds_go_on_after_an_interruption(tmp_path):
    path = tmp_path / "run" / "folds.json"
    folds = MeasuredFolds(path, {"seed": 1})
    folds.add("5-way 10-shot", 0, 0.5, seconds=2.0)
    folds.add("5-way 10-shot", 1, 0.7, seconds=1.5)
    again = MeasuredFolds(path, {"seed": 1})
    assert (again.get("5-way 10-shot", 1), again.get("5-way 10-shot", 2)) == (0.7, None)
    assert again.seconds == 3.5
    mean, std = again.mean_and_std("5-way 10-shot")
    assert (mean, std) == (pytest.approx(60.0), pytest.approx(200**0.5))


def test_measured_folds_refuse_those_of_another_run(tmp_path):
    MeasuredFolds(tmp_path / "folds.json", {"seed": 1, "classifier": "linear_svm"}).add("a", 0, 0.5)
    with pytest.raises(ValueError, match="they differ in seed"):
        MeasuredFolds(tmp_path / "folds.json", {"seed": 2, "classifier": "linear_svm"})
