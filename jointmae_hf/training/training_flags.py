"""Flags of `transformers.TrainingArguments`: which of them the scripts support, and defaults that follow from others."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import SchedulerType, TrainingArguments, get_scheduler
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION


class Refusal(NamedTuple):
    """Values of a flag that a script supports, and why it supports no others.

    Attributes:
        supported (`tuple`):
            The values; empty if the flag cannot be passed at all.
        reason (`str`):
            Sentences for the user.
    """

    supported: tuple[Any, ...]
    reason: str


_ONE_PUSH = "The scripts upload the final model once, at the end."
_SHARDED = "The scripts save the weights of one whole model. Use several GPUs by `accelerate launch`."
_NO_TEXT = "A point cloud is not a text."
_METRICS = "The trainers of this package compute their own metrics from whole predictions."

REFUSED: dict[str, Refusal] = {
    "do_train": Refusal((True,), "The scripts always train. Evaluate a checkpoint by examples/run_linear_probe.py."),
    "do_eval": Refusal((True,), "The scripts always evaluate at the end; `eval_strategy` sets when else."),
    "do_predict": Refusal((False,), "The scripts write no predictions. Load the model in a pipeline instead."),
    "remove_unused_columns": Refusal((False,), "Random numbers of a batch need its column `index`. Drop the flag."),
    "label_names": Refusal((), "The script sets it for its model. Drop the flag."),
    "include_for_metrics": Refusal((), _METRICS),
    "batch_eval_metrics": Refusal((False,), _METRICS),
    "eval_do_concat_batches": Refusal((True,), _METRICS),
    "eval_use_gather_object": Refusal((False,), _METRICS),
    "hub_strategy": Refusal(("end",), _ONE_PUSH),
    "hub_always_push": Refusal((False,), _ONE_PUSH),
    "hub_revision": Refusal((), "The scripts upload to the main branch. Set a tag by `jointmae publish --tag`."),
    "use_liger_kernel": Refusal((False,), "Liger has no kernels for this model."),
    "liger_kernel_config": Refusal((), "Liger has no kernels for this model."),
    "use_cache": Refusal((False,), "The models generate nothing, so there are no keys and values to cache."),
    "neftune_noise_alpha": Refusal((), _NO_TEXT),
    "include_num_input_tokens_seen": Refusal((False, "no"), _NO_TEXT),
    "average_tokens_across_devices": Refusal((True,), f"{_NO_TEXT} Losses are means over clouds."),
    "length_column_name": Refusal((), f"{_NO_TEXT} All clouds of a batch have the same number of points."),
    "train_sampling_strategy": Refusal(
        ("random", "sequential"), "All clouds of a batch have the same number of points."
    ),
    "group_by_length": Refusal((False,), "All clouds of a batch have the same number of points."),
    "auto_find_batch_size": Refusal((False,), "Results name the batch size. Lower `per_device_train_batch_size`."),
    "enable_jit_checkpoint": Refusal((False,), "SIGTERM already saves a checkpoint."),
    "fsdp": Refusal((False,), _SHARDED),
    "fsdp_config": Refusal((), _SHARDED),
    "deepspeed": Refusal((), _SHARDED),
    "parallelism_config": Refusal((), _SHARDED),
}
"""Flags that no script supports except with the named values, some of them only in other releases of transformers."""

_HONORED = """
    output_dir per_device_train_batch_size num_train_epochs max_steps learning_rate lr_scheduler_type lr_scheduler_kwargs
    warmup_steps warmup_ratio optim optim_args optim_target_modules weight_decay adam_beta1 adam_beta2 adam_epsilon
    gradient_accumulation_steps max_grad_norm label_smoothing_factor bf16 fp16 bf16_full_eval fp16_full_eval tf32
    activation_checkpointing activation_checkpointing_kwargs gradient_checkpointing gradient_checkpointing_kwargs
    torch_compile torch_compile_backend torch_compile_mode torch_empty_cache_steps logging_strategy logging_steps
    logging_first_step log_on_each_node logging_nan_inf_filter log_level log_level_replica logging_dir disable_tqdm
    report_to run_name project trackio_space_id trackio_bucket_id trackio_static_space_id eval_strategy eval_steps
    eval_delay per_device_eval_batch_size prediction_loss_only eval_on_start eval_accumulation_steps save_only_model
    save_strategy save_steps save_on_each_node save_total_limit push_to_hub hub_token hub_private_repo hub_model_id
    load_best_model_at_end metric_for_best_model greater_is_better ignore_data_skip
    restore_callback_states_from_checkpoint full_determinism seed data_seed use_cpu accelerator_config
    dataloader_drop_last dataloader_num_workers dataloader_pin_memory dataloader_persistent_workers
    dataloader_prefetch_factor dataloader_multiprocessing_context dataloader_in_order ddp_find_unused_parameters
    ddp_bucket_cap_mb ddp_broadcast_buffers ddp_static_graph ddp_backend ddp_timeout debug skip_memory_metrics
    resume_from_checkpoint local_rank
"""
HONORED = frozenset(_HONORED.split())
"""Flags that a script supports unless [`REFUSED_BY_TASK`] or a flag of its own says otherwise."""

_LAST_AND_BEST = "The script measures the last and the best epoch, whichever it loads."
_FINE_TUNING = {
    "prediction_loss_only": Refusal((False,), "The script measures accuracies or IoUs."),
    "load_best_model_at_end": Refusal((False,), _LAST_AND_BEST),
}
_PRETRAINING = {
    "prediction_loss_only": Refusal((True,), "Reconstructions of a whole split would fill the memory."),
    "label_smoothing_factor": Refusal((0.0,), "Pre-training has no labels."),
}
_NO_MODEL = (
    "This script writes results, no model: publish the checkpoint that it measures by examples/run_pretrain.py "
    "--push_to_hub True or jointmae publish."
)
_NO_VALIDATION = "A fold has no validation split: its last epoch is measured."
_UNSAVED = "The models of folds are not saved; a run that was interrupted resumes with the next fold."


def without_validation(reason: str) -> dict[str, Refusal]:
    """Return the flags that need a validation split, with the reason why there is none."""
    never = ("eval_steps", "eval_delay", "metric_for_best_model", "greater_is_better")
    return {
        "eval_strategy": Refusal(("no",), reason),
        "eval_on_start": Refusal((False,), reason),
        "load_best_model_at_end": Refusal((False,), reason),
        **{name: Refusal((), reason) for name in never},
    }


_FEW_SHOT = {
    **_FINE_TUNING,
    **without_validation(_NO_VALIDATION),
    "push_to_hub": Refusal((False,), _NO_MODEL),
    **{name: Refusal((), _NO_MODEL) for name in ("hub_model_id", "hub_private_repo", "hub_token")},
    "save_strategy": Refusal(("no",), _UNSAVED),
    **{name: Refusal((), _UNSAVED) for name in ("save_steps", "save_total_limit", "save_only_model")},
    "resume_from_checkpoint": Refusal((True,), _UNSAVED),
}
_USED_BY_SVM = {"output_dir", "seed", "use_cpu", "disable_tqdm", "ddp_backend", "ddp_timeout", "local_rank", "tf32"}
SVM_TRAINS_NO_MODEL = "A linear SVM trains no model. Drop the flag, or pass `--classifier fine_tuning`."

REFUSED_BY_TASK: dict[str, dict[str, Refusal]] = {
    "pretraining": _PRETRAINING,
    "ablation": {
        **_PRETRAINING,
        "seed": Refusal((), "`--seeds` names the seeds of the rows."),
        "load_best_model_at_end": Refusal((False,), "The last epoch of every row is measured."),
        "resume_from_checkpoint": Refusal((True,), "Rows that were interrupted always resume by themselves."),
    },
    "classification": _FINE_TUNING,
    "segmentation": _FINE_TUNING,
    "few_shot": _FEW_SHOT,
    "linear_svm": {
        **{name: Refusal((), SVM_TRAINS_NO_MODEL) for name in HONORED - _USED_BY_SVM},
        **_FEW_SHOT,
        "report_to": Refusal(("none",), SVM_TRAINS_NO_MODEL),
    },
}
"""Flags that the script of a task does not support although others do."""

METRICS: dict[str, str] = {
    "pretraining": "loss|loss_3d|loss_2d|loss_3d_2d",
    "ablation": "loss|loss_3d|loss_2d|loss_3d_2d",
    "classification": "loss|overall_accuracy|class_accuracy",
    "segmentation": r"loss|instance_miou|class_miou|point_accuracy|category_iou_\d+",
}
"""Metrics of each task that can choose a checkpoint, as a regular expression."""

_PUSH = ("push_to_hub", True)
_TRACKIO = ("report_to", "trackio")
NEEDED: dict[str, tuple[str, Any]] = {
    **dict.fromkeys(("hub_model_id", "hub_private_repo", "hub_token", "hub_strategy"), _PUSH),
    **dict.fromkeys(("project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id"), _TRACKIO),
    **{f"{kind}_steps": (f"{kind}_strategy", "steps") for kind in ("eval", "save", "logging")},
}
"""Flags that have no effect unless another one has the named value."""


def refuse_flags(passed: Mapping[str, Any], task: str, further: Mapping[str, Refusal]) -> None:
    """Raise `ValueError` that names a flag that the script of a task does not support.

    Args:
        passed (`Mapping[str, Any]`):
            Flags on the command line.
        task (`str`):
            Key of `REFUSED_BY_TASK`.
        further (`Mapping[str, Refusal]`):
            Flags that other flags of the script exclude.
    """
    for refused in (REFUSED, REFUSED_BY_TASK[task], further):
        refuse(passed, refused)


def refuse(passed: Mapping[str, Any], refused: Mapping[str, Refusal]) -> None:
    """Raise `ValueError` that names the first of some flags that is passed with a value that is not supported."""
    for name, refusal in refused.items():
        if name in passed and _plain(passed[name]) not in map(_plain, refusal.supported):
            raise ValueError(_refusal_text(name, passed[name], refusal))


def check_flags(passed: Mapping[str, Any], training: TrainingArguments, task: str) -> None:
    """Raise `ValueError` that names the first flag that has no effect with the others, or would stop the run later.

    Args:
        passed (`Mapping[str, Any]`):
            Flags on the command line.
        training (`transformers.TrainingArguments`):
            Arguments of the run.
        task (`str`):
            Key of `REFUSED_BY_TASK`.
    """
    for name, (other, needed) in NEEDED.items():
        if name not in passed:
            continue
        actual = getattr(training, other)
        actual = actual if isinstance(actual, list) else [_plain(actual)]
        if needed not in actual:
            raise ValueError(f"`{other}` must be {needed} with `{name}`, got {', '.join(map(str, actual)) or 'none'}.")
    _check_metric(training.metric_for_best_model if "metric_for_best_model" in passed else None, task)
    _check_scheduler(training)


def fit_defaults(defaults: Mapping[str, Any], passed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a script, adapted to the flags on which they depend.

    A metric whose name contains "loss" is to be small; a scheduler gets only the arguments of the recipe that it has, and
    no smallest learning rate above the largest; a number of steps between evaluations, checkpoints or logs implies that they are due by steps; and where the best
    checkpoint is kept, checkpoints follow evaluations.

    Args:
        defaults (`Mapping[str, Any]`):
            Fields of `transformers.TrainingArguments`.
        passed (`Mapping[str, Any]`):
            Flags on the command line.

    Returns:
        `dict[str, Any]`: The defaults of the other fields.
    """
    fitted = dict(defaults)
    metric = passed.get("metric_for_best_model")
    if metric is not None:
        fitted["greater_is_better"] = "loss" not in metric
    if "lr_scheduler_type" in passed and fitted.get("lr_scheduler_kwargs"):
        scheduler = SchedulerType(_plain(passed["lr_scheduler_type"]))
        fitted["lr_scheduler_kwargs"] = _accepted_arguments(scheduler, fitted["lr_scheduler_kwargs"]) or None
    smallest = (fitted.get("lr_scheduler_kwargs") or {}).get("min_lr")
    if smallest is not None and passed.get("learning_rate", smallest) < smallest:
        fitted["lr_scheduler_kwargs"] = {**fitted["lr_scheduler_kwargs"], "min_lr": passed["learning_rate"]}
    for kind in ("eval", "save", "logging"):
        if f"{kind}_steps" in passed:
            fitted[f"{kind}_strategy"] = "steps"
    merged = {**fitted, **passed}
    keeps_best = merged.get("metric_for_best_model") is not None or merged.get("load_best_model_at_end")
    if keeps_best and _plain(merged.get("eval_strategy")) == "steps":
        steps = merged.get("eval_steps") or merged.get("logging_steps", TrainingArguments.logging_steps)
        fitted |= {"save_strategy": "steps", "save_steps": steps}
    elif keeps_best and _plain(merged.get("eval_strategy")) == "epoch":
        fitted["save_strategy"] = "steps" if "save_steps" in passed else "epoch"
    return fitted


def _accepted_arguments(scheduler: SchedulerType, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that the function of a scheduler has."""
    function: Any = TYPE_TO_SCHEDULER_FUNCTION[scheduler]
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return {}
    return {name: value for name, value in arguments.items() if name in parameters}


def _check_metric(metric: str | None, task: str) -> None:
    """Raise if a metric does not exist: the trainer would only notice after its first evaluation."""
    pattern = METRICS.get(task, "")
    if metric is not None and not re.fullmatch(pattern, metric.removeprefix("eval_")):
        names = pattern.replace(r"\d+", "<number>").replace("|", ", ")
        raise ValueError(f"`metric_for_best_model` must be one of {names}, got {metric!r}.")


def _check_scheduler(training: TrainingArguments) -> None:
    """Raise if a scheduler does not take its arguments: the trainer would only notice after loading the data."""
    if training.learning_rate <= 0:
        raise ValueError(f"`learning_rate` must be positive, got {training.learning_rate}.")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=training.learning_rate)
    arguments: Any = training.lr_scheduler_kwargs or {}
    try:
        get_scheduler(training.lr_scheduler_type, optimizer, 1, 10, scheduler_specific_kwargs=dict(arguments))
    except (TypeError, ValueError) as error:
        name = _plain(training.lr_scheduler_type)
        raise ValueError(
            f"`lr_scheduler_kwargs` must fit `lr_scheduler_type` {name}, got {arguments}: {error}"
        ) from error


def _refusal_text(name: str, value: Any, refusal: Refusal) -> str:
    """Return the sentence of a refusal; an access token is never repeated."""
    rule = f"must be {_either(refusal.supported)}" if refusal.supported else "must not be passed"
    shown = "a token" if name == "hub_token" else _plain(value)
    return f"`{name}` {rule}, got {shown}. {refusal.reason}"


def _either(values: Sequence[Any]) -> str:
    """Return values as an enumeration."""
    return " or ".join(map(str, values))


def _plain(value: Any) -> Any:
    """Return a value without its enumeration, and the text `"True"` or `"False"` as a boolean."""
    value = getattr(value, "value", value)
    return value == "True" if value in ("True", "False") else value
