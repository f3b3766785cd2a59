"""SIGTERM and SIGINT as a request to save the step in progress and exit."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import torch
from accelerate import PartialState
from accelerate.utils import gather
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy


logger = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
REPEAT_SECONDS = 2.0
"""A launcher forwards signals that its processes have received themselves; what comes this soon is the same request."""

WORKER_SECONDS = 30
"""How long a data worker outlives SIGTERM, so that the step in progress gets its batch."""


class StopRequestedError(Exception):
    """Leaves the training loop where it has no save of its own, so that the step is saved by whoever catches this."""


class StopSignals(TrainerCallback):
    """Save the step in progress and exit with 128 + signal at the first SIGTERM or SIGINT within a `with` block.

    A later signal ends the process immediately. Several processes agree on the signal: a trainer sets `agreed` at each
    step. Only the main thread can install handlers; in another one nothing happens.

    `received` is the number of the signal that this process has received, 0 while there is none.
    """

    def __init__(self) -> None:
        self.received, self.agreed, self._time, self._process = 0, 0, 0.0, os.getpid()
        self._previous: dict[int, Any] = {}
        self._is_training = self._has_stepped = False

    def __enter__(self) -> "StopSignals":
        self.received, self.agreed, self._process = 0, 0, os.getpid()
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._receive) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        self._is_training = False
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    @property
    def pending(self) -> int:
        """`int`: Signal to obey now, 0 for none; several processes obey the one that they last agreed on."""
        if not self._is_training:
            return 0
        return self.agreed if PartialState().num_processes > 1 else self.received

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Obey signals from here on, if they are received."""
        self._is_training, self._has_stepped = bool(self._previous), False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save this step and evaluate no more."""
        self._has_stepped = True
        if self.pending:
            self._request_save(args, state, control)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop here if the signal arrived after an evaluation at the end of the last epoch."""
        self._leave(args, state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save the last step of the epoch and evaluate no more."""
        if self.pending:
            self._request_save(args, state, control)

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave an evaluation within training."""
        self._leave(args, state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Exit once the step is saved."""
        if self.pending:
            self._exit("Stopped after step %d, which is saved. Resume with --resume_from_checkpoint True.", state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Exit if the signal arrived after the last step."""
        if self._is_training and self._agree():
            self._exit("Stopped after step %d, the last one.", state)

    def _request_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Have the trainer save in place of an evaluation, or exit where nothing is saved."""
        if args.save_strategy == SaveStrategy.NO:
            self._exit("Stopped after step %d. Nothing is saved: `save_strategy` is 'no'.", state)
        control.should_evaluate, control.should_save = False, True

    def _leave(self, args: TrainingArguments, state: TrainerState) -> None:
        """Leave the training loop if a signal was received; before the first step there is nothing to save."""
        if not (self._is_training and self._has_stepped and self._agree()):
            return
        if args.save_strategy == SaveStrategy.NO:
            self._exit("Stopped after step %d. Nothing is saved: `save_strategy` is 'no'.", state)
        raise StopRequestedError

    def _agree(self) -> int:
        """Return the signal that any process has received."""
        processes = PartialState()
        self.agreed = self.received
        if processes.num_processes > 1:
            self.agreed = int(gather(torch.tensor([self.received], device=processes.device)).max())
        return self.agreed

    def _exit(self, message: str, state: TrainerState) -> NoReturn:
        """End the process with the code of the signal."""
        logger.warning(message, state.global_step)
        raise SystemExit(128 + self.pending)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; data workers inherit this and let the main process decide."""
        if os.getpid() != self._process:
            return
        name = signal.Signals(number).name
        if not self.received:
            self.received, self._time = number, time.monotonic()
            # Not `print` or a logger: the main thread may hold their locks.
            os.write(2, f"\n{name}: the run stops after this step. Once more ends it immediately.\n".encode())
        elif time.monotonic() - self._time > REPEAT_SECONDS:
            os._exit(128 + number)


def outlive_stop_signals(loader: DataLoader) -> DataLoader:
    """Keep the workers of a loader alive for a while when a signal reaches them too.

    `kill -- -<group>`, Ctrl-C and batch systems address all processes of a job; a worker that dies takes the step with
    it.
    """
    base = getattr(loader, "base_dataloader", loader)  # accelerate wraps it, and reads but does not write through
    if not isinstance(base.worker_init_fn, _PatientWorker):  # the trainer may keep a loader for evaluations
        base.worker_init_fn = _PatientWorker(base.worker_init_fn)
    return loader


class _PatientWorker:
    """`worker_init_fn` that delays the end of its worker, after what an earlier one does."""

    def __init__(self, earlier: Callable[[int], None] | None) -> None:
        self.earlier = earlier

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(WORKER_SECONDS))  # SIGALRM ends it
        if self.earlier is not None:
            self.earlier(worker_id)
