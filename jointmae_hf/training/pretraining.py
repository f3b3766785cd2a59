"""Pre-training: the trainer with random masks by counter and three logged losses, and the parts of a run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import ProgressCallback, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from jointmae_hf.data import (
    Compose,
    Normalize,
    PointCloudCollator,
    PointCloudTensors,
    PrimitiveShapeDataset,
    RandomStream,
    RandomSubsample,
    Transform,
    UniformDraw,
    as_clouds,
    counter_uniforms,
)
from jointmae_hf.data.dataset import PointCloudSamples
from jointmae_hf.data.source_frame import source_frame
from jointmae_hf.evaluation import sample_clouds
from jointmae_hf.model import JointMAEConfig, JointMAEFeatureExtractor, JointMAEForPreTraining
from jointmae_hf.model.depth_projection import sample_views
from jointmae_hf.model.modeling_jointmae import JointMAEForPreTrainingOutput

from .callbacks import LossProgressCallback
from .diagnostics import encoder_gradient_norms, reference_losses
from .distributed import synchronize_batch_norm
from .point_cloud_trainer import PointCloudTrainer, build_model
from .recipes import PreTrainingRecipe, setting_values


if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


LOSS_NAMES = ("loss_3d", "loss_2d", "loss_3d_2d")


def pretraining_noise(config: JointMAEConfig, seed: int, epoch: int, index: Tensor) -> dict[str, Tensor]:
    """Draw the random arguments of `JointMAEForPreTraining` for some samples.

    They are a hash of (seed, epoch, index, stream), so they depend neither on the number of workers or processes nor on the
    position of a sample in its batch.

    Args:
        config (`JointMAEConfig`):
            Configuration of the model.
        seed (`int`):
            Seed of the run.
        epoch (`int`):
            Number of the epoch, from 0.
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Position of each sample in its dataset, on the device of the result.

    Returns:
        `dict[str, torch.Tensor]`: `noise_3d` and, with a 2D branch, `noise_2d` and `view`.
    """
    draws = [UniformDraw(seed, RandomStream.MASK_3D, (config.num_groups[-1],))]
    if not config.use_2d_branch:
        return {"noise_3d": counter_uniforms(epoch, index, draws)[0]}
    draws += [
        UniformDraw(seed, RandomStream.MASK_2D, (config.num_patches,)),
        UniformDraw(seed, RandomStream.VIEW, (2,)),
    ]
    noise_3d, noise_2d, view = counter_uniforms(epoch, index, draws)
    view = sample_views(view, config.camera_distance, config.max_view_elevation)
    return {"noise_3d": noise_3d, "noise_2d": noise_2d, "view": view}


class JointMAETrainer(PointCloudTrainer):
    """`transformers.Trainer` for `JointMAEForPreTraining`.

    Batches hold `points` and `index`. Points are augmented on the device; masks and views are drawn from the epoch and the
    index of each sample. Evaluation does not augment and always draws the same masks and views. The three losses are logged
    next to their sum, averaged over the logged steps and over processes.

    Args:
        transform (`Transform`, *optional*):
            Augmentation of training batches.
        log_gradient_norms (`bool`, *optional*, defaults to `False`):
            Whether to log the gradient norm of each loss at the encoder's output, at every logging step.
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
        """Compute the loss of one batch, see `transformers.Trainer.compute_loss`."""
        points, outputs = self._forward(model, inputs)
        for name in LOSS_NAMES:
            if name in outputs:  # the 3D-only baseline has one loss
                self._add(name, outputs[name].detach(), len(points))
        if self.log_gradient_norms and model.training and self._is_logging_step():
            for name, norm in encoder_gradient_norms(outputs).items():
                self._add(name, norm, 1)
        return (outputs.loss, outputs) if return_outputs else outputs.loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the mean losses since the last log to a log of training."""
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
        """Evaluate and add the mean of each loss to the metrics."""
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
        """Measure the losses of trivial predictors and of a perfect reconstruction on the evaluation set.

        Returns:
            `dict[str, float]`: See [`reference_losses`]; means over samples.
        """
        model = self.unwrapped_model.to(
            self.args.device
        )  # where the trainer leaves it on the CPU before a full evaluation
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
        """Return what is not logged yet, including the three losses."""
        return super()._window() | {"sums": self._sums, "counts": dict(self._counts)}

    def _load_window(self, window: dict[str, Any]) -> None:
        """Restore what `_window` returned."""
        super()._load_window(window)
        self._sums, self._counts = window["sums"], defaultdict(int, window["counts"])

    def _forward(self, model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, JointMAEForPreTrainingOutput]:
        """Return the augmented points of a batch and the output of the model."""
        points, epoch, index = self._transformed(model, inputs)
        noise = pretraining_noise(self.model.config, self.args.seed, epoch, index)
        return points, model(points=points, **noise)

    def _is_logging_step(self) -> bool:
        """Return whether the current step will be logged."""
        return (self.state.global_step + 1) % max(int(self.state.logging_steps or 1), 1) == 0

    def _add(self, name: str, value: Tensor, count: int) -> None:
        """Add the mean of `count` samples to the sums without waiting for the device."""
        self._sums[name] = self._sums[name].add(value, alpha=count) if name in self._sums else count * value
        self._counts[name] += count

    def _pop_means(self) -> dict[str, float]:
        """Return the means over samples and processes since the last call."""
        means = {
            name: self.accelerator.gather(total.float().reshape(1) / self._counts[name]).mean().item()
            for name, total in self._sums.items()
        }
        self._sums, self._counts = {}, defaultdict(int)
        return means


def training_defaults(recipe: PreTrainingRecipe) -> dict[str, Any]:
    """Return fields of `transformers.TrainingArguments` as pre-training needs them and the recipe sets them.

    Args:
        recipe ([`PreTrainingRecipe`]):
            The recipe.

    Returns:
        `dict[str, Any]`: Name to value.
    """
    return {
        "remove_unused_columns": False,
        "label_names": ["points"],
        "prediction_loss_only": True,
        "logging_nan_inf_filter": False,
        **setting_values(recipe.training),
    }


def prepare_training_data(split: Any, training: TrainingArguments) -> Any:
    """Return the samples of a training split, after checking that they suffice for a batch.

    Args:
        split (`Any`):
            See [`as_clouds`].
        training (`transformers.TrainingArguments`):
            Arguments of the run. Data that are shuffled by themselves, which have `set_epoch`, are then read in order.

    Returns:
        `torch.utils.data.Dataset`: The samples.

    Raises:
        ValueError: If there are fewer clouds than a batch, or a stream comes without `max_steps`.
    """
    clouds = as_clouds(split)
    if isinstance(clouds, torch.utils.data.IterableDataset):
        if training.max_steps < 1:
            raise ValueError(
                f"`max_steps` must be positive for a stream, whose length is unknown, got {training.max_steps}. Pass "
                "--max_steps."
            )
        clouds.check_size(training.train_batch_size)  # type: ignore[attr-defined]
        return clouds
    if training.dataloader_drop_last and len(clouds) < training.train_batch_size:
        raise ValueError(
            "`per_device_train_batch_size` must not exceed the number of training clouds, got "
            f"{training.train_batch_size} and {len(clouds)}. Lower it."
        )
    if hasattr(clouds, "set_epoch"):
        training.train_sampling_strategy = "sequential"
    return clouds


def move_to_device(clouds: Any, collator: PointCloudCollator, device: torch.device) -> PointCloudTensors:
    """Return all clouds of a dataset in the memory of a device, as the collator gives them in any batch.

    Args:
        clouds (`torch.utils.data.Dataset`):
            Map-style dataset whose samples are the same in every epoch, not empty.
        collator ([`PointCloudCollator`]):
            Brings clouds to one size, without leaving points out.
        device (`torch.device`):
            The device.

    Returns:
        [`PointCloudTensors`]: The clouds. Their batches are those of the dataset.

    Raises:
        ValueError: If the dataset has an order of its own, the collator would draw points from its clouds, which differ in each
            epoch, or it needs more than half of the free memory of a GPU.
    """
    is_endless = isinstance(clouds, torch.utils.data.IterableDataset | PrimitiveShapeDataset)
    if is_endless or hasattr(clouds, "set_epoch"):
        raise ValueError(
            f"`data_on_device` must be False for streams, mixtures and generated clouds, got {type(clouds).__name__}."
        )
    if clouds.num_points is None or clouds.num_points > collator.num_points:
        size = "different numbers of points" if clouds.num_points is None else f"{clouds.num_points} points"
        raise ValueError(
            f"`data_on_device` must be False for clouds from which {collator.num_points} points are drawn anew in each epoch, "
            f"got clouds of {size}. Drop the flag, or give all clouds of all splits one size."
        )
    needed = len(clouds) * sum(values.nbytes for values in collator(PointCloudSamples(clouds, [0])).values())
    if device.type == "cuda" and needed > torch.cuda.mem_get_info(device)[0] / 2:
        raise ValueError(
            f"`data_on_device` must be False for clouds that need more than half of the free memory of {device}, got "
            f"{needed / 1e9:.1f} GB. Drop the flag."
        )
    chunks = torch.arange(len(clouds)).split(1024)
    pieces = [collator(PointCloudSamples(clouds, chunk.tolist())) for chunk in chunks]
    columns = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0] if name != "index"}
    return PointCloudTensors(**columns).to(device)


def build_trainer(
    config: JointMAEConfig,
    recipe: PreTrainingRecipe,
    training: TrainingArguments,
    splits: DatasetDict | Mapping[str, PointCloudTensors],
    log_gradient_norms: bool = False,
    sync_batch_norm: bool = False,
    data_on_device: bool = False,
    checkpoint: str | None = None,
) -> JointMAETrainer:
    """Build a trainer of a model with random weights, or those of a checkpoint; seed the generators before.

    Args:
        config ([`JointMAEConfig`]):
            Configuration of the model.
        recipe ([`PreTrainingRecipe`]):
            Recipe, used for its augmentation.
        training (`transformers.TrainingArguments`):
            Arguments of the run, based on [`training_defaults`].
        splits (`datasets.DatasetDict` or `Mapping[str, PointCloudTensors]`):
            Splits `train` and `validation`.
        log_gradient_norms (`bool`, *optional*, defaults to `False`):
            As in [`JointMAETrainer`].
        sync_batch_norm (`bool`, *optional*, defaults to `False`):
            Whether to compute the statistics of batch norm over all processes; needs GPUs.
        data_on_device (`bool`, *optional*, defaults to `False`):
            Whether to keep both splits in the memory of the device, see [`move_to_device`].
        checkpoint (`str`, *optional*):
            Folder or Hub id of weights to go on from. What it lacks, such as the decoder of an encoder alone, is random.

    Returns:
        [`JointMAETrainer`]: The trainer; its progress bar shows the three losses unless bars are off.
    """
    train, validation = prepare_training_data(splits["train"], training), as_clouds(splits["validation"])
    model, frame = build_model(JointMAEForPreTraining, config, checkpoint), source_frame(train)
    collator = PointCloudCollator(_collated_points([train, validation], config.num_points), training.seed)
    if data_on_device:
        train, validation = (move_to_device(clouds, collator, training.device) for clouds in (train, validation))
        training.dataloader_pin_memory = False  # clouds on a GPU cannot be pinned
    trainer = JointMAETrainer(
        model=synchronize_batch_norm(model, training) if sync_batch_norm else model,
        args=training,
        train_dataset=train,
        eval_dataset=validation,
        data_collator=collator,
        processing_class=JointMAEFeatureExtractor(config.num_points, up_axis=frame.up_axis, do_mirror=frame.do_mirror),
        transform=recipe.build_transform(config.num_points, training.seed),
        evaluation_transform=Compose([Normalize(), RandomSubsample(config.num_points, seed=training.seed)]),
        log_gradient_norms=log_gradient_norms,
        stop_on_signals=True,
    )
    if not training.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
        trainer.add_callback(LossProgressCallback)
    return trainer


def _collated_points(splits: Sequence[Any], num_points: int) -> int:
    """Return the size that the collator brings clouds to: all their points if they have one size, else those of the model."""
    size, *others = (getattr(clouds, "num_points", None) for clouds in splits)
    return max(size, num_points) if size is not None and others == [size] * len(others) else num_points


def has_labels(split: Dataset | PointCloudTensors) -> bool:
    """Return whether a split has class labels."""
    return split.labels is not None if isinstance(split, PointCloudTensors) else "label" in split.features


def probe_clouds(
    splits: DatasetDict | Mapping[str, PointCloudTensors],
    num_points: int,
    max_train: int,
    max_test: int,
    seed: int,
) -> tuple[dict[str, Tensor], dict[str, Tensor], str]:
    """Draw clouds to fit and measure a linear SVM on; return both batches and the name of the measured split."""
    if not has_labels(splits["train"]):
        raise ValueError("`splits` must have labels to be probed, got none.")
    held_out = "test" if "test" in splits else "validation"
    train = sample_clouds(splits["train"], max_train, num_points, seed)
    test = sample_clouds(splits[held_out], max_test, num_points, seed + 1)
    return train, test, held_out
