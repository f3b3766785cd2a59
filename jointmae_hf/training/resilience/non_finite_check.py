"""A check of every step before the optimizer takes it: is all of it finite, has any process been told to stop."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, gather_object
from torch import Tensor, nn


class NonFiniteError(ArithmeticError):
    """A loss or a gradient is not finite; the optimizer has not seen it."""


class NonFiniteCheck:
    """Check losses and gradients of a step, and name its samples if they are not finite.

    Args:
        accelerator (`accelerate.Accelerator`):
            The accelerator of the trainer.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self._losses: list[Tensor] = []
        self._indices: list[Tensor | None] = []
        self._norm: Tensor | None = None

    @contextmanager
    def keep_norms(self) -> Iterator[None]:
        """Keep the norm that `Trainer` clips a step by, for [`take_norm`], within the `with` block.

        No event has it, and computing it again takes as long. DeepSpeed returns that of the step before.
        """
        clip = self.accelerator.clip_grad_norm_

        def clip_and_keep(*args: Any, **kwargs: Any) -> Any:
            norm = clip(*args, **kwargs)
            if self.accelerator.distributed_type != DistributedType.DEEPSPEED:
                self._norm = norm
            return norm

        self.accelerator.clip_grad_norm_ = clip_and_keep
        try:
            yield
        finally:
            del self.accelerator.clip_grad_norm_  # that of its class remains

    def take_norm(self, model: nn.Module) -> Tensor:
        """Return the norm of the step before it was clipped; after that, if it was not kept.

        Args:
            model (`torch.nn.Module`):
                The model with its gradients. Clipping by a norm that is not finite leaves them so.

        Returns:
            `torch.Tensor`: A scalar.
        """
        norm, self._norm = self._norm, None
        norm = gradient_norm(model) if norm is None else norm
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # of sharded gradients

    def add(self, loss: Tensor, index: Tensor | None) -> None:
        """Add a batch of the step; gradient accumulation has several.

        Args:
            loss (`torch.Tensor`):
                A scalar without gradient.
            index (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                Indices of its samples.
        """
        self._losses.append(loss.reshape(()))
        self._indices.append(index)

    def check(self, step: int, gradient_norm: Tensor | float, stop_signal: int = 0) -> int:
        """Check the step, and forget its batches.

        This waits for the device once a step: there is no other way to know before the optimizer goes on. Any gradient
        that is not finite shows in the norm, and all losses are checked together. (`logging_nan_inf_filter`, which this
        makes needless, waits once a batch.) Processes tell each other, so that all of them stop at the same step and name
        the same samples.

        Args:
            step (`int`):
                Number of the step.
            gradient_norm (`torch.Tensor` or `float`):
                Norm over all parameters, before it is clipped.
            stop_signal (`int`, *optional*, defaults to 0):
                Signal that this process has received.

        Returns:
            `int`: Signal that any process has received.

        Raises:
            NonFiniteError: If a loss or the norm is not finite, in any process. Names step and samples.
        """
        device, indices = self._losses[0].device, self._indices
        *losses, norm = torch.stack([*self._losses, torch.as_tensor(gradient_norm, device=device)]).tolist()
        self._losses, self._indices = [], []
        # Under float16 an infinite gradient is no error: the scaler skips the step and lowers its scale.
        checked = [*losses, norm] if self.accelerator.scaler is None else losses
        is_broken, signal = not all(map(math.isfinite, checked)), stop_signal
        if self.accelerator.num_processes > 1:
            state = torch.tensor([[is_broken, signal]], dtype=torch.long, device=device)
            is_broken, signal = self.accelerator.gather(state).amax(dim=0).tolist()
        if is_broken:
            samples = [[] if index is None else index.tolist() for index in indices]
            own = list(zip(losses, samples, strict=True))
            raise NonFiniteError(_describe(step, gather_object(own), norm))
        return signal


def gradient_norm(model: nn.Module) -> Tensor:
    """Return the norm of the gradient over all parameters."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients)


def _describe(step: int, batches: list[tuple[float, list[int]]], norm: float) -> str:
    """Name the samples of the batches whose loss is not finite, or all of the step if only the gradient is not."""
    suspects = [index for loss, index in batches if not math.isfinite(loss)] or [index for _, index in batches]
    samples = ", ".join(str(sample) for batch in suspects for sample in batch) or "without an `index`"
    return (
        f"`loss` and its gradient must be finite, got {', '.join(f'{loss:g}' for loss, _ in batches)} with a gradient "
        f"norm of {norm:g} at step {step}, samples {samples}. The optimizer has not taken this step; checkpoints are "
        "intact. Inspect these samples, or lower the learning rate."
    )
