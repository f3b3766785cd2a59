"""What our trainers take from inside `transformers.Trainer`: if a release renames it, the message says what breaks."""

import ast
import inspect
from pathlib import Path

import pytest
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import CallbackHandler

import jointmae_hf.training.resilience
from jointmae_hf.training import ClassificationTrainer, JointMAETrainer, PointCloudTrainer, ResilientTrainer


OVERRIDDEN = {
    "train": (
        ["resume_from_checkpoint", "trial", "ignore_keys_for_eval"],
        "a resume takes the newest valid checkpoint, signals save the step, lost workers are named",
    ),
    "training_step": (
        ["model", "inputs", "num_items_in_batch"],
        "a loss or gradient that is not finite stops the run before the optimizer takes it",
    ),
    "evaluation_loop": (
        ["dataloader", "description", "prediction_loss_only", "ignore_keys", "metric_key_prefix"],
        "a lost worker of an evaluation is named, and evaluations leave random states alone",
    ),
    "log": (["logs", "start_time"], "a full disk names the log, and the summary counts the time of all starts"),
    "_save_checkpoint": (
        ["model", "trial"],
        "a checkpoint that is overwritten is never valid halfway, older ones stay until its manifest is written, a full "
        "disk names the file",
    ),
}
CALLED = {
    "_finalize_training": (
        ["trial", "num_train_samples", "start_time"],
        "a run resumed at its last step takes no other",
    ),
    "_push_from_checkpoint": (["checkpoint_folder"], "a checkpoint is pushed once it has its manifest"),
}
ATTRIBUTES = {
    "_tr_loss": ("_inner_training_loop", "a log whose steps lie on both sides of a stop is the uninterrupted one"),
    "_total_loss_scalar": ("_inner_training_loop", "the summary tells the mean loss of all starts"),
    "_globalstep_last_logged": ("_inner_training_loop", "a log that spans a stop divides by all of its steps"),
}
"""Private attributes that we restore, the method that has to initialize them before `on_train_begin`, and why."""

EVENTS = {
    "on_train_begin": "the position in the run is restored and the loader is guarded",
    "on_epoch_begin": "a run resumed at its last step takes no other",
    "on_pre_optimizer_step": "non-finite numbers stop the run before the optimizer takes them",
    "on_step_end": "a signal saves the step in progress",
    "on_epoch_end": "the last checkpoint of an epoch holds its evaluation",
    "on_prediction_step": "a signal leaves an evaluation",
    "on_save": "the manifest is written last",
    "on_log": "the best weights are verified before they are loaded",
    "on_train_end": "a signal after the last step ends the process",
}


def parameters(function):
    return list(inspect.signature(function).parameters)[1:]


@pytest.mark.parametrize("name", [*OVERRIDDEN, *CALLED])
def test_method_of_trainer_is_there_with_its_parameters(name):
    expected, promise = (OVERRIDDEN | CALLED)[name]
    method = getattr(Trainer, name, None)
    assert method is not None, f"`transformers.Trainer.{name}` is gone, on which this depends: {promise}."
    found = parameters(method)
    message = f"`transformers.Trainer.{name}` takes {found} instead of {expected}. On it depends: {promise}."
    assert found == expected, message


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_private_attribute_of_trainer_is_initialized_before_training_begins(name):
    method, promise = ATTRIBUTES[name]
    source = inspect.getsource(getattr(Trainer, method, Trainer))
    before = source.partition("on_train_begin(")[0]
    assert f"self.{name} = " in before, f"`transformers.Trainer.{name}` is gone, on which this depends: {promise}."


@pytest.mark.parametrize("name", EVENTS)
def test_event_of_callbacks_is_there(name):
    for owner in (TrainerCallback, CallbackHandler):
        message = f"`transformers.{owner.__name__}.{name}` is gone, on which this depends: {EVENTS[name]}."
        assert hasattr(owner, name), message


def test_trainer_logs_its_summary_right_before_it_loads_the_best_weights():
    source = inspect.getsource(Trainer._finalize_training)
    message = "`Trainer` loads the best weights before its summary is logged, where they are verified."
    assert source.index("self.log(metrics)") < source.index("self._load_best_model()"), message


def test_order_of_log_evaluation_and_save_within_a_step():
    source = inspect.getsource(Trainer._maybe_log_save_evaluate)
    places = [source.index(f"self.{call}(") for call in ("log", "_evaluate", "_save_checkpoint")]
    assert places == sorted(places), (
        "`Trainer` saves before it evaluates: a checkpoint misses what was due at its step."
    )


def test_resilient_trainer_overrides_five_methods():
    own = {name for name, value in vars(ResilientTrainer).items() if callable(value) and hasattr(Trainer, name)}
    assert own - {"__init__"} == set(OVERRIDDEN)


@pytest.mark.parametrize("trainer_class", [PointCloudTrainer, JointMAETrainer, ClassificationTrainer])
def test_other_trainers_override_public_methods_alone(trainer_class):
    classes = trainer_class.__mro__[: trainer_class.__mro__.index(ResilientTrainer)]
    names = {name for each in classes for name in vars(each) if hasattr(Trainer, name) and name.startswith("_")}
    assert {name for name in names if not name.startswith("__")} == set()


def test_private_names_of_ours_do_not_hide_those_of_trainer(make_trainer, tmp_path):
    plain = Trainer(model=make_trainer().model, args=TrainingArguments(str(tmp_path), report_to="none", use_cpu=True))
    ours = set(vars(make_trainer())) - set(vars(plain))
    defined = {name for name in vars(ResilientTrainer) if name not in OVERRIDDEN}
    hidden = {name for name in ours | defined if hasattr(Trainer, name) and not name.startswith("__")}
    assert hidden == set()


def test_resilience_imports_nothing_else_of_the_package():
    for path in Path(jointmae_hf.training.resilience.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, f"{path.name}:{node.lineno}"
                assert node.level or node.module.partition(".")[0] != "jointmae_hf", f"{path.name}:{node.lineno}"
            elif isinstance(node, ast.Import):
                names = [alias.name.partition(".")[0] for alias in node.names]
                assert "jointmae_hf" not in names, f"{path.name}:{node.lineno}"
