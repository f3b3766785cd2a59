"""Voting: the mean of a classifier's logits over several random views of each cloud."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from jointmae_hf.data import RandomSubsample, ScaleAndTranslate
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import gather_points


@dataclass(frozen=True)
class Voting:
    """Random views of a cloud as Point-MAE votes: candidates farthest first, a random choice of them, scaled and shifted.

    Point-MAE repeats its vote of ten 299 times and prints the best of these accuracies, chosen on the test split. Here
    the vote is taken once, and `seed` fixes it.

    Args:
        num_points (`int`):
            Points of a view.
        num_candidates (`int`, *optional*):
            Points to choose them from, taken farthest first; all points of a cloud by default.
        num_votes (`int`, *optional*, defaults to 10):
            Views of a cloud.
        seed (`int`, *optional*, defaults to 0):
            Seed of choice, scale and shift.

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
        """`str`: The vote in words, for the results."""
        candidates = "all" if self.num_candidates is None else f"{self.num_candidates:,} farthest"
        return f"{self.num_votes} votes of {self.num_points:,} out of {candidates} points"

    def views(self, points: Tensor, index: Tensor) -> Iterator[Tensor]:
        """Draw the views of a batch.

        Args:
            points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
                Clouds, normalised if the model was trained so, with at least as many points as there are candidates.
            index (`torch.LongTensor` of shape `(batch_size,)`):
                Position of each cloud in its split, which its random numbers depend on.

        Yields:
            `torch.Tensor`: A view `(batch_size, self.num_points, 3)`, `num_votes` in all.

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
            As for [`Voting.views`].
        index (`torch.LongTensor` of shape `(batch_size,)`):
            As there.
        voting ([`Voting`]):
            The views.

    Returns:
        `torch.Tensor`: float32 `(batch_size, num_labels)`.
    """
    total = sum(model(points=view).logits.float() for view in voting.views(points, index))
    return torch.as_tensor(total) / voting.num_votes
