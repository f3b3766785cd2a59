"""Voting: average the logits of a classifier over several random views of each cloud."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from jointmae_hf.data import RandomSubsample, ScaleAndTranslate
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points


@dataclass(frozen=True)
class Voting:
    """Draw random views of a cloud as Point-MAE does for voting: farthest points, a random subset, scaled and shifted.

    Point-MAE repeats its vote over ten views 299 times and reports the best accuracy, chosen on the test split. Here
    the vote is taken once, and `seed` fixes it.

    Args:
        num_points (`int`):
            Points per view.
        num_candidates (`int`, *optional*):
            Number of farthest points to choose from; all points of a cloud by default.
        num_votes (`int`, *optional*, defaults to 10):
            Views per cloud.
        seed (`int`, *optional*, defaults to 0):
            Seed for choice, scale and shift.

    Raises:
        ValueError: If a number is not positive, or there are fewer candidates than points.
    """

    num_points: int
    num_candidates: int | None = None
    num_votes: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_points", "num_votes"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.num_candidates is not None and self.num_candidates < self.num_points:
            raise ValueError(
                f"`num_candidates` must be at least `num_points`, got {self.num_candidates} and {self.num_points}."
            )

    @property
    def protocol(self) -> str:
        """`str`: Description of the vote, for the results."""
        candidates = "all" if self.num_candidates is None else f"{self.num_candidates:,} farthest"
        return f"{self.num_votes} votes of {self.num_points:,} out of {candidates} points"

    def views(self, points: Tensor, index: Tensor) -> Iterator[Tensor]:
        """Draw the views of a batch.

        Args:
            points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
                Clouds with at least `num_candidates` points, normalized as in training.
            index (`torch.LongTensor` of shape `(batch_size,)`):
                Index of each cloud in its split, which seeds its random numbers.

        Yields:
            `torch.Tensor`: `num_votes` views of shape `(batch_size, self.num_points, 3)`.

        Raises:
            ValueError: If the clouds have too few points.
        """
        if points.shape[1] < (self.num_candidates or self.num_points):
            raise ValueError(
                f"`points` must have at least {self.num_candidates or self.num_points} points, got {points.shape[1]}."
            )
        if self.num_candidates is not None and self.num_candidates < points.shape[1]:
            points = gather_points(points, farthest_point_sample(points, self.num_candidates))
        choose, augment = RandomSubsample(self.num_points, seed=self.seed), ScaleAndTranslate(seed=self.seed)
        for vote in range(self.num_votes):
            yield augment(choose(points, epoch=vote, index=index), epoch=vote, index=index)


@torch.no_grad()
def vote_logits(model: torch.nn.Module, points: Tensor, index: Tensor, voting: Voting) -> Tensor:
    """Average the logits of a classifier over the views of each cloud.

    Args:
        model (`torch.nn.Module`):
            Called as `model(points=...)`, in evaluation mode; returns `logits` `(batch_size, num_labels)`.
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            Clouds, see [`Voting.views`].
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Index of each cloud in its split.
        voting ([`Voting`]):
            Views to average over.

    Returns:
        `torch.Tensor`: float32 `(batch_size, num_labels)`.
    """
    total = sum(model(points=view).logits.float() for view in voting.views(points, index))
    return torch.as_tensor(total) / voting.num_votes
