"""A `transformers.Trainer` whose resumed run equals the uninterrupted one, and that can be stopped at any step."""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import EvalLoopOutput, TrainOutput

from .callbacks import EpochEndSaveCallback, ManifestCallback
from .checkpoints import (
    check_checkpoint_config,
    check_checkpoint_is_resumable,
    find_last_checkpoint,
    list_checkpoints,
    remove_checkpoint,
    report_failed_write,
    verify_manifest,
)
from .non_finite_check import NonFiniteCheck
from .stop_signals import StopRequestedError, StopSignals
from .watchdog import Watchdog


logger = logging.getLogger(__name__)


def _to_numbered_cpu(storage: Any, location: str) -> Any:
    """Let `torch.load` map what it reads to "cpu:0", as the device of a process of gloo is called."""
    return storage if re.fullmatch(r"cpu:\d+", location) else None


# Needed by transformers 5.17, which without it resumes no run of several processes on CPU.
torch.serialization.register_package(11, lambda storage: None, _to_numbered_cpu)


class ResilientTrainer(Trainer):
    """`transformers.Trainer` that resumes bitwise, stops on signals, and reports what would fail silently.

    - Checkpoints get a manifest, see [`ManifestCallback`]. `train(resume_from_checkpoint=True)` takes the newest valid one,
      and starts a new run if there is none at all; a path is verified too.
    - A resumed run continues as if it had never stopped. `Trainer` restores weights, optimizer, scheduler, random states
      and the order of batches; this class adds the losses since the last log, and mean loss and time of all starts.
    - A loss or gradient that is not finite raises [`NonFiniteError`] before the optimizer takes it.
    - A data worker that raises, dies or hangs ends the run with an error that names its samples, see [`Watchdog`].

    Most of this is done by callbacks. `Trainer` has no event for the rest: each of the five methods that this class
    overrides says which one is missing.

    Args:
        stop_on_signals (`bool`, *optional*, defaults to `False`):
            Whether SIGTERM and SIGINT save the step in progress and exit with code 143 or 130. An evaluation in progress
            is left, and not repeated after the resume. Nothing is saved with `save_strategy="no"`.
        loader_timeout (`float`, *optional*, defaults to 300.0):
            Seconds to wait for a batch of the workers. `transformers.TrainingArguments` has no such field, and torch
            would wait forever.
        versions (`Mapping[str, str | None]`, *optional*):
            Installed versions to record in checkpoints. A resume warns about those that differ.
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of `transformers.Trainer`.
    """

    def __init__(
        self,
        *args: Any,
        stop_on_signals: bool = False,
        loader_timeout: float = 300.0,
        versions: Mapping[str, str | None] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.stop_on_signals, self.versions = stop_on_signals, dict(versions or {})
        batch_size = max(self.args.train_batch_size, self.args.eval_batch_size)
        self.watchdog = Watchdog(self.args.dataloader_num_workers, batch_size, loader_timeout, stop_on_signals)
        self.non_finite_check = NonFiniteCheck(self.accelerator)
        self.stop_signals = StopSignals()
        self._resumed_from: Path | None = None
        self._started, self._earlier_seconds = time.time(), 0.0
        # In this order: a checkpoint is complete before it is pushed, and both before a signal ends the process; a signal
        # asks for a save before one in the last step of an epoch is postponed.
        for callback in (ManifestCallback(self.versions), _TrainerCallback(self), self.stop_signals):
            self.add_callback(callback)
        self.add_callback(EpochEndSaveCallback())

    @property
    def unwrapped_model(self) -> Any:
        """`PreTrainedModel`: The model without the wrappers of distributed training and compilation."""
        return self.accelerator.unwrap_model(self.model, keep_torch_compile=False)

    # No event precedes the loading of a checkpoint, and none follows an exception.
    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train; see `transformers.Trainer.train`.

        Args:
            resume_from_checkpoint (`str` or `bool`, *optional*):
                Folder of a checkpoint, or `True` for the last valid one in `output_dir`; also `"True"` and `"False"`,
                as they come from a command line.
            trial (`Any`, *optional*):
                Of a hyperparameter search.
            ignore_keys_for_eval (`list[str]`, *optional*):
                Keys of the output of the model.

        Returns:
            `transformers.trainer_utils.TrainOutput`: Steps, mean loss and metrics, of earlier starts too.

        Raises:
            CheckpointError: If the checkpoint is broken or of another model, or all in `output_dir` are broken.
        """
        self._resumed_from = self._checkpoint_to_resume(str(resume_from_checkpoint or "False"))
        self._started, self._earlier_seconds = time.time(), 0.0
        checkpoint = None if self._resumed_from is None else str(self._resumed_from)
        self.non_finite_check = NonFiniteCheck(self.accelerator)
        stop_signals = self.stop_signals if self.stop_on_signals else nullcontext()
        with stop_signals, self.watchdog.report_lost_samples(), self.non_finite_check.keep_norms():
            try:
                return super().train(checkpoint, trial, ignore_keys_for_eval)
            except _NoStepLeftError:
                num_samples = self.state.max_steps * self.get_total_train_batch_size(self.args)
                return self._finalize_training(trial, num_samples, self._started)
            except StopRequestedError:
                self._save_checkpoint(self.model_wrapped, trial)
                self.callback_handler.on_save(self.args, self.state, self.control)
                raise

    # No event has the loss of a batch and its samples.
    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """Return the loss of one batch after its backward pass; see `transformers.Trainer.training_step`."""
        loss = super().training_step(model, inputs, *args, **kwargs)
        self.non_finite_check.add(loss, inputs.get("index"))
        return loss

    # The first event of an evaluation comes after its first batch, and none follows an exception.
    def evaluation_loop(self, dataloader: DataLoader, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate or predict; see `transformers.Trainer.evaluation_loop`.

        Random states stay as they are, so that a run whose evaluation was interrupted resumes like any other.
        """
        generator = torch.get_rng_state()  # the loader draws a seed from it for its workers
        try:
            with self.watchdog.guard(dataloader, "evaluation"):
                return super().evaluation_loop(dataloader, *args, **kwargs)
        finally:
            torch.set_rng_state(generator)

    # `on_log` comes before other callbacks write, and no event follows an exception of theirs.
    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log; see `transformers.Trainer.log`. An error of the disk names what could not be written."""
        if "train_runtime" in logs:
            _add_earlier_time(logs, self._earlier_seconds)
        try:
            super().log(logs, *args, **kwargs)
        except OSError as error:
            writers = [getattr(callback, "tb_writer", None) for callback in self.callback_handler.callbacks]
            folders = [writer.log_dir for writer in writers if writer is not None]
            where = error.filename or ", ".join([*folders, "standard output"])
            reason = f"step {self.state.global_step} could not be logged ({error.strerror}); free space, then resume"
            raise OSError(error.errno, reason, where) from error

    # No event precedes a save, and `on_save` comes after `Trainer` has pushed the checkpoint and removed older ones.
    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save to a folder without a manifest, together with the position of this process in the run."""
        if trial is not None:  # checkpoints of a hyperparameter search are not resumed from
            return super()._save_checkpoint(model, trial)
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            remove_checkpoint(folder)  # of an earlier start
        self.accelerator.wait_for_everyone()
        with report_failed_write(folder):
            with _changed(self.args, save_total_limit=None, push_to_hub=False):
                super()._save_checkpoint(model, trial)
            if self.args.should_save:
                torch.save(self.args, folder / TRAINING_ARGS_NAME)  # as they are
            if not self.args.save_only_model:
                seconds = self._earlier_seconds + time.time() - self._started
                torch.save({"seconds": seconds, "window": self._window()}, folder / self._position_name)

    def _checkpoint_to_resume(self, requested: str) -> Path | None:
        """Return the verified checkpoint to resume from, `None` to start at the first step."""
        output_dir = Path(str(self.args.output_dir))
        if requested == "False":
            if earlier := list_checkpoints(output_dir):
                logger.warning("%s is from an earlier run, and a resume would take it: remove it.", earlier[-1])
            return None
        if requested != "True":
            verify_manifest(Path(requested))
        checkpoint = find_last_checkpoint(output_dir) if requested == "True" else Path(requested)
        if checkpoint is None:
            logger.warning("%s holds no checkpoint: the run starts at its first step.", output_dir)
            return None
        model = self.unwrapped_model
        is_adapter = hasattr(model, "peft_config")  # PEFT saves its adapter alone
        check_checkpoint_config(checkpoint, model.peft_config[model.active_adapter] if is_adapter else model.config)
        check_checkpoint_is_resumable(checkpoint, self.versions)
        return checkpoint

    def _restore_position(self, folder: Path) -> None:
        """Restore what `Trainer` has initialized for a new run: losses since the last log, mean loss and time."""
        own = folder / self._position_name
        found = own if own.is_file() else next(iter(sorted(folder.glob("position*.pt"))), None)
        if found != own:
            logger.warning("%s is of another number of processes: results may differ.", folder)
        if found is None:
            return
        position = torch.load(found, map_location=self.args.device, weights_only=True)
        if found == own:
            self._load_window(position["window"])
        self._earlier_seconds = position["seconds"]

    @property
    def _position_name(self) -> str:
        """Name of the file of this process."""
        return "position.pt" if self.args.world_size <= 1 else f"position_{self.args.process_index}.pt"

    def _window(self) -> dict[str, Any]:
        """Return the losses that are not logged yet, and the sum of those that are."""
        return {
            "loss": self._tr_loss,
            "logged_loss": self._total_loss_scalar,
            "last_logged_step": self._globalstep_last_logged,
        }

    def _load_window(self, window: dict[str, Any]) -> None:
        """Restore what `_window` returned."""
        self._tr_loss.copy_(window["loss"])
        self._total_loss_scalar = window["logged_loss"]
        self._globalstep_last_logged = window["last_logged_step"]


class _NoStepLeftError(Exception):
    """Leaves a run that was resumed at its last step: `Trainer` would take one more within an epoch."""


class _TrainerCallback(TrainerCallback):
    """Do at the events of a [`ResilientTrainer`] what needs the trainer."""

    def __init__(self, trainer: ResilientTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Guard the data loader and restore the position of the checkpoint."""
        self.trainer.watchdog.attach(kwargs["train_dataloader"], "training")
        self.trainer._initial_global_step = 0  # `Trainer` would report mean loss and speed of this start alone
        if self.trainer._resumed_from is not None:
            self.trainer._restore_position(self.trainer._resumed_from)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take no step after the last one."""
        if state.global_step >= state.max_steps:
            raise _NoStepLeftError

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check the step, and agree with other processes on a signal to stop."""
        signals, check = self.trainer.stop_signals, self.trainer.non_finite_check
        norm = check.take_norm(kwargs["model"])
        signals.agreed = check.check(state.global_step + 1, norm, signals.received)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Push the checkpoint, which is complete now."""
        if args.push_to_hub and not state.is_hyper_param_search:
            self.trainer._push_from_checkpoint(str(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"))


@contextmanager
def _changed(args: TrainingArguments, **values: Any) -> Iterator[None]:
    """Change fields of the arguments within the `with` block."""
    before = {name: getattr(args, name) for name in values}
    for name, value in values.items():
        setattr(args, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(args, name, value)


def _add_earlier_time(logs: dict[str, float], seconds: float) -> None:
    """Add the time of earlier starts to the summary of a run, whose steps and samples are those of all starts."""
    runtime = logs["train_runtime"]
    logs["train_runtime"] = round(runtime + seconds, 4)
    for name in ("train_samples_per_second", "train_steps_per_second"):
        if name in logs and seconds:
            logs[name] = round(logs[name] * runtime / (runtime + seconds), 3)
