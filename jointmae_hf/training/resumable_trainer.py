"""Trainer whose resumed run is the uninterrupted one, and that can be told to stop at any step."""

import logging
import re
import time
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers.trainer_utils import TrainOutput

from .non_finite_check import NonFiniteCheck
from .sealed_trainer import SealedTrainer
from .stop_signals import StopSignals, outlive_stop_signals


logger = logging.getLogger(__name__)


NOTHING_DUE = {"evaluate": False, "save": False}


def _take_to_numbered_cpu(storage: Any, location: str) -> Any:
    """Let `torch.load` take what it reads to "cpu:0", as the device of a process of gloo is called."""
    return storage if re.fullmatch(r"cpu:\d+", location) else None


# Needed by `transformers` 5.17 too, which without it resumes no run of several processes on CPU.
torch.serialization.register_package(11, lambda storage: None, _take_to_numbered_cpu)


class EvaluationStoppedError(Exception):
    """Leaves an evaluation that a signal has interrupted."""


class ResumableTrainer(SealedTrainer):
    """Trainer that goes on from a checkpoint as if it had never stopped.

    `transformers.Trainer` restores weights, optimizer, scheduler, random states and the order of batches. This one adds
    what it loses: the losses since the last log, the mean loss and the time of the whole run, an evaluation or the end of an
    epoch that were still due at the step that was saved, and that a run which had reached its last step takes no other.

    A loss or gradient that is not finite raises [`NonFiniteError`] before the optimizer takes it.

    Args:
        stop_on_signals (`bool`, *optional*, defaults to `False`):
            Whether SIGTERM and SIGINT save the step under way and exit with code 143 or 130. An evaluation under way is
            left, and done after the resume. Nothing is saved with `save_strategy="no"`.
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of `transformers.Trainer`.
    """

    def __init__(self, *args: Any, stop_on_signals: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.stop_on_signals = stop_on_signals
        self._guard = NonFiniteCheck(self.accelerator)
        self._forget_run()

    def _forget_run(self) -> None:
        """Start without anything of an earlier call of `train`."""
        self._started, self._earlier_seconds = time.time(), 0.0
        self._signals: StopSignals | None = None
        self._agreed_signal = 0
        self._is_reporting = False
        self._reported_step, self._phase = -1, "step"
        self._saved: tuple[int, str] | None = None
        self._due, self._last_values = NOTHING_DUE, dict[str, Any]()

    def train(self, *args: Any, **kwargs: Any) -> TrainOutput:
        """Train; see [`SealedTrainer`].

        Returns:
            `transformers.trainer_utils.TrainOutput`: Steps, mean loss and metrics, of earlier starts too.
        """
        self._forget_run()
        if not self.stop_on_signals:
            return super().train(*args, **kwargs)
        with StopSignals() as self._signals:
            return super().train(*args, **kwargs)

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Tensor:
        """Loss of one batch, with its gradient; see `transformers.Trainer.training_step`."""
        loss = super().training_step(model, inputs, *args, **kwargs)
        self._guard.add(loss, inputs["index"])
        return loss

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        """Output for one batch; see `transformers.Trainer.prediction_step`. Leaves an evaluation when told to stop."""
        if self._is_reporting and self._signals is not None and self._agree(self._signals.received):
            raise EvaluationStoppedError
        return super().prediction_step(*args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Batches to train on, from workers that outlive a signal to stop."""
        loader = super().get_train_dataloader()
        return outlive_stop_signals(loader) if self.stop_on_signals else loader

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Batches to evaluate on, from workers that outlive a signal to stop."""
        loader = super().get_eval_dataloader(eval_dataset)
        return outlive_stop_signals(loader) if self.stop_on_signals else loader

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """Norm of the gradient, after a look at the whole step."""
        norm = super()._get_grad_norm(model, grad_norm)
        received = self._signals.received if self._signals is not None else 0
        self._agreed_signal = self._guard.check(self.state.global_step + 1, norm, received)
        return norm

    def _agree(self, received: int) -> int:
        """Signal that any process has received."""
        if self.accelerator.num_processes > 1:
            signals = torch.tensor([received], device=self.args.device)
            received = int(self.accelerator.gather(signals).max())
        self._agreed_signal = received
        return received

    @property
    def _stop_signal(self) -> int:
        """Signal to obey now, 0 for none; several processes obey what they agreed on at their last step."""
        if self._signals is None or self.accelerator.num_processes > 1:
            return self._agreed_signal
        return self._signals.received

    def _maybe_log_save_evaluate(
        self, tr_loss: Tensor, grad_norm: Any, model: nn.Module, trial: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Log, evaluate and save what is due after a step, or after an epoch; stop if told to."""
        self._phase = "epoch" if self._reported_step == self.state.global_step else "step"
        self._reported_step = self.state.global_step
        self._last_values = {"grad_norm": grad_norm, "learning_rate": kwargs.get("learning_rate")}
        due = {"evaluate": self.control.should_evaluate, "save": self.control.should_save}
        report = partial(super()._maybe_log_save_evaluate, tr_loss, grad_norm, model, trial, *args, **kwargs)
        if self._stop_signal:
            self.control.should_evaluate = self.control.should_save = False
            report()  # the log alone
            self._save_and_exit(model, trial, due)
        generator, self._is_reporting = torch.get_rng_state(), True
        try:
            report()
        except EvaluationStoppedError:
            torch.set_rng_state(generator)  # the loader of the evaluation has drawn from it
            self._save_and_exit(model, trial, due)
        finally:
            self._is_reporting = False
        if self._stop_signal:
            self._save_and_exit(model, trial, NOTHING_DUE)

    def _save_and_exit(self, model: nn.Module, trial: Any, due: dict[str, bool]) -> NoReturn:
        """Save the step, with what is still due after it, and end the process with the code of the signal."""
        number, step = self._stop_signal, self.state.global_step
        if self.args.save_strategy == "no":
            logger.warning("Stopped after step %d. Nothing is saved: `save_strategy` is 'no'.", step)
            raise SystemExit(128 + number)
        if due["evaluate"] or self._saved != (step, self._phase):
            self._due = due if due["evaluate"] else NOTHING_DUE
            self._save_checkpoint(model, trial)
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)
        logger.warning("Stopped after step %d, which is saved. Go on by --resume_from_checkpoint True.", step)
        raise SystemExit(128 + number)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Save; see [`SealedTrainer`]."""
        super()._save_checkpoint(model, trial)
        self._saved = (self.state.global_step, self._phase)

    def _save_rng_state(self, output_dir: str) -> None:
        """Save random states, and beside them where in its course this process is."""
        super()._save_rng_state(output_dir)
        position = {
            "phase": self._phase,
            "due": self._due,
            "last_values": self._last_values,
            "seconds": self._earlier_seconds + time.time() - self._started,
            "window": self._window(),
        }
        torch.save(position, Path(output_dir) / self._position_name)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Restore random states and position, then do what was due; the base class calls this before its first step."""
        super()._load_rng_state(checkpoint)
        if self._resumed_from is None:
            return
        folder, self._resumed_from = self._resumed_from, None
        own = folder / self._position_name
        found = own if own.is_file() else next(iter(sorted(folder.glob("position*.pt"))), None)
        if found != own:
            logger.warning("%s is of another number of processes: the same bits are not promised.", folder)
        if found is None:
            return
        position = torch.load(found, map_location=self.args.device, weights_only=True)
        if found == own:
            self._load_window(position["window"])
        self._earlier_seconds = position["seconds"]
        self._do_what_was_due(position)

    def _do_what_was_due(self, position: dict[str, Any]) -> None:
        """Finish the step that was saved: its evaluation, then the end of its epoch."""
        state, last = self.state, position["last_values"]
        self._reported_step = state.global_step if position["phase"] == "epoch" else -1
        self.control.should_log = False
        self.control.should_evaluate, self.control.should_save = position["due"]["evaluate"], position["due"]["save"]
        report = partial(self._maybe_log_save_evaluate, self._tr_loss, last["grad_norm"], self.model_wrapped, None)
        report(state.epoch, None, time.time(), learning_rate=last["learning_rate"])
        is_end = state.global_step >= state.max_steps or float(state.epoch or 0).is_integer()
        if position["phase"] == "step" and is_end:
            self.control = self.callback_handler.on_epoch_end(self.args, state, self.control)
            report(state.epoch, None, time.time(), learning_rate=last["learning_rate"])

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Run an epoch, unless the run that is resumed had reached its last step: the base class would take one more."""
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def _finalize_training(self, trial: Any, num_train_samples: int, start_time: float) -> TrainOutput:
        """Report mean loss and speed of the whole run."""
        if self._resumed_from is not None:  # no step was left, so nothing has been restored yet
            self._load_rng_state(str(self._resumed_from))
        self._initial_global_step = 0
        return super()._finalize_training(trial, num_train_samples, start_time - self._earlier_seconds)

    @property
    def _position_name(self) -> str:
        """Name of the file of this process."""
        return "position.pt" if self.args.world_size <= 1 else f"position_{self.args.process_index}.pt"

    def _window(self) -> dict[str, Any]:
        """Losses that are not logged yet, and the sum of those that are."""
        return {
            "loss": self._tr_loss,
            "logged_loss": self._total_loss_scalar,
            "last_logged_step": self._globalstep_last_logged,
        }

    def _load_window(self, window: dict[str, Any]) -> None:
        """Restore what `_window` gave."""
        self._tr_loss.copy_(window["loss"])
        self._total_loss_scalar = window["logged_loss"]
        self._globalstep_last_logged = window["last_logged_step"]
