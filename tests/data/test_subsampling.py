import pytest
import torch

from jointmae_hf.data import FarthestPointSubsample, RandomSubsample
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample


INDEX = torch.arange(8)


@pytest.fixture
def points():
    return torch.rand(8, 32, 3, generator=torch.Generator().manual_seed(0)) - 0.5


def test_subsample_keeps_points_without_repeats(points):
    kept = RandomSubsample(16).indices(32, epoch=0, index=INDEX)
    assert kept.shape == (8, 16)
    assert all(len(set(row)) == 16 for row in kept.tolist())


def test_subsample_chooses_every_point_equally_often():
    kept = RandomSubsample(4).indices(8, epoch=0, index=torch.arange(4000))
    counts = torch.bincount(kept.flatten(), minlength=8)
    assert (counts - 2000).abs().max() < 150


def test_subsample_indices_carry_part_labels_along(points):
    subsample = RandomSubsample(16)
    part_labels = (points[..., 0] > 0).long()
    kept = subsample.indices(32, epoch=0, index=INDEX)
    assert torch.equal(part_labels.gather(1, kept), (subsample(points, epoch=0, index=INDEX)[..., 0] > 0).long())


def test_subsample_refuses_clouds_that_are_too_small(points):
    with pytest.raises(ValueError, match="`num_points` of the clouds must be at least 64, got 32"):
        RandomSubsample(64)(points, epoch=0, index=INDEX)


def test_farthest_subsample_keeps_the_farthest_points_in_every_epoch(points):
    kept = FarthestPointSubsample(16)(points, epoch=5, index=INDEX)
    rows = farthest_point_sample(points, 16)
    assert torch.equal(kept, torch.stack([cloud[row] for cloud, row in zip(points, rows, strict=True)]))


def test_farthest_subsample_chooses_among_its_candidates_without_repeats(points):
    subsample = FarthestPointSubsample(16, num_candidates=20)
    candidates = farthest_point_sample(points, 20).tolist()
    chosen = [subsample.indices(points, epoch=epoch, index=INDEX).tolist() for epoch in range(20)]
    for kept in chosen:
        assert all(len(set(row)) == 16 and set(row) <= set(own) for row, own in zip(kept, candidates, strict=True))
    assert {row for kept in chosen for row in kept[0]} == set(candidates[0])


def test_farthest_subsample_of_as_many_candidates_keeps_them_all(points):
    kept = FarthestPointSubsample(16, num_candidates=16).indices(points, epoch=0, index=INDEX)
    assert torch.equal(kept.sort(dim=1).values, farthest_point_sample(points, 16).sort(dim=1).values)


def test_farthest_subsample_indices_carry_part_labels_along(points):
    subsample = FarthestPointSubsample(16, num_candidates=24)
    part_labels = (points[..., 0] > 0).long()
    kept = part_labels.gather(1, subsample.indices(points, epoch=0, index=INDEX))
    assert torch.equal(kept, (subsample(points, epoch=0, index=INDEX)[..., 0] > 0).long())


@pytest.mark.parametrize(
    ("subsample", "name"),
    [(FarthestPointSubsample(64), "num_points"), (FarthestPointSubsample(16, num_candidates=64), "num_candidates")],
)
def test_farthest_subsample_refuses_clouds_that_are_too_small(subsample, name, points):
    with pytest.raises(ValueError, match=f"`{name}` must not exceed the points of a cloud, got 64 and 32"):
        subsample(points, epoch=0, index=INDEX)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: RandomSubsample(0), "num_points"),
        (lambda: FarthestPointSubsample(0), "num_points"),
        (lambda: FarthestPointSubsample(16, num_candidates=8), "num_candidates"),
    ],
)
def test_subsample_names_the_option_when_it_is_wrong(build, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        build()
