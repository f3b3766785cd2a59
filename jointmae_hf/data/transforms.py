"""Augmentations of a batch of clouds, on the device of the points.

Each takes `(points, *, epoch, index)` and returns new points. What it draws depends only on its `seed`, on `epoch` and on the
sample's `index`, see `counter_rng`. Give two transforms of one kind different seeds; `RandomRotateY` and `RandomRotate` share
a stream, as do both subsampling transforms.
"""

import abc
import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import bounding_sphere, gather_points

from .counter_rng import RandomStream, UniformDraw, counter_normal, counter_uniforms


class Transform(Protocol):
    """A transform of a batch of clouds, as `Compose` accepts it."""

    def __call__(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return the changed points of shape `(batch_size, num_points, 3)`."""
        ...


def _check_batch(points: Tensor, index: Tensor) -> Tensor:
    """Check points `(batch_size, num_points, 3)` and return their `index` `(batch_size,)` on their device."""
    if points.ndim != 3 or points.shape[-1] != 3:
        raise ValueError(f"`points` must have the shape (batch_size, num_points, 3), got {tuple(points.shape)}.")
    if not points.is_floating_point():
        raise TypeError(f"`points` must be of a floating type, got {points.dtype}.")
    if index.shape != points.shape[:1]:
        raise ValueError(
            f"`index` must have one entry per cloud, got {tuple(index.shape)} and {points.shape[0]} clouds."
        )
    return index.to(points.device)


class RandomTransform(abc.ABC):
    """A transform that states which uniform numbers it needs, so that `Compose` draws those of several at once.

    One that changes the number of points has the new number as `num_points`.
    """

    @abc.abstractmethod
    def draws(self, num_points: int) -> list[UniformDraw]:
        """Return which numbers to draw for each cloud.

        Args:
            num_points (`int`):
                Points of the clouds before.

        Returns:
            `list[UniformDraw]`: At least one draw.
        """

    @abc.abstractmethod
    def apply(self, points: Tensor, *numbers: Tensor) -> Tensor:
        """Change clouds by what was drawn.

        Args:
            points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
                The clouds before.
            numbers (`torch.Tensor`):
                What was drawn for each of `draws`, `(batch_size, *shape)`.

        Returns:
            `torch.Tensor`: The changed points.
        """

    def __call__(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return the changed points of shape `(batch_size, num_points, 3)`."""
        return _apply_at_once([self], points, epoch, index)


def _apply_in_turn(transforms: Sequence[Any], points: Tensor, epoch: int, index: Tensor) -> Tensor:
    """Apply transforms one after the other; each draws for itself."""
    for transform in transforms:
        points = transform(points, epoch=epoch, index=index)
    return points


def _apply_at_once(transforms: Sequence[Any], points: Tensor, epoch: int, index: Tensor) -> Tensor:
    """Apply random transforms one after the other, with one draw for all of them."""
    index, num_points = _check_batch(points, index), points.shape[1]
    draws = []
    for transform in transforms:
        draws.append(transform.draws(num_points))
        num_points = getattr(transform, "num_points", num_points)
    numbers = iter(counter_uniforms(epoch, index, list(itertools.chain(*draws))))
    for transform, own in zip(transforms, draws, strict=True):
        points = transform.apply(points, *itertools.islice(numbers, len(own)))
    return points


class Normalize:
    """Move each cloud to zero mean and scale it into the unit sphere, Point-MAE's `pc_norm`. Draws nothing."""

    def __call__(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return the normalized points of shape `(batch_size, num_points, 3)`."""
        _check_batch(points, index)
        center, radius = bounding_sphere(points)
        return (points - center) / radius

    def __repr__(self) -> str:
        return "Normalize()"


class ScaleAndTranslate(RandomTransform):
    """Stretch each axis by U(low, high), then shift it by U(-shift, shift). Defaults: Point-MAE's.

    Args:
        low (`float`, *optional*, defaults to 2/3):
            Minimum scale.
        high (`float`, *optional*, defaults to 3/2):
            Maximum scale.
        shift (`float`, *optional*, defaults to 0.2):
            Maximum shift, in units of `points`.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Raises:
        ValueError: If not `0 < low <= high`, or `shift` is negative.
    """

    def __init__(self, low: float = 2.0 / 3.0, high: float = 3.0 / 2.0, shift: float = 0.2, seed: int = 0) -> None:
        if not 0.0 < low <= high:
            raise ValueError(f"`low` must be positive and not exceed `high`, got {low} and {high}.")
        if shift < 0.0:
            raise ValueError(f"`shift` must not be negative, got {shift}.")
        self.low, self.high, self.shift, self.seed = low, high, shift, seed

    def draws(self, num_points: int) -> list[UniformDraw]:
        """Return the draws of scale and shift."""
        return [UniformDraw(self.seed, stream, (1, 3)) for stream in (RandomStream.SCALE, RandomStream.TRANSLATE)]

    def apply(self, points: Tensor, *numbers: Tensor) -> Tensor:
        """Return the stretched and shifted points of shape `(batch_size, num_points, 3)`."""
        scale, shift = numbers
        scale, shift = self.low + (self.high - self.low) * scale, self.shift * (2.0 * shift - 1.0)
        return points * scale.to(points.dtype) + shift.to(points.dtype)

    def __repr__(self) -> str:
        return f"ScaleAndTranslate(low={self.low}, high={self.high}, shift={self.shift}, seed={self.seed})"


class RandomRotateY(RandomTransform):
    """Rotate about the up axis y by an angle drawn from the full circle.

    Args:
        seed (`int`, *optional*, defaults to 0):
            Seed.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def draws(self, num_points: int) -> list[UniformDraw]:
        """Return the draw of the angle."""
        return [UniformDraw(self.seed, RandomStream.ROTATE, (1,))]

    def apply(self, points: Tensor, *numbers: Tensor) -> Tensor:
        """Return the rotated points of shape `(batch_size, num_points, 3)`."""
        angle = 2.0 * torch.pi * numbers[0]
        cosine, sine = torch.cos(angle).to(points.dtype), torch.sin(angle).to(points.dtype)
        x, y, z = points.unbind(dim=-1)
        return torch.stack([cosine * x + sine * z, y, cosine * z - sine * x], dim=-1)

    def __repr__(self) -> str:
        return f"RandomRotateY(seed={self.seed})"


class RandomRotate(RandomTransform):
    """Rotate by a rotation drawn uniformly from all rotations. Source: Shoemake, Graphics Gems III, 1992.

    Args:
        seed (`int`, *optional*, defaults to 0):
            Seed.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def draws(self, num_points: int) -> list[UniformDraw]:
        """Return the draw of the rotation."""
        return [UniformDraw(self.seed, RandomStream.ROTATE, (3,))]

    def rotations(self, epoch: int, index: Tensor) -> Tensor:
        """Draw the rotation matrices.

        Args:
            epoch (`int`):
                Pass over the data.
            index (`torch.LongTensor` of shape `(batch_size,)`):
                Position of each sample in its dataset.

        Returns:
            `torch.Tensor`: float32 of shape `(batch_size, 3, 3)`, to be multiplied from the left of column vectors.
        """
        return self._rotations(*counter_uniforms(epoch, index, self.draws(num_points=0)))

    def _rotations(self, numbers: Tensor) -> Tensor:
        """Return the rotation matrices of uniform numbers `(batch_size, 3)`."""
        share, first, second = numbers.unbind(dim=-1)
        first, second = 2.0 * torch.pi * first, 2.0 * torch.pi * second
        low, high = torch.sqrt(1.0 - share), torch.sqrt(share)
        w, x, y, z = high * torch.cos(second), low * torch.sin(first), low * torch.cos(first), high * torch.sin(second)
        rows = [
            torch.stack([1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)], dim=-1),
            torch.stack([2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)], dim=-1),
            torch.stack([2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)], dim=-1),
        ]
        return torch.stack(rows, dim=1)

    def apply(self, points: Tensor, *numbers: Tensor) -> Tensor:
        """Return the rotated points of shape `(batch_size, num_points, 3)`."""
        rotations = self._rotations(*numbers).to(points.dtype)
        # Written out, because a matrix product on CUDA may run in TF32, which keeps three digits.
        return (points[:, :, None, :] * rotations[:, None]).sum(dim=-1)

    def __repr__(self) -> str:
        return f"RandomRotate(seed={self.seed})"


class Jitter:
    """Add normal noise to every coordinate.

    Args:
        std (`float`, *optional*, defaults to 0.01):
            Standard deviation, in units of `points`.
        clip (`float`, *optional*, defaults to 0.05):
            Maximum displacement of a coordinate.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Raises:
        ValueError: If `std` or `clip` is negative.
    """

    def __init__(self, std: float = 0.01, clip: float = 0.05, seed: int = 0) -> None:
        if std < 0.0 or clip < 0.0:
            raise ValueError(f"`std` and `clip` must not be negative, got {std} and {clip}.")
        self.std, self.clip, self.seed = std, clip, seed

    def __call__(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return the displaced points of shape `(batch_size, num_points, 3)`."""
        index = _check_batch(points, index)
        noise = counter_normal(self.seed, epoch, index, RandomStream.JITTER, tuple(points.shape[1:]))
        return points + (self.std * noise).clamp(-self.clip, self.clip).to(points.dtype)

    def __repr__(self) -> str:
        return f"Jitter(std={self.std}, clip={self.clip}, seed={self.seed})"


class RandomSubsample(RandomTransform):
    """Keep a random subset of the points, without repeats, in random order.

    Args:
        num_points (`int`):
            Points to keep.
        seed (`int`, *optional*, defaults to 0):
            Seed.

    Raises:
        ValueError: If `num_points` is not positive.
    """

    def __init__(self, num_points: int, seed: int = 0) -> None:
        if num_points < 1:
            raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
        self.num_points, self.seed = num_points, seed

    def indices(self, num_points: int, *, epoch: int, index: Tensor) -> Tensor:
        """Return which points are kept; labels per point follow by `labels.gather(1, indices)`.

        Args:
            num_points (`int`):
                Points of the clouds before.
            epoch (`int`):
                Pass over the data.
            index (`torch.LongTensor` of shape `(batch_size,)`):
                Position of each sample in its dataset.

        Returns:
            `torch.LongTensor`: Positions of shape `(batch_size, self.num_points)` in the clouds before.

        Raises:
            ValueError: If the clouds have too few points.
        """
        return self._indices(*counter_uniforms(epoch, index, self.draws(num_points)))

    def draws(self, num_points: int) -> list[UniformDraw]:
        """Return the draw of the order of all points; raise `ValueError` if they are too few."""
        if num_points < self.num_points:
            raise ValueError(f"`num_points` of the clouds must be at least {self.num_points}, got {num_points}.")
        return [UniformDraw(self.seed, RandomStream.SUBSAMPLE, (num_points,))]

    def apply(self, points: Tensor, *numbers: Tensor) -> Tensor:
        """Return the kept points of shape `(batch_size, self.num_points, 3)`."""
        return gather_points(points, self._indices(*numbers))

    def _indices(self, order: Tensor) -> Tensor:
        """Return which points are kept, those of the smallest numbers."""
        # Stable, because equal keys occur among 2 ** 24 values and every device must order them alike.
        return torch.argsort(order, dim=1, stable=True)[:, : self.num_points]

    def __repr__(self) -> str:
        return f"RandomSubsample(num_points={self.num_points}, seed={self.seed})"


class FarthestPointSubsample:
    """Keep points that cover the cloud evenly: each the farthest from those kept before, or a random choice of such points.

    `num_points` alone draws nothing, as Point-MAE and Point-M2AE evaluate. With `num_candidates`, that many points are taken
    farthest first and `num_points` of them at random, as they fine-tune: 1,200 and 1,024 on ModelNet40. They start at row 0;
    here the start is the point farthest from the centroid, whatever the order of the points.

    Args:
        num_points (`int`):
            Points to keep.
        num_candidates (`int`, *optional*):
            Points to choose from, at least `num_points`.
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice among candidates.

    Raises:
        ValueError: If `num_points` is not positive or exceeds `num_candidates`.
    """

    def __init__(self, num_points: int, num_candidates: int | None = None, seed: int = 0) -> None:
        if num_points < 1:
            raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
        if num_candidates is not None and num_candidates < num_points:
            raise ValueError(f"`num_candidates` must be at least `num_points`, got {num_candidates} and {num_points}.")
        self.num_points, self.num_candidates, self.seed = num_points, num_candidates, seed

    def indices(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return which points are kept; labels per point follow by `labels.gather(1, indices)`.

        Args:
            points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
                The clouds before.
            epoch (`int`):
                Pass over the data.
            index (`torch.LongTensor` of shape `(batch_size,)`):
                Position of each sample in its dataset.

        Returns:
            `torch.LongTensor`: Positions of shape `(batch_size, self.num_points)` in the clouds before.

        Raises:
            ValueError: If the clouds have too few points.
        """
        index = _check_batch(points, index)
        name = "num_points" if self.num_candidates is None else "num_candidates"
        num_candidates = self.num_candidates or self.num_points
        if points.shape[1] < num_candidates:
            raise ValueError(
                f"`{name}` must not exceed the points of a cloud, got {num_candidates} and {points.shape[1]}."
            )
        candidates = farthest_point_sample(points, num_candidates)
        if self.num_candidates is None:
            return candidates
        subsample = RandomSubsample(self.num_points, seed=self.seed)
        return candidates.gather(1, subsample.indices(num_candidates, epoch=epoch, index=index))

    def __call__(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return the kept points of shape `(batch_size, self.num_points, 3)`."""
        return gather_points(points, self.indices(points, epoch=epoch, index=index))

    def __repr__(self) -> str:
        options = f"num_points={self.num_points}, num_candidates={self.num_candidates}, seed={self.seed}"
        return f"FarthestPointSubsample({options})"


class Compose:
    """Apply transforms one after the other.

    Random transforms that follow each other get the numbers that they would draw by themselves from one draw.

    Args:
        transforms (`Sequence[Transform]`):
            Applied from first to last. An empty sequence returns the points unchanged.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return the points of shape `(batch_size, num_points, 3)` after all transforms."""
        for is_random, group in itertools.groupby(self.transforms, lambda one: isinstance(one, RandomTransform)):
            apply = _apply_at_once if is_random else _apply_in_turn
            points = apply(list(group), points, epoch, index)
        return points

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"
