"""Trainer of Joint-MAE: augmentation and random masks by counter, the three losses in the log."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers.trainer_utils import EvalLoopOutput

from jointmae_hf.data import RandomStream, Transform, counter_uniform
from jointmae_hf.model import JointMAEConfig
from jointmae_hf.model.depth_projection import sample_views
from jointmae_hf.model.modeling_jointmae import JointMAEForPreTrainingOutput

from .diagnostics import encoder_gradient_norms, reference_losses
from .point_cloud_trainer import PointCloudTrainer


LOSS_NAMES = ("loss_3d", "loss_2d", "loss_3d_2d")


def pretraining_noise(config: JointMAEConfig, seed: int, epoch: int, index: Tensor) -> dict[str, Tensor]:
    """Random arguments of `JointMAEForPreTraining` for some samples.

    They are a hash of (seed, epoch, index, stream), so neither the number of workers or processes nor the place of a
    sample in its batch changes them.

    Args:
        config (`JointMAEConfig`):
            Configuration of the model.
        seed (`int`):
            Seed of the run.
        epoch (`int`):
            Number of the epoch, from 0.
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Position of each sample in its dataset, on the device where the numbers are wanted.

    Returns:
        `dict[str, torch.Tensor]`: `noise_3d`, and with a 2D branch `noise_2d` and `view`.
    """
    num_groups = config.num_groups[-1]
    arguments = {"noise_3d": counter_uniform(seed, epoch, index, RandomStream.MASK_3D, (num_groups,))}
    if config.use_2d_branch:
        noise = counter_uniform(seed, epoch, index, RandomStream.VIEW, (2,))
        arguments["view"] = sample_views(noise, config.camera_distance, config.max_view_elevation)
        arguments["noise_2d"] = counter_uniform(seed, epoch, index, RandomStream.MASK_2D, (config.num_patches,))
    return arguments


class JointMAETrainer(PointCloudTrainer):
    """`transformers.Trainer` for `JointMAEForPreTraining`.

    Batches hold `points` and `index`. Points are augmented on the device, masks and views drawn from the epoch and
    the index of each sample; evaluation augments nothing and always draws the same. The three losses are logged beside
    their sum, averaged over the logged steps and over processes.

    Args:
        transform (`Transform`, *optional*):
            Augmentation of training batches.
        log_gradient_norms (`bool`, *optional*, defaults to `False`):
            Whether to log, at every logging step, the norm of each loss's gradient at the encoder's output.
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of `transformers.Trainer`.
    """

    def __init__(
        self, *args: Any, transform: Transform | None = None, log_gradient_norms: bool = False, **kwargs: Any
    ):
        super().__init__(*args, transform=transform, **kwargs)
        self.log_gradient_norms = log_gradient_norms
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Loss of one batch; see `transformers.Trainer.compute_loss`."""
        points, outputs = self._forward(model, inputs)
        for name in LOSS_NAMES:
            if name in outputs:  # the 3D-only baseline has one loss
                self._add(name, outputs[name].detach(), len(points))
        if self.log_gradient_norms and model.training and self._is_logging_step():
            for name, norm in encoder_gradient_norms(outputs).items():
                self._add(name, norm, 1)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean losses of the window to a log of training."""
        if "loss" in logs:
            logs.update(self._pop_means())
        super().log(logs, *args, **kwargs)

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Evaluate, with the mean of each loss among the metrics."""
        window = self._sums, self._counts
        self._sums, self._counts = {}, defaultdict(int)
        arguments = dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        try:
            output = super().evaluation_loop(*arguments)
            output.metrics.update({f"{metric_key_prefix}_{name}": mean for name, mean in self._pop_means().items()})
        finally:
            self._sums, self._counts = window
        return output

    @torch.no_grad()
    def measure_references(self) -> dict[str, float]:
        """Losses of trivial predictors and of a perfect reconstruction on the evaluation set.

        Returns:
            `dict[str, float]`: See [`reference_losses`]; means over samples.
        """
        model = self.unwrapped_model
        was_training = model.training
        model.eval()
        with self.watchdog.guard(self.get_eval_dataloader(), "evaluation") as batches:
            for inputs in batches:
                points, outputs = self._forward(model, self._prepare_inputs(inputs))
                for name, value in reference_losses(model, points, outputs).items():
                    self._add(name, value, len(points))
        model.train(was_training)
        return self._pop_means()

    def _window(self) -> dict[str, Any]:
        """Losses that are not logged yet, the three of them too."""
        return super()._window() | {"sums": self._sums, "counts": dict(self._counts)}

    def _load_window(self, window: dict[str, Any]) -> None:
        """Restore what `_window` gave."""
        super()._load_window(window)
        self._sums, self._counts = window["sums"], defaultdict(int, window["counts"])

    def _forward(self, model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, JointMAEForPreTrainingOutput]:
        """Augmented points of a batch and the output of the model."""
        points, epoch, index = self._transformed(model, inputs)
        noise = pretraining_noise(self.unwrapped_model.config, self.args.seed, epoch, index)
        return points, model(points=points, **noise)

    def _is_logging_step(self) -> bool:
        """Whether the step under way will be logged."""
        return (self.state.global_step + 1) % max(int(self.state.logging_steps or 1), 1) == 0

    def _add(self, name: str, value: Tensor, count: int) -> None:
        """Add the mean of `count` samples to the window without waiting for the device."""
        self._sums[name] = self._sums[name] + count * value if name in self._sums else count * value
        self._counts[name] += count

    def _pop_means(self) -> dict[str, float]:
        """Means of the window over samples and processes; the window starts anew."""
        means = {
            name: self.accelerator.gather(total.float().reshape(1) / self._counts[name]).mean().item()
            for name, total in self._sums.items()
        }
        self._sums, self._counts = {}, defaultdict(int)
        return means
