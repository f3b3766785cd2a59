"""Callbacks for checkpoints: the manifest last, rotation after it, the end of an epoch in its last checkpoint."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from .checkpoints import report_failed_write, rotate_checkpoints, verify_manifest, write_manifest


class ManifestCallback(TrainerCallback):
    """Write the manifest after each save, and only then remove checkpoints beyond `save_total_limit`.

    `transformers.Trainer` removes old checkpoints itself, before this one is called: a trainer with this callback has to
    hide the limit from it while it saves, as [`ResilientTrainer`] does.

    Args:
        versions (`Mapping[str, str | None]`, *optional*):
            Installed versions to record.
    """

    def __init__(self, versions: Mapping[str, str | None] | None = None) -> None:
        self.versions = versions

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Complete the checkpoint once every process has written its files."""
        if state.is_hyper_param_search:
            return
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        processes = PartialState()
        processes.wait_for_everyone()  # random states and positions of all processes are written
        if args.should_save:
            with report_failed_write(folder):
                write_manifest(folder, self.versions)
            best = Path(state.best_model_checkpoint or folder).name
            rotate_checkpoints(folder.parent, args.save_total_limit, kept={folder.name, best})
        processes.wait_for_everyone()  # no process exits, and ends the others, while the main one still writes

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Verify the best checkpoint at the summary of the run: `Trainer` loads it right after."""
        is_summary = logs is not None and "train_runtime" in logs
        if is_summary and args.load_best_model_at_end and state.best_model_checkpoint is not None:
            verify_manifest(Path(state.best_model_checkpoint))


class EpochEndSaveCallback(TrainerCallback):
    """Save the last step of an epoch after what is due at the end of the epoch, such as an evaluation.

    `transformers.Trainer` would save first, and a run resumed from there would never do it.
    """

    def __init__(self) -> None:
        self._is_due = False

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Postpone a save in the last step of an epoch."""
        ends_epoch = control.should_training_stop or control.should_epoch_stop or float(state.epoch).is_integer()
        self._is_due = control.should_save and ends_epoch
        if self._is_due:
            control.should_save = False

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save what was postponed."""
        control.should_save, self._is_due = control.should_save or self._is_due, False
