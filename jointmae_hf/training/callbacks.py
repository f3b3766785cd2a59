"""Callbacks: losses next to the progress bar, figures of reconstructions, running statistics of batch norm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, TrackioCallback

from jointmae_hf.evaluation import sample_clouds
from jointmae_hf.visualization import colored_reconstructions, draw_reconstructions, save_figure


if TYPE_CHECKING:
    from datasets import Dataset

    from .pretraining import JointMAETrainer


FIGURE_FOLDER, FIGURE_DPI = "validation", 100
"""Sub-folder of the output folder, which is not published, and dots per inch: 1,200 pixels wide."""


class LossProgressCallback(ProgressCallback):
    """Show the losses of the last logging step behind the progress bar of `transformers`."""

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


class ReconstructionCallback(TrainerCallback):
    """Draw reconstructions of the same clouds with the same masks and from the same side at each evaluation.

    The figure goes to `validation/step_000100.png` in the output folder. TensorBoard and trackio get it too if the
    trainer reports to them, trackio with each reconstruction as a 3D object. Nothing random is drawn: training is the
    same as without. A 3D-only model has no figure, its reconstructions are 3D objects alone.

    Args:
        trainer ([`JointMAETrainer`]):
            The trainer whose callback this becomes.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Clouds in the unit sphere, y up.
        titles (`Sequence[str]`):
            Name of each cloud.
    """

    def __init__(self, trainer: JointMAETrainer, points: Tensor, titles: Sequence[str]):
        self.trainer, self.points, self.titles = trainer, points, list(titles)
        self._last_step = -1

    @classmethod
    def from_split(cls, trainer: JointMAETrainer, split: Dataset, num_clouds: int = 4) -> ReconstructionCallback:
        """Choose clouds of a split by the seed of the run.

        Args:
            trainer ([`JointMAETrainer`]):
                The trainer.
            split (`datasets.Dataset`):
                Held-out clouds.
            num_clouds (`int`, *optional*, defaults to 4):
                Number of clouds.

        Returns:
            [`ReconstructionCallback`]: For `trainer.add_callback`.
        """
        from .visualization_arguments import cloud_titles  # the one import here that needs `datasets`

        num_points = trainer.unwrapped_model.config.num_points
        batch = sample_clouds(split, num_clouds, num_points, trainer.args.seed)
        return cls(trainer, batch["points"], cloud_titles(split, batch))

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw and send, once for each step."""
        if not state.is_world_process_zero or state.global_step == self._last_step:
            return
        self._last_step = state.global_step
        path = self._draw(Path(str(args.output_dir)) / FIGURE_FOLDER / f"step_{state.global_step:06d}.png", args.seed)
        for tracker in self.trainer.callback_handler.callbacks:
            if isinstance(tracker, TensorBoardCallback) and tracker.tb_writer is not None and path is not None:
                picture = _read_picture(path)
                tracker.tb_writer.add_image("eval/reconstruction", picture, state.global_step, dataformats="HWC")
                tracker.tb_writer.flush()
            elif isinstance(tracker, TrackioCallback):
                self._send_to_trackio(path, args.seed, state.global_step)

    def _draw(self, path: Path, seed: int) -> Path | None:
        """Save the figure of a model that has one."""
        model = self.trainer.unwrapped_model
        if not model.config.use_2d_branch:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = {"seed": str(seed), "step": str(self._last_step)}
        save_figure(draw_reconstructions(model, self.points, self.titles, seed), path, facts, FIGURE_DPI)
        return path

    def _send_to_trackio(self, path: Path | None, seed: int, step: int) -> None:
        """Log the figure and one cloud of points for each shape to the run that `TrackioCallback` has begun."""
        import trackio

        clouds = colored_reconstructions(self.trainer.unwrapped_model, self.points, seed)
        objects = {
            f"eval/reconstruction_{row}": trackio.Object3D(cloud, caption=title)
            for row, (title, cloud) in enumerate(zip(self.titles, clouds, strict=True))
        }
        pictures = {} if path is None else {"eval/reconstruction": trackio.Image(path, caption=f"step {step}")}
        trackio.log({**pictures, **objects, "train/global_step": step})


def _read_picture(path: Path) -> np.ndarray:
    """Return RGB of shape `(height, width, 3)` within [0, 1]."""
    from matplotlib.image import imread

    return imread(path)[..., :3]


class RunningStatisticsCallback(TrainerCallback):
    """Average the first batches of a new model in the running statistics of batch norm, so that a short run can be evaluated.

    `torch.nn.BatchNorm1d` starts from 0 and 1 and needs dozens of steps to forget them. Here the n-th batch weighs 1 / n,
    until that is the momentum of the layer; how many it has seen is in the checkpoint.
    """

    NUM_STEPS = 10
    """1 / 0.1, the momentum of all our layers."""

    def __init__(self) -> None:
        self._momenta: dict[_BatchNorm, float] = {}

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Raise the momentum for the next batch."""
        if state.global_step >= self.NUM_STEPS:
            return
        for layer in kwargs["model"].modules():
            if isinstance(layer, _BatchNorm) and layer.momentum is not None and layer.num_batches_tracked is not None:
                momentum = self._momenta.setdefault(layer, layer.momentum)
                layer.momentum = max(momentum, 1 / (int(layer.num_batches_tracked) + 1))

    def on_substep_end(self, *args: Any, **kwargs: Any) -> None:
        """Do the same between the batches of an accumulated step."""
        self.on_step_begin(*args, **kwargs)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the layers as they were."""
        for layer, momentum in self._momenta.items():
            layer.momentum = momentum
        self._momenta.clear()
