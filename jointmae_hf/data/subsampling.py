"""Transforms that keep some of the points of each cloud: at random, or the farthest from each other."""

import torch
from torch import Tensor

from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points

from .counter_rng import RandomStream, counter_uniform
from .transforms import check_batch


class RandomSubsample:
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
        """Say which points are kept, so that labels per point can follow them by `labels.gather(1, indices)`.

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
        if num_points < self.num_points:
            raise ValueError(f"`num_points` of the clouds must be at least {self.num_points}, got {num_points}.")
        order = counter_uniform(self.seed, epoch, index, RandomStream.SUBSAMPLE, (num_points,))
        # Stable, because equal keys occur among 2 ** 24 values and every device must order them alike.
        return torch.argsort(order, dim=1, stable=True)[:, : self.num_points]

    def __call__(self, points: Tensor, *, epoch: int, index: Tensor) -> Tensor:
        """Return the kept points of shape `(batch_size, self.num_points, 3)`."""
        index = check_batch(points, index)
        return gather_points(points, self.indices(points.shape[1], epoch=epoch, index=index))

    def __repr__(self) -> str:
        return f"RandomSubsample(num_points={self.num_points}, seed={self.seed})"


class FarthestPointSubsample:
    """Keep points that cover the cloud evenly: each the farthest from those kept before, or a random choice of such points.

    `num_points` alone draws nothing, as the family evaluates. With `num_candidates` more points are taken farthest first
    and `num_points` of these at random, as it fine-tunes: 1,200 and 1,024 on ModelNet40. Source: Point-MAE, Point-M2AE.
    Those start at row 0; here the start is the point farthest from the centroid, whatever the order of the points.

    Args:
        num_points (`int`):
            Points to keep.
        num_candidates (`int`, *optional*):
            Points to choose from, at least `num_points`.
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice among candidates, which shares a stream with `RandomSubsample`.

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
        """Say which points are kept, so that labels per point can follow them by `labels.gather(1, indices)`.

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
        index = check_batch(points, index)
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
