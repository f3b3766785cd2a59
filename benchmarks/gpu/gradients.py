"""Gradients on the device compared with float64 on the CPU, parameter by parameter and loss by loss.

Each variant changes one thing, so that the cause of a difference can be read off. `float64` keeps the order of sums of
the device and removes rounding: what it shows is a fault. `float32` against `cpu_float32` is another order of sums.
`tf32_convolutions`, the default of torch, and `tf32` round the factors of products. `float32_eager_attention` replaces
the kernels of attention. `cpu_float64_moved` moves the reconstructed points by 1e-7 of their coordinates, as float32
does, before they are projected: it shows how much of a difference is the condition of the projection.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from benchmarks.bm_training_step import build
from benchmarks.clouds import make_clouds
from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.training import pretraining_noise

from .batches import Record
from .sizes import GpuSizes, find_device


LOSSES = ("loss_3d", "loss_2d", "loss_3d_2d")

SMALLEST_SHARE = 1e-6
"""Share of the whole gradient's norm below which the gradient of a parameter counts as zero."""

MOVED_BY = 1e-7
"""Relative rounding of float32."""

Gradients = dict[str, dict[str, Tensor]]
"""By loss, then by parameter; on the CPU in float64."""


@contextmanager
def tf32(products: bool, convolutions: bool) -> Iterator[None]:
    """Set whether CUDA may use TF32."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = products, convolutions
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def move_reconstruction(model: JointMAEForPreTraining) -> JointMAEForPreTraining:
    """Return a copy of the model that moves reconstructed points by `MOVED_BY` before it projects them."""
    model = copy.deepcopy(model)
    project = model.project

    def project_moved(points: Tensor, *args: Any) -> Tensor:
        if points.requires_grad:  # the input needs no gradient
            noise = torch.randn(points.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
            points = points * (1 + MOVED_BY * noise.to(points))
        return project(points, *args)

    model.project = project_moved  # type: ignore[method-assign]
    return model


def compute_gradients(
    model: JointMAEForPreTraining, points: Tensor, noise: dict[str, Tensor], dtype: torch.dtype, device: torch.device
) -> tuple[dict[str, float], Gradients]:
    """Return the losses and their gradients, of a copy of the model in eval mode, so that drop path is off."""
    model = copy.deepcopy(model).to(device, dtype).eval()
    inputs = {name: value.to(device, dtype) for name, value in {"points": points, **noise}.items()}
    outputs = model(**inputs)
    parameters = dict(model.named_parameters())
    losses, gradients = {}, {}
    for name in LOSSES:
        loss = getattr(outputs, name)
        found = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        losses[name] = loss.item()
        gradients[name] = {
            parameter: gradient.double().cpu()
            for parameter, gradient in zip(parameters, found, strict=True)
            if gradient is not None
        }
    return losses, gradients


def relative_difference(gradient: Tensor, expected: Tensor, smallest_norm: float) -> float | None:
    """Return the norm of the difference relative to the expected norm; `None` if it is not finite."""
    difference = (gradient - expected).norm() / expected.norm().clamp(min=smallest_norm)
    return float(difference) if bool(difference.isfinite()) else None


def compare_gradients(gradients: Gradients, expected: Gradients) -> dict[str, dict[str, float | None]]:
    """Return the relative difference by loss and parameter, largest first.

    Gradients that are zero but for rounding, such as those of queries with a single key, are compared with
    `SMALLEST_SHARE` of the norm of the whole gradient.
    """
    compared = {}
    for loss, parameters in expected.items():
        smallest_norm = SMALLEST_SHARE * float(torch.stack([value.norm() for value in parameters.values()]).norm())
        found = {
            name: relative_difference(gradients[loss][name], value, smallest_norm)
            for name, value in parameters.items()
        }
        compared[loss] = dict(sorted(found.items(), key=lambda item: -(torch.inf if item[1] is None else item[1])))
    return compared


def measure(sizes: GpuSizes, record: Record) -> None:
    """Record the losses and all differences from float64 on the CPU, one variant after the other."""
    device, cpu = find_device(), torch.device("cpu")
    model, _, _ = build(sizes.step_sizes(1), cpu)
    points = make_clouds(sizes.num_gradient_clouds, sizes.num_points)
    noise = pretraining_noise(model.config, 0, 0, torch.arange(len(points)))
    run: Callable[..., tuple[dict[str, float], Gradients]] = functools.partial(
        compute_gradients, points=points, noise=noise
    )
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    losses, expected = run(model, dtype=torch.float64, device=cpu)
    record("cpu_float64", {"losses": losses})
    variants = {
        "cpu_float32": (model, torch.float32, cpu, False, False),
        "float32": (model, torch.float32, device, False, False),
        "tf32_convolutions": (model, torch.float32, device, False, True),
        "tf32": (model, torch.float32, device, True, True),
        "float32_eager_attention": (eager, torch.float32, device, False, False),
        "float64": (model, torch.float64, device, False, False),
        "cpu_float64_moved": (move_reconstruction(model), torch.float64, cpu, False, False),
    }
    for name, (variant, dtype, place, *allowed) in variants.items():
        with tf32(*allowed):
            losses, gradients = run(variant, dtype=dtype, device=place)
        record(name, {"losses": losses, "differences": compare_gradients(gradients, expected)})
