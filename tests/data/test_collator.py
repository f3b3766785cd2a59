import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from jointmae_hf.data import PointCloudCollator, PointCloudDataset


def sample(size, index=0, **extra):
    points = np.arange(size * 3, dtype=np.float32).reshape(size, 3)
    return {"points": points, "index": index, **extra}


def test_collator_stacks_clouds_and_labels():
    parts = np.arange(4, dtype=np.uint8)
    batch = PointCloudCollator()([sample(4, k, labels=k + 1, part_labels=parts) for k in (5, 6)])
    assert batch["points"].shape == (2, 4, 3)
    assert batch["index"].tolist() == [5, 6]
    assert batch["labels"].tolist() == [6, 7]
    assert batch["part_labels"].tolist() == [[0, 1, 2, 3]] * 2


def test_collator_returns_float32_and_int64():
    batch = PointCloudCollator()([sample(2, labels=0, part_labels=np.zeros(2, np.uint8))])
    assert {name: value.dtype for name, value in batch.items()} == {
        "points": torch.float32, "index": torch.int64, "labels": torch.int64, "part_labels": torch.int64
    }  # fmt: skip


def test_collator_leaves_out_what_the_samples_lack():
    assert set(PointCloudCollator()([sample(2)])) == {"points", "index"}


def test_collator_copies_read_only_views():
    cloud = sample(2)
    cloud["points"].flags.writeable = False
    PointCloudCollator()([cloud])["points"].zero_()
    assert cloud["points"].sum() == 15.0


def test_collator_repeats_small_clouds_in_a_cycle():
    batch = PointCloudCollator(num_points=5)([sample(2, part_labels=np.array([3, 4], np.uint8))])
    assert batch["points"][0, :, 0].tolist() == [0, 3, 0, 3, 0]
    assert batch["part_labels"].tolist() == [[3, 4, 3, 4, 3]]


def test_collator_draws_from_large_clouds_without_repeats():
    batch = PointCloudCollator(num_points=6)([sample(9, part_labels=np.arange(9, dtype=np.uint8))])
    assert len(set(batch["part_labels"][0].tolist())) == 6
    assert batch["points"][0, :, 0].tolist() == [3 * part for part in batch["part_labels"][0].tolist()]


def test_collator_draws_the_same_from_a_cloud_in_any_batch():
    collate = PointCloudCollator(num_points=4)
    alone, together = collate([sample(9, 7)]), collate([sample(30, 1), sample(9, 7)])
    assert torch.equal(alone["points"][0], together["points"][1])


def test_collator_draws_others_in_each_epoch_also_in_workers_that_outlive_one():
    samples = [sample(50, index) for index in range(2)]
    collate = PointCloudCollator(num_points=10)
    loader = DataLoader(samples, 2, num_workers=1, persistent_workers=True, collate_fn=collate)
    drawn = []
    for epoch in (0, 1, 0):
        collate.set_epoch(epoch)
        drawn.append(next(iter(loader))["points"])
        assert torch.equal(drawn[-1], collate(samples)["points"])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("other", [{"index": 8}, {"seed": 1}])
def test_collator_draws_differently_for_another_index_or_seed(other):
    first = PointCloudCollator(num_points=10)([sample(50, 7)])
    second = PointCloudCollator(num_points=10, seed=other.get("seed", 0))([sample(50, other.get("index", 7))])
    assert not torch.equal(first["points"], second["points"])


def test_collator_leaves_clouds_of_the_right_size_alone():
    assert torch.equal(PointCloudCollator(4)([sample(4)])["points"], PointCloudCollator()([sample(4)])["points"])


def test_collator_refuses_different_sizes():
    with pytest.raises(ValueError, match=r"`points` must have one size per batch, got \[2, 3\]\. Set `num_points`"):
        PointCloudCollator()([sample(2), sample(3)])


def test_collator_refuses_an_empty_batch():
    with pytest.raises(ValueError, match="`samples` must hold at least one sample"):
        PointCloudCollator()([])


def test_collator_refuses_samples_without_an_index():
    with pytest.raises(ValueError, match=r"`samples` must have \['index'\], got \['label', 'points'\]"):
        PointCloudCollator()([{"points": np.zeros((2, 3)), "label": 1}])


def test_collator_refuses_labels_for_some_samples_only():
    with pytest.raises(ValueError, match="`samples` must all have the same keys"):
        PointCloudCollator()([sample(2, labels=1), sample(2)])


@pytest.mark.parametrize(("name", "options"), [("num_points", {"num_points": 0}), ("seed", {"seed": -1})])
def test_collator_names_the_option_when_it_is_wrong(name, options):
    with pytest.raises(ValueError, match=f"`{name}` must"):
        PointCloudCollator(**options)


@pytest.mark.parametrize("num_points", [None, 16, 8, 20])
def test_collator_gives_the_same_batch_from_samples_of_a_dataset(shapes, num_points):
    samples = PointCloudDataset(shapes["train"].shuffle(seed=1)).__getitems__([2, 7])
    fast, slow = PointCloudCollator(num_points)(samples), PointCloudCollator(num_points)(list(samples))
    assert list(fast) == list(slow)
    for name, values in slow.items():
        assert fast[name].dtype == values.dtype
        assert torch.equal(fast[name], values)
