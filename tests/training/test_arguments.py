"""Flags of the scripts: dataset, pre-training and fine-tuning, and the configuration that follows from them."""

import pytest
from transformers import HfArgumentParser

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.training import DatasetArguments, FineTuningArguments, parse_fine_tuning_arguments
from jointmae_hf.training.arguments import PreTrainingArguments, parse_pretraining_arguments
from jointmae_hf.training.finetuning import part_fields


def parse(*flags):
    return HfArgumentParser(DatasetArguments).parse_args_into_dataclasses(list(flags))[0]


def test_dataset_is_real_objects_without_a_flag():
    assert (parse().dataset, parse().dataset_name) == ("sample_shapes", "sample_shapes")


def test_dataset_has_parts_without_a_flag_where_parts_are_needed(tmp_path):
    _, dataset, *_ = parse_fine_tuning_arguments("segmentation", command_line=["--output_dir", str(tmp_path)])
    assert dataset.dataset == "synthetic_shapes"


def test_dataset_is_a_folder_with_data_dir_alone(tmp_path):
    arguments = parse("--data_dir", str(tmp_path / "my clouds"))
    assert (arguments.dataset, arguments.dataset_name) == ("folder", "my clouds")


def test_dataset_is_named_with_its_subset():
    arguments = parse("--dataset", "scanobjectnn", "--dataset_options", '{"subset": "obj_bg"}')
    assert arguments.dataset_name == "scanobjectnn obj_bg"


@pytest.mark.parametrize("text", ["[1]", "{subset}", "3"])
def test_dataset_options_must_be_an_object(text):
    with pytest.raises(ValueError, match="`dataset_options` must be a JSON object, got"):
        parse("--dataset_options", text)


def test_load_lets_options_replace_defaults(tmp_path):
    arguments = parse(
        "--dataset", "synthetic_shapes", "--dataset_options", f'{{"num_train": 40, "cache_dir": "{tmp_path}"}}'
    )
    splits = arguments.load(0, num_train=60, num_validation=20, num_test=20, num_points=64)
    assert {name: len(split) for name, split in splits.items()} == {"train": 40, "validation": 20, "test": 20}


def test_load_leaves_splits_as_they_are_without_a_validation_share(tmp_path):
    arguments = parse("--dataset", "synthetic_shapes", "--dataset_options", f'{{"cache_dir": "{tmp_path}"}}')
    splits = arguments.load(0, None, num_train=60, num_validation=20, num_test=20, num_points=64)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [60, 20, 20]


@pytest.fixture
def parse_pretraining(monkeypatch, tmp_path):
    def parse_command_line(*flags, **defaults):
        monkeypatch.setattr("sys.argv", ["script.py", "--use_cpu", "True", *flags])
        return parse_pretraining_arguments(PreTrainingArguments, "mine", **defaults)

    return parse_command_line


def test_flags_win_over_the_script_and_the_script_over_the_recipe(parse_pretraining):
    flags = ["--recipe", "best", "--learning_rate", "0.25"]
    _, _, training, recipe = parse_pretraining(*flags, learning_rate=0.5, weight_decay=0.5)
    assert (training.learning_rate, training.weight_decay) == (0.25, 0.5)
    assert training.per_device_train_batch_size == recipe.training["per_device_train_batch_size"].value == 256
    assert training.output_dir == "outputs/mine-best"


def test_augmentation_on_the_command_line_replaces_that_of_the_recipe(parse_pretraining):
    *_, recipe = parse_pretraining("--recipe", "best", "--augmentation", "rotate_y")
    assert [name for name, _ in recipe.augmentation] == ["rotate_y"]


def test_script_with_an_unknown_recipe_says_which_there_are(parse_pretraining, capsys):
    with pytest.raises(SystemExit):
        parse_pretraining("--recipe", "quickest")
    assert "--recipe must be one of paper, best, quick, got quickest." in capsys.readouterr().err


def test_flags_win_over_the_recipe(tmp_path):
    flags = ["--output_dir", str(tmp_path), "--learning_rate", "0.25", "--recipe", "paper", "--from_scratch", "True"]
    script, splits, training, recipe = parse_fine_tuning_arguments("classification", command_line=flags)
    assert (training.learning_rate, training.weight_decay) == (0.25, 0.05)
    assert (splits.dataset, script.recipe, recipe.num_candidates.value) == ("sample_shapes", "paper", 1200)


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


def test_configuration_is_that_of_the_checkpoint_except_for_what_changes(tiny_config, tmp_path):
    JointMAEForPreTraining(tiny_config).save_pretrained(tmp_path)
    *_, recipe = parse_fine_tuning_arguments("segmentation", command_line=["--output_dir", str(tmp_path)])
    script = FineTuningArguments(model=str(tmp_path), config_overrides='{"num_groups": [48, 24]}')
    config = script.build_config(recipe, str(tmp_path), **part_fields("shapenet_part"))
    assert (config.hidden_size, config.num_groups, config.num_points) == (32, [48, 24], 1024)
    assert (config.num_labels, config.num_categories, config.category_labels[1]) == (50, 16, [4, 5])
    from_scratch = FineTuningArguments(model=str(tmp_path), from_scratch=True).build_config(recipe, None)
    assert from_scratch.hidden_size == 32


def test_flat_checkpoint_keeps_its_size_of_groups(build_tiny_config, tmp_path):
    config = build_tiny_config(embedding_3d="flat", num_groups=[16], group_size=[8], embedding_sizes_3d=None)
    config.save_pretrained(tmp_path)
    flags = ["--recipe", "paper", "--dataset", "scanobjectnn", "--output_dir", str(tmp_path)]
    script, _, _, recipe = parse_fine_tuning_arguments("classification", command_line=flags)
    assert list(recipe.model["group_size"].value) == [32, 16]
    assert list(script.build_config(recipe, str(tmp_path)).group_size) == [8]
