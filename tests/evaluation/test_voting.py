"""Voting: reproducible views, averaged logits."""

from types import SimpleNamespace

import pytest
import torch

from jointmae_hf.evaluation import Voting, vote_logits
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample


class Recorder(torch.nn.Module):
    """Classifier that returns the mean coordinates and records its inputs."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, points):
        self.seen.append(points)
        return SimpleNamespace(logits=points.mean(dim=1))


def test_vote_is_the_mean_over_its_views(make_cloud):
    points, index, model = make_cloud(3, 40), torch.arange(3), Recorder()
    logits = vote_logits(model, points, index, Voting(16, 32, num_votes=4))
    assert [view.shape for view in model.seen] == [(3, 16, 3)] * 4
    torch.testing.assert_close(logits, torch.stack([view.mean(dim=1) for view in model.seen]).mean(dim=0))


def test_views_differ_among_votes_and_repeat_with_the_seed(make_cloud):
    points, index, voting = make_cloud(2, 40), torch.arange(2), Voting(16, num_votes=3)
    first, second = list(voting.views(points, index)), list(voting.views(points, index))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[1])


def test_views_do_not_depend_on_the_batch(make_cloud):
    points, voting = make_cloud(2, 40), Voting(16, 32, num_votes=2)
    together = list(voting.views(points, torch.tensor([5, 9])))
    alone = list(voting.views(points[1:], torch.tensor([9])))
    assert all(torch.equal(one[1:], other) for one, other in zip(together, alone, strict=True))


def test_views_hold_only_scaled_and_shifted_candidates(make_cloud, monkeypatch):
    points = make_cloud(1, 40)
    monkeypatch.setattr(
        "jointmae_hf.evaluation.voting.ScaleAndTranslate", lambda seed: lambda points, epoch, index: points
    )
    (view,) = Voting(16, 20, num_votes=1).views(points, torch.tensor([0]))
    candidates = points[0, farthest_point_sample(points, 20)[0]]
    assert (torch.cdist(view[0], candidates).amin(dim=1) < 1e-6).all()
    assert len(torch.unique(view[0], dim=0)) == 16


def test_protocol_states_the_numbers():
    assert Voting(1024, 1200).protocol == "10 votes of 1,024 out of 1,200 farthest points"
    assert Voting(1024).protocol == "10 votes of 1,024 out of all points"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "`num_points` must be at least 1, got 0"),
        ((4, 8, 0), "`num_votes` must be at least 1, got 0"),
        ((8, 4), "`num_candidates` must be at least `num_points`, got 4 and 8"),
    ],
)
def test_voting_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Voting(*arguments)


def test_views_need_enough_points(make_cloud):
    with pytest.raises(ValueError, match="`points` must have at least 64 points, got 40"):
        next(Voting(16, 64).views(make_cloud(1, 40), torch.tensor([0])))
