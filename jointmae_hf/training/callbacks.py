"""Callbacks: the three losses beside the progress bar."""

from typing import Any

from transformers import ProgressCallback, TrainerControl, TrainerState, TrainingArguments


class LossProgressCallback(ProgressCallback):
    """Progress bar of `transformers` that shows the losses of the last logging step behind it."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Put the losses behind the bar and, as the base class, the whole log above it."""
        if state.is_world_process_zero and self.training_bar is not None and logs and "loss" in logs:
            names = [name for name in ("loss", "loss_3d", "loss_2d", "loss_3d_2d") if name in logs]
            self.training_bar.set_postfix({name: f"{float(logs[name]):.4f}" for name in names})
        super().on_log(args, state, control, logs=dict(logs or {}), **kwargs)
