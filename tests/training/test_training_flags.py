"""Flags of `transformers.TrainingArguments`: none is ignored, and defaults follow the flags they depend on."""

from dataclasses import fields
from pathlib import Path
from runpy import run_path

import pytest
from transformers import TrainingArguments

from jointmae_hf.training import FineTuningArguments, parse_fine_tuning_arguments
from jointmae_hf.training.arguments import PreTrainingArguments, parse_pretraining_arguments
from jointmae_hf.training.training_flags import HONORED, NEEDED, REFUSED, REFUSED_BY_TASK


FIELDS = {field.name for field in fields(TrainingArguments) if field.init}
EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = ("pretraining", "ablation", "classification", "segmentation", "few_shot", "linear_svm")
OTHER_VALUES = {
    "label_names": "points",
    "include_for_metrics": "inputs",
    "hub_strategy": "every_save",
    "hub_revision": "dev",
    "neftune_noise_alpha": "5",
    "length_column_name": "size",
    "train_sampling_strategy": "group_by_length",
    "fsdp_config": '{"version": 2}',
    "deepspeed": '{"train_batch_size": 8}',
}
"""A value that is refused for each flag that is not a switch."""


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Parse flags like the script of a task, and return its `TrainingArguments`."""

    def parse_flags(task, *flags):
        flags = ["--output_dir", str(tmp_path), "--use_cpu", "True", *flags]
        monkeypatch.setattr("sys.argv", ["script.py", *flags])
        if task in ("pretraining", "ablation"):
            return parse_pretraining_arguments(PreTrainingArguments, task)[2]
        if task in ("classification", "segmentation"):
            return parse_fine_tuning_arguments(task, FineTuningArguments, flags)[2]
        script_class = run_path(str(EXAMPLES / "run_few_shot.py"))["ScriptArguments"]
        quiet = {"save_strategy": "no", "logging_strategy": "no", "report_to": "none"}
        classifier = ["--classifier", "linear_svm" if task == "linear_svm" else "fine_tuning"]
        return parse_fine_tuning_arguments("few_shot", script_class, [*flags, *classifier], **quiet)[2]

    return parse_flags


@pytest.fixture
def refusal(parse, capsys):
    """Parse flags that are refused, and return the one line that the script prints."""

    def refuse(task, *flags):
        with pytest.raises(SystemExit) as stopped:
            parse(task, *flags)
        assert stopped.value.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    return refuse


def test_every_field_is_either_honored_or_refused():
    """Speaks when a release of transformers adds a field: decide whether the scripts honor it."""
    assert FIELDS - HONORED - REFUSED.keys() == set()
    assert HONORED & REFUSED.keys() == set()
    assert [name for refused in REFUSED_BY_TASK.values() for name in refused.keys() - HONORED] == []
    assert set(REFUSED_BY_TASK) == set(SCRIPTS)


@pytest.mark.parametrize("name", sorted(FIELDS & REFUSED.keys() - {"liger_kernel_config", "parallelism_config"}))
def test_refused_field_ends_with_a_sentence(refusal, name):
    """Two more cannot be written on a command line at all: argparse refuses their types."""
    supported = REFUSED[name].supported
    value = OTHER_VALUES.get(name) or str(not supported[0])
    rule = "must be" if supported else "must not be passed"
    assert f"script.py: error: `{name}` {rule}" in refusal("classification", f"--{name}", value)


@pytest.mark.parametrize(
    "flags", [("--do_train", "True"), ("--do_eval", "True"), ("--remove_unused_columns", "False")]
)
@pytest.mark.parametrize("task", SCRIPTS)
def test_supported_values_of_refused_fields_are_accepted(parse, task, flags):
    assert parse(task, *flags).remove_unused_columns is False


@pytest.mark.parametrize(
    ("task", "flags", "message"),
    [
        ("pretraining", ["--label_smoothing_factor", "0.1"], "`label_smoothing_factor` must be 0.0, got 0.1."),
        ("ablation", ["--seed", "1"], "`seed` must not be passed, got 1. `--seeds` names the seeds"),
        ("ablation", ["--resume_from_checkpoint", "False"], "`resume_from_checkpoint` must be True, got False."),
        ("classification", ["--prediction_loss_only", "True"], "`prediction_loss_only` must be False, got True."),
        ("segmentation", ["--load_best_model_at_end", "True"], "`load_best_model_at_end` must be False, got True."),
        ("few_shot", ["--push_to_hub", "True"], "got True. This script writes results, no model: publish the"),
        ("few_shot", ["--hub_token", "hf_x"], "`hub_token` must not be passed, got a token."),
        ("few_shot", ["--eval_strategy", "epoch"], "`eval_strategy` must be no, got epoch. A fold has no validation"),
        ("few_shot", ["--save_strategy", "epoch"], "`save_strategy` must be no, got epoch. The models of folds"),
        ("linear_svm", ["--learning_rate", "0.1"], "`learning_rate` must not be passed, got 0.1. A linear SVM trains"),
        (
            "classification",
            ["--train_on_validation", "True", "--eval_strategy", "epoch"],
            "`eval_strategy` must be no, got epoch. `train_on_validation` leaves no split",
        ),
    ],
)
def test_flag_that_a_script_would_ignore_is_refused(refusal, task, flags, message):
    assert message in refusal(task, *flags)


@pytest.mark.parametrize("name", sorted(NEEDED.keys() & FIELDS))
def test_flag_without_the_one_it_needs_is_refused(refusal, name):
    other, _ = NEEDED[name]
    value = {"hub_private_repo": "True", "hub_strategy": "end"}.get(name, "7")
    strategy = [f"--{other}", "epoch"] if name.endswith("steps") else []
    flags = [f"--{name}", value, "--report_to", "none", *strategy]
    assert f"`{other}` must be {NEEDED[name][1]} with `{name}`, got" in refusal("pretraining", *flags)


@pytest.mark.parametrize(
    ("task", "metric", "greater_is_better"),
    [
        ("classification", "loss", False),
        ("classification", "eval_loss", False),
        ("classification", "class_accuracy", True),
        ("segmentation", "loss", False),
        ("segmentation", "category_iou_3", True),
        ("pretraining", "loss_3d", False),
        ("pretraining", "eval_loss_3d_2d", False),
    ],
)
def test_best_epoch_has_the_smallest_loss_or_the_largest_score(parse, task, metric, greater_is_better):
    assert parse(task, "--metric_for_best_model", metric).greater_is_better is greater_is_better


def test_metric_of_the_recipe_is_to_be_large(parse):
    assert [parse(task).greater_is_better for task in ("classification", "segmentation")] == [True, True]
    assert parse("classification", "--greater_is_better", "False").greater_is_better is False


@pytest.mark.parametrize("task", ["pretraining", "classification", "segmentation"])
def test_unknown_metric_is_refused(refusal, task):
    assert "`metric_for_best_model` must be one of loss, " in refusal(task, "--metric_for_best_model", "accuracy")


@pytest.mark.parametrize("task", ["pretraining", "classification", "few_shot"])
@pytest.mark.parametrize(
    ("scheduler", "arguments"),
    [
        ("linear", None),
        ("cosine", None),
        ("polynomial", None),
        ("constant", None),
        ("inverse_sqrt", None),
        ("cosine_with_restarts", None),
        ("cosine_with_min_lr", {"min_lr": 1e-6}),
        ("cosine_warmup_with_min_lr", {"min_lr": 1e-6}),
    ],
)
def test_scheduler_gets_the_arguments_of_the_recipe_that_it_has(parse, task, scheduler, arguments):
    training = parse(task, "--lr_scheduler_type", scheduler)
    assert (training.lr_scheduler_kwargs or None) == arguments


def test_smallest_learning_rate_of_the_recipe_is_not_above_the_largest(parse):
    assert parse("pretraining", "--learning_rate", "1e-7").lr_scheduler_kwargs == {"min_lr": 1e-7}
    assert parse("pretraining", "--learning_rate", "1e-3").lr_scheduler_kwargs == {"min_lr": 1e-6}


def test_arguments_of_a_scheduler_that_do_not_fit_are_refused_before_any_work(refusal):
    flags = ["--lr_scheduler_type", "linear", "--lr_scheduler_kwargs", '{"min_lr": 0.1}']
    assert "`lr_scheduler_kwargs` must fit `lr_scheduler_type` linear, got" in refusal("pretraining", *flags)
    message = refusal("pretraining", "--lr_scheduler_type", "warmup_stable_decay")
    assert "must fit `lr_scheduler_type` warmup_stable_decay" in message
    assert "num_decay_steps" in message


def test_number_of_steps_replaces_the_strategy_of_the_recipe(parse):
    training = parse("pretraining", "--eval_steps", "5", "--save_steps", "7")
    assert (training.eval_strategy, training.eval_steps) == ("steps", 5)
    assert (training.save_strategy, training.save_steps) == ("steps", 7)


def test_checkpoints_follow_evaluations_where_the_best_is_kept(parse):
    training = parse("classification", "--eval_steps", "5")
    assert (training.save_strategy, training.save_steps) == ("steps", 5)
    training = parse(
        "pretraining", "--recipe", "paper", "--eval_strategy", "epoch", "--load_best_model_at_end", "True"
    )
    assert training.save_strategy == "epoch"
