"""The trainer of pre-training and fine-tuning: transforms on the device, whole evaluation sets, weight decay."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DynamoBackend
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from jointmae_hf.data import Normalize, PointCloudCollator, Transform
from jointmae_hf.evaluation.results import installed_versions
from jointmae_hf.model import JointMAEConfig

from .compilation import compile_regions
from .distributed import keep_dtype
from .resilience import ResilientTrainer


EVALUATION_EPOCH = 2**31 - 1
"""Epoch whose random numbers evaluation uses, so that every evaluation sees the same."""


def build_model(
    model_class: type[PreTrainedModel], config: JointMAEConfig, checkpoint: str | None, **options: Any
) -> Any:
    """Build a model with the weights of a checkpoint, or random ones without; seed the generators before."""
    if checkpoint is None:
        return model_class(config, **options)
    return model_class.from_pretrained(checkpoint, config=config, **options)


class PointCloudTrainer(ResilientTrainer):
    """[`ResilientTrainer`] for batches of `points` and `index`, which are transformed on the device.

    Where a [`PointCloudCollator`] draws points from larger clouds, it draws others in each epoch of training, and always
    the same in evaluation.

    With a feature extractor as `processing_class`, each checkpoint loads by `AutoProcessor` too. With `torch_compile`, the
    part that all blocks share is compiled instead of the whole model, see [`compile_regions`].

    Args:
        transform (`Transform`, *optional*):
            For training batches; the one for evaluation by default.
        evaluation_transform (`Transform`, *optional*):
            For evaluation batches; moves them into the unit sphere by default.
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of [`ResilientTrainer`].
    """

    def __init__(
        self,
        *args: Any,
        transform: Transform | None = None,
        evaluation_transform: Transform | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, versions=installed_versions(), **kwargs)
        self.evaluation_transform = Normalize() if evaluation_transform is None else evaluation_transform
        self.transform = self.evaluation_transform if transform is None else transform
        self._evaluation_collator = copy.deepcopy(self.data_collator)
        if isinstance(self.data_collator, PointCloudCollator):
            self.add_callback(_EpochCallback(self.data_collator))
        self._operations_by_shape: dict[torch.Size, int] = {}
        if self.args.torch_compile:
            compile_regions(self.unwrapped_model, str(self.args.torch_compile_backend), self.args.torch_compile_mode)
            self.accelerator.state.dynamo_plugin.backend = DynamoBackend.NO  # accelerate would compile the whole model

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Return all batches of the evaluation set, the smaller last one too: `dataloader_drop_last` is for training."""
        with self._loading_for_evaluation():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """Return all batches of a set to predict, the smaller last one too."""
        with self._loading_for_evaluation():
            return super().get_test_dataloader(test_dataset)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate or predict; `bf16_full_eval` and `fp16_full_eval` cast the weights for that time only."""
        with keep_dtype(self.unwrapped_model):
            return super().evaluation_loop(*args, **kwargs)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Return names of parameters with weight decay: none of one dimension, no bias, no token. Source: Point-MAE."""
        return [
            name
            for name, parameter in model.named_parameters()
            if parameter.ndim > 1 and not name.endswith(".bias") and "token" not in name
        ]

    def floating_point_ops(self, inputs: dict[str, Tensor]) -> int:
        """Return the estimate of `Trainer` for a batch; counting all parameters in every step would take as long as the check."""
        shape = inputs["points"].shape
        if shape not in self._operations_by_shape:
            self._operations_by_shape[shape] = super().floating_point_ops(inputs)
        return self._operations_by_shape[shape]

    def save_pretrained(self, folder: Path) -> None:
        """Save the model and the feature extractor, without what only training needs.

        Args:
            folder (`pathlib.Path`):
                Where to save.
        """
        self.unwrapped_model.save_pretrained(folder)
        if self.processing_class is not None:
            self.processing_class.save_pretrained(folder)

    def _transformed(self, model: nn.Module, inputs: dict[str, Tensor]) -> tuple[Tensor, int, Tensor]:
        """Return transformed points of a batch, with the epoch and index that their random numbers depend on."""
        epoch = int(self.state.epoch or 0) if model.training else EVALUATION_EPOCH
        index = inputs["index"].to(inputs["points"].device)
        transform = self.transform if model.training else self.evaluation_transform
        return transform(inputs["points"], epoch=epoch, index=index), epoch, index

    @contextmanager
    def _loading_for_evaluation(self) -> Iterator[None]:
        """Keep the last batch and draw the same points in loaders that are made within the `with` block."""
        before = self.args.dataloader_drop_last, self.data_collator
        self.args.dataloader_drop_last, self.data_collator = False, self._evaluation_collator
        try:
            yield
        finally:
            self.args.dataloader_drop_last, self.data_collator = before


class _EpochCallback(TrainerCallback):
    """Tell the collator which epoch begins; the loaders of accelerate tell only datasets and samplers."""

    def __init__(self, collator: PointCloudCollator) -> None:
        self.collator = collator

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the epoch, which a resumed run begins in the middle."""
        self.collator.set_epoch(int(state.epoch or 0))
