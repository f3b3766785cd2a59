"""`transformers.Trainer` whose checkpoints are complete or absent, and who resumes from nothing else."""

import json
import logging
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import TrainOutput
from transformers.utils import SAFE_WEIGHTS_NAME

from jointmae_hf.evaluation.results import installed_versions

from .checkpoint_folders import (
    UNFINISHED_FOLDER,
    find_last_checkpoint,
    list_checkpoints,
    publish_checkpoint,
    remove_old_checkpoints,
    unfinished_folder,
)
from .checkpoints import CheckpointError, check_checkpoint_config, read_manifest, verify_checkpoint


logger = logging.getLogger(__name__)


class SealedTrainer(Trainer):
    """`transformers.Trainer` that writes each checkpoint aside, seals it, renames it, and only then removes old ones.

    `train(resume_from_checkpoint=True)` takes the newest checkpoint that verifies, and starts anew where there is none
    at all; a path is verified too.
    """

    _unfinished: Path | None = None
    _resumed_from: Path | None = None

    @property
    def unwrapped_model(self) -> Any:
        """`PreTrainedModel`: The model without the wrappers of distributed training and compilation."""
        return self.accelerator.unwrap_model(self.model, keep_torch_compile=False)

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: Any = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train; see `transformers.Trainer.train`.

        Args:
            resume_from_checkpoint (`str` or `bool`, *optional*):
                Folder of a checkpoint, or `True` for the last whole one of `output_dir`; also `"True"` and `"False"`,
                as they come from a command line.
            trial (`Any`, *optional*):
                Of a search of hyper-parameters.
            ignore_keys_for_eval (`list[str]`, *optional*):
                Of the output of the model.

        Returns:
            `transformers.trainer_utils.TrainOutput`: Steps, mean loss and metrics.

        Raises:
            CheckpointError: If the checkpoint is broken or of another model, or all of `output_dir` are broken.
        """
        self._resumed_from = self._checkpoint_to_resume(str(resume_from_checkpoint or "False"))
        checkpoint = None if self._resumed_from is None else str(self._resumed_from)
        return super().train(checkpoint, trial, ignore_keys_for_eval)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log; see `transformers.Trainer.log`. An error of the disk tells what could not be written."""
        try:
            super().log(logs, *args, **kwargs)
        except OSError as error:
            writers = [getattr(callback, "tb_writer", None) for callback in self.callback_handler.callbacks]
            folders = [writer.log_dir for writer in writers if writer is not None]
            where = error.filename or ", ".join([*folders, "standard output"])
            reason = f"step {self.state.global_step} could not be logged ({error.strerror}); make room, then resume"
            raise OSError(error.errno, reason, where) from error

    def _checkpoint_to_resume(self, asked: str) -> Path | None:
        """Verified checkpoint to resume from, `None` to start at the first step."""
        output_dir = Path(str(self.args.output_dir))
        if asked == "False":
            if earlier := list_checkpoints(output_dir):
                logger.warning("%s is of an earlier run, and to resume would take it: remove it.", earlier[-1])
            return None
        if asked != "True":
            verify_checkpoint(Path(asked))
        checkpoint = find_last_checkpoint(output_dir) if asked == "True" else Path(asked)
        if checkpoint is None:
            logger.warning("%s holds no checkpoint: the run starts at its first step.", output_dir)
            return None
        check_checkpoint_config(checkpoint, self.unwrapped_model.config)
        _check_same_run(checkpoint)
        return checkpoint

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Let the base class write aside, and publish what it wrote when every process is done."""
        output_dir = Path(super()._get_output_dir(trial))
        if self.args.should_save:
            unfinished_folder(output_dir)
        self.accelerator.wait_for_everyone()
        self._unfinished = output_dir / UNFINISHED_FOLDER
        written = self._unfinished / f"checkpoint-{self.state.global_step}"
        try:
            with _naming_the_file(written):
                super()._save_checkpoint(model, trial)
                self._correct_best_checkpoint(output_dir, written)
                self.accelerator.wait_for_everyone()  # the random states of all processes are written
                if self.args.should_save:
                    publish_checkpoint(written, output_dir)
        finally:
            self._unfinished = None
        if self.args.should_save:
            best = Path(self.state.best_model_checkpoint or written).name
            remove_old_checkpoints(output_dir, self.args.save_total_limit, kept={written.name, best})
        self.accelerator.wait_for_everyone()  # nobody ends, and has the others ended, while the main process renames
        if self.args.push_to_hub:
            super()._push_from_checkpoint(str(output_dir / written.name))

    def _get_output_dir(self, trial: Any) -> str:
        """Folder of the run; while a checkpoint is written, the one aside."""
        return super()._get_output_dir(trial) if self._unfinished is None else str(self._unfinished)

    def _push_from_checkpoint(self, checkpoint_folder: str) -> None:
        """Push later, from the published checkpoint: this one is about to be renamed."""

    def _correct_best_checkpoint(self, output_dir: Path, written: Path) -> None:
        """Record the best checkpoint by its final name: the base class knows where this one is written only."""
        if self.state.best_global_step:
            best = output_dir / f"checkpoint-{self.state.best_global_step}"
            if best.name == written.name or best.is_dir():
                self.state.best_model_checkpoint = str(best)
        if self.args.should_save:
            self.state.save_to_json(str(written / TRAINER_STATE_NAME))

    def _load_best_model(self) -> None:
        """Load the best weights, which have to be those that were saved."""
        verify_checkpoint(Path(str(self.state.best_model_checkpoint)))
        super()._load_best_model()


def _check_same_run(checkpoint: Path) -> None:
    """Refuse weights without their optimizer, and warn of versions that may round in another way."""
    manifest = read_manifest(checkpoint)
    if not any("optim" in name for name in manifest["files"]):
        raise CheckpointError(
            f"`resume_from_checkpoint` must hold the state of the optimizer, got {checkpoint}, which was saved with "
            "`save_only_model`. Start a run from its weights instead."
        )
    known, versions = manifest["versions"], installed_versions()
    changed = [
        f"{name} {known.get(name)} -> {version}" for name, version in versions.items() if known.get(name) != version
    ]
    if changed:
        logger.warning("%s is of other versions; the same bits are not promised: %s.", checkpoint, ", ".join(changed))


@contextmanager
def _naming_the_file(folder: Path) -> Iterator[None]:
    """Say which file of a checkpoint could not be written, and remove the others to make room."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        free = shutil.disk_usage(folder.parent).free
        name = _failed_file(folder, error)
        shutil.rmtree(folder, ignore_errors=True)
        reason = str(error).partition("\n")[0]
        raise CheckpointError(
            f"{folder.name} could not be saved: {name} could not be written ({reason}); the disk has {free:,} bytes "
            "left. Older checkpoints are as they were. Make room, then resume."
        ) from error


def _failed_file(folder: Path, error: Exception) -> str:
    """Name of the file that was not written to its end; neither torch nor safetensors tells it."""
    if isinstance(error, OSError) and error.filename:
        return Path(error.filename).name
    if isinstance(error, SafetensorError):
        return SAFE_WEIGHTS_NAME
    cut = (path.name for path in sorted(folder.rglob("*")) if path.is_file() and not _is_readable(path))
    return next(cut, "a file")


def _is_readable(path: Path) -> bool:
    """Whether a file of JSON or of torch was written to its end."""
    if path.suffix == ".json":
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            return False
        return True
    return path.suffix == ".safetensors" or zipfile.is_zipfile(path)
