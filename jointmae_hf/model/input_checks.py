"""What the models refuse: checks of their inputs, once per call and before any work."""

import torch
from torch import Tensor
from transformers.utils import is_tracing

from .configuration_jointmae import JointMAEConfig


LARGEST_COORDINATE = 1e18
"""Squared distances between larger coordinates overflow in float32, in which geometry runs."""


def check_points(points: Tensor, num_centers: int) -> None:
    """Raise unless `points` is a floating point `(batch_size, num_points, 3)` with enough points for the centers.

    Values are checked only on the CPU and outside graphs: on an accelerator, reading them would wait for all work before.
    There, NaN and infinity reach the outputs of their cloud.
    """
    if not isinstance(points, Tensor) or not points.is_floating_point():
        got = points.dtype if isinstance(points, Tensor) else type(points).__name__
        raise TypeError(
            f"`points` must be a floating point tensor, got {got}. Convert it with `JointMAEFeatureExtractor`."
        )
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"`points` must have shape (batch_size, num_points, 3), got {tuple(points.shape)}.")
    if points.shape[1] < num_centers:
        raise ValueError(
            f"`points` must hold at least `num_groups[0]` points, got {points.shape[1]} and {num_centers}. Sample "
            "more points or lower `num_groups`."
        )
    if points.device.type == "cpu" and not is_tracing(points):
        _check_coordinates(points.detach().to(torch.promote_types(points.dtype, torch.float32)))


def _check_coordinates(points: Tensor) -> None:
    """Raise for the first point whose coordinates are NaN, infinite or too large to compute with."""
    is_valid = (points.abs() <= LARGEST_COORDINATE).all(dim=-1)
    if not is_valid.all():
        cloud, row = (~is_valid).nonzero()[0].tolist()
        raise ValueError(
            f"`points[{cloud}]` must be finite and at most {LARGEST_COORDINATE:g} in size, got "
            f"{points[cloud, row].tolist()} at point {row}. Check and normalize it with `JointMAEFeatureExtractor`."
        )


def check_shape(name: str, value: Tensor | None, expected: tuple[int, ...]) -> None:
    """Raise unless an argument has the expected shape or is `None`."""
    if value is not None and tuple(value.shape) != expected:
        raise ValueError(f"`{name}` must have shape {expected}, got {tuple(value.shape)}.")


def check_random_arguments(
    config: JointMAEConfig, batch_size: int, view: Tensor | None, noise_3d: Tensor | None, noise_2d: Tensor | None
) -> None:
    """Raise unless pose and noise fit the batch."""
    check_shape("view", view, (batch_size, 3, 4))
    check_shape("noise_3d", noise_3d, (batch_size, config.num_groups[-1]))  # type: ignore[index]
    check_shape("noise_2d", noise_2d, (batch_size, config.num_patches))


def check_encoder_inputs(
    config: JointMAEConfig,
    has_2d_branch: bool,
    points: Tensor | None,
    pixel_values: Tensor | None,
    view: Tensor | None,
    noise_3d: Tensor | None,
    noise_2d: Tensor | None,
) -> None:
    """Raise for inputs of the encoder that are missing, or that do not fit the model or each other."""
    if points is not None:
        check_points(points, config.num_groups[0])  # type: ignore[index]
        batch_size = points.shape[0]
    elif pixel_values is not None:
        batch_size = pixel_values.shape[0]
    else:
        raise ValueError("`points` or `pixel_values` must be given, got neither.")
    check_random_arguments(config, batch_size, view, noise_3d, noise_2d)
    if pixel_values is None:
        return
    if not has_2d_branch:
        raise ValueError("`pixel_values` must be None for a model without 2D branch, got a tensor.")
    check_shape("pixel_values", pixel_values, (batch_size, 1, config.image_size, config.image_size))
    if points is not None and view is None:
        raise ValueError("`view` must be given with `points` and `pixel_values`, got None.")


def check_class_labels(labels: Tensor | None, points: Tensor) -> None:
    """Raise unless `labels` has one entry for each cloud."""
    if labels is not None and _is_batch(points) and labels.shape[:1] != points.shape[:1]:
        raise ValueError(f"`labels` must have one entry for each cloud, got {tuple(labels.shape)}.")


def check_part_labels(category: Tensor | None, labels: Tensor | None, points: Tensor) -> None:
    """Raise unless category and part labels fit the clouds, and categories are integers."""
    if _is_batch(points):
        check_shape("category", category, tuple(points.shape[:1]))
        check_shape("labels", labels, tuple(points.shape[:2]))
    if category is not None and (category.is_floating_point() or category.is_complex()):
        raise TypeError(f"`category` must hold integers, got {category.dtype}.")


def check_category_labels(config: JointMAEConfig) -> None:
    """Raise unless the configuration knows the part labels of each category."""
    if config.category_labels is None:
        raise ValueError("`category` must be None without `config.category_labels`, got a tensor.")


def _is_batch(points: Tensor) -> bool:
    """Return whether other inputs can be compared with `points`; if not, the encoder refuses the points themselves."""
    return isinstance(points, Tensor) and points.ndim == 3
