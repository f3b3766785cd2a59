"""How clouds become the points of a model."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from jointmae_hf.data import Normalize
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.training import FINE_TUNING_RECIPES, PointSampling, Setting


PAPER = FINE_TUNING_RECIPES["classification"]["paper"]


def sampling(cloud_size, num_candidates=24, num_points=16, recipe=PAPER, **options):
    recipe = dataclasses.replace(recipe, augmentation=(), num_candidates=Setting(num_candidates, "test"))
    return PointSampling(SimpleNamespace(num_points=cloud_size), recipe, num_points, seed=0, **options)


def test_training_draws_from_the_farthest_candidates(make_cloud):
    points, index = make_cloud(2, 40), torch.arange(2)
    drawn = sampling(40).training_transform()(points, epoch=3, index=index)
    normalized = Normalize()(points, epoch=0, index=index)
    candidates = normalized[0, farthest_point_sample(normalized, 24)[0]]
    assert drawn.shape == (2, 16, 3)
    assert (torch.cdist(drawn[0], candidates).amin(dim=1) < 1e-6).all()


def test_training_draws_others_in_the_next_epoch(make_cloud):
    points, index = make_cloud(2, 40), torch.arange(2)
    transform = sampling(40).training_transform()
    assert not torch.equal(transform(points, epoch=0, index=index), transform(points, epoch=1, index=index))


def test_evaluation_takes_the_farthest_points(make_cloud):
    points, index = make_cloud(2, 40), torch.arange(2)
    taken = sampling(40).evaluation_transform()(points, epoch=0, index=index)
    normalized = Normalize()(points, epoch=0, index=index)
    torch.testing.assert_close(taken[0], normalized[0, farthest_point_sample(normalized, 16)[0]])


@pytest.mark.parametrize(
    ("cloud_size", "collated", "candidates", "extractor"),
    [
        (40, 40, 24, "farthest"),  # more points than candidates
        (20, 20, None, "farthest"),  # fewer points than candidates: all are
        (16, 16, None, "farthest"),  # nothing to choose
        (10, 16, None, "farthest"),  # repeats
        (None, 24, None, "random"),  # clouds of different sizes
    ],
)
def test_sampling_follows_the_size_of_the_clouds(cloud_size, collated, candidates, extractor):
    chosen = sampling(cloud_size)
    assert (chosen.collated_points, chosen.num_candidates, chosen.extractor_sampling) == (
        collated,
        candidates,
        extractor,
    )


def test_points_are_chosen_by_the_collator_alone_when_labels_must_follow(make_cloud):
    chosen = sampling(40, keep_order=True)
    points = make_cloud(2, 16)
    assert chosen.collated_points == 16
    expected = Normalize()(points, epoch=0, index=torch.arange(2))
    torch.testing.assert_close(chosen.training_transform()(points, epoch=1, index=torch.arange(2)), expected)


def test_clouds_are_unchanged_without_normalization(make_cloud):
    recipe = FINE_TUNING_RECIPES["classification"]["paper_scanobjectnn"]
    points = 5 + make_cloud(2, 16)
    chosen = sampling(16, recipe=recipe)
    assert torch.equal(chosen.evaluation_transform()(points, epoch=0, index=torch.arange(2)), points)
