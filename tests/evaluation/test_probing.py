"""Probing an encoder on clouds of a dataset."""

from types import SimpleNamespace

import pytest
import torch

from jointmae_hf.data import RandomRotate, load_point_clouds
from jointmae_hf.evaluation import LeadingPoints, probe_encoder, sample_clouds


class ExtentEncoder(torch.nn.Module):
    """Stand-in whose features are the extents along the axes: enough to tell a laptop from a bottle."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, points):
        return SimpleNamespace(pooler_output=self.scale * points.abs().amax(dim=1))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    options = {"num_train": 80, "num_validation": 20, "num_test": 40, "num_points": 64}
    return load_point_clouds("synthetic_shapes", cache_dir=tmp_path_factory.mktemp("cache"), **options)


def test_sampled_clouds_lie_in_the_unit_sphere(dataset):
    batch = sample_clouds(dataset["train"], max_clouds=10, num_points=32)
    assert batch["points"].shape == (10, 32, 3)
    assert torch.allclose(batch["points"].norm(dim=-1).amax(dim=1), torch.ones(10))


def test_sampled_clouds_are_those_of_the_seed(dataset):
    first, same, other = (sample_clouds(dataset["train"], 10, 64, seed)["labels"] for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_sampled_clouds_are_turned_by_the_transform(dataset):
    plain = sample_clouds(dataset["train"], 4, 64)["points"]
    turned = sample_clouds(dataset["train"], 4, 64, transform=RandomRotate())["points"]
    assert not torch.allclose(plain, turned)
    assert torch.allclose(plain.norm(dim=-1), turned.norm(dim=-1), atol=1e-5)


def test_sampling_refuses_no_clouds(dataset):
    with pytest.raises(ValueError, match="`max_clouds` must be at least 1, got 0"):
        sample_clouds(dataset["train"], 0, 64)


def test_probe_beats_chance_and_says_how_it_chose(dataset):
    train, test = (sample_clouds(dataset[split], 100, 64) for split in ("train", "test"))
    measured = probe_encoder(ExtentEncoder(), train, test)
    assert measured.accuracy > 0.3
    assert "cross-validation on the train split" in measured.selection


def test_leading_points_are_the_first_in_the_unit_sphere(dataset):
    first = torch.tensor(dataset["test"][3]["points"])[:16]
    centered = first - first.mean(dim=0)
    item = LeadingPoints(dataset["test"], 16)[3]
    torch.testing.assert_close(item["points"], centered / centered.norm(dim=1).amax())
    assert item["labels"] == dataset["test"][3]["label"]


def test_leading_points_names_a_cloud_that_is_too_small(dataset):
    with pytest.raises(ValueError, match="`num_points` must not exceed the points of item 2, got 65 and 64"):
        LeadingPoints(dataset["test"], 65)[2]
