"""Time of a study: how long this call may still run, and how many steps a minute has."""

import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class Deadline:
    """The time until which a call may run.

    Args:
        minutes (`float`, *optional*):
            From now; without, there is no end.
        clock (`Callable[[], float]`, *optional*, defaults to `time.monotonic`):
            Seconds.
    """

    def __init__(self, minutes: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = float("inf") if minutes is None else clock() + 60.0 * minutes

    def has_time_for(self, seconds: float) -> bool:
        """Return whether work of so many seconds can be done before the end."""
        return self._end - self._clock() >= seconds


class StopAtDeadline(TrainerCallback):
    """Save a checkpoint and stop training while there is still time to save.

    Args:
        deadline ([`Deadline`]):
            The end.
        seconds_to_save (`float`, *optional*, defaults to 15.0):
            Time that is kept for the checkpoint.
    """

    def __init__(self, deadline: Deadline, seconds_to_save: float = 15.0) -> None:
        self.deadline, self.seconds_to_save = deadline, seconds_to_save
        self.has_stopped = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Stop where the time is up and steps are left."""
        if state.global_step < state.max_steps and not self.deadline.has_time_for(self.seconds_to_save):
            control.should_save = control.should_training_stop = self.has_stopped = True
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Evaluate and save nothing at the end of an epoch that was broken off: it would compete for the best."""
        if self.has_stopped:
            control.should_evaluate = control.should_save = False
        return control


class StepTimer(TrainerCallback):
    """Measure the steps after the first ones, which compile.

    Args:
        num_first (`int`):
            Steps that are not counted.

    `seconds_per_step` is the result, after training.
    """

    def __init__(self, num_first: int) -> None:
        self.num_first, self.seconds_per_step = num_first, 0.0
        self._start = 0.0

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the watch after the first steps, and read it after each."""
        if state.global_step not in (self.num_first, state.max_steps):
            return
        if args.device.type == "cuda":
            torch.cuda.synchronize()
        if state.global_step == self.num_first:
            self._start = time.perf_counter()
        else:
            self.seconds_per_step = (time.perf_counter() - self._start) / (state.global_step - self.num_first)


def measure_steps_per_minute(trainer: Trainer, num_first: int) -> float:
    """Train and throw away.

    Args:
        trainer (`transformers.Trainer`):
            For more than `num_first` steps; its model is trained.
        num_first (`int`):
            Steps that are not counted, because they compile.

    Returns:
        `float`: Steps per minute.

    Raises:
        ValueError: If no step is left to be counted.
    """
    if not 1 <= num_first < trainer.args.max_steps:
        raise ValueError(f"`num_first` must be in [1, {trainer.args.max_steps}), got {num_first}.")
    timer = StepTimer(num_first)
    trainer.add_callback(timer)
    trainer.train()
    return 60.0 / timer.seconds_per_step
