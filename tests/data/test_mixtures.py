import numpy as np
import pytest
import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader

from jointmae_hf.data import MixtureDataset, PointCloudCollator, PointCloudTensors, PrimitiveShapeDataset


def clouds(count, first=0):
    """Clouds of 8 equal points; the coordinates of a cloud are its number."""
    return PointCloudTensors((torch.arange(count) + first).float()[:, None, None].expand(-1, 8, 3).clone())


@pytest.fixture
def mixture():
    """Of 10 clouds with numbers from 0 and 7 clouds with numbers from 100."""
    return MixtureDataset([clouds(10), clouds(7, 100)], weights=[0.7, 0.3], length=20)


def numbers_of(mixture, epochs, batch_size=6, **loading):
    """Numbers of the clouds that a loader gives, with their index."""
    loader = DataLoader(mixture, batch_size, collate_fn=PointCloudCollator(), **loading)
    rows = []
    for epoch in epochs:
        mixture.set_epoch(epoch)
        rows += [(epoch, *pair) for batch in loader for pair in zip(*columns(batch), strict=True)]
    return rows


def columns(batch):
    return batch["index"].tolist(), batch["points"][:, 0, 0].int().tolist()


@pytest.mark.parametrize(
    "weights", [[1], [7, 3], [1, 1, 1], [0.5, 0.3, 0.15, 0.05], [1 / 3, 1 / 7, 0.6, 0.01, 2**0.5]]
)
def test_no_dataset_is_ever_off_its_share_by_a_whole_cloud(weights):
    mixture = MixtureDataset([clouds(50) for _ in weights], weights, length=12_000)
    chosen, _ = mixture.locate(range(12_000))
    counts = (chosen[:, None] == np.arange(len(weights))).cumsum(axis=0)
    assert np.abs(counts - np.arange(1, 12_001)[:, None] * np.array(mixture.shares)).max() < 1.0
    assert mixture.shares == pytest.approx(np.array(weights) / sum(weights), abs=1e-4)
    np.testing.assert_array_equal(mixture.counts(11_999), counts[-2])


def test_decimal_weights_are_exact():
    assert MixtureDataset([clouds(5), clouds(5)], weights=[0.7, 0.3]).counts(1000).tolist() == [700, 300]


def test_no_cloud_comes_again_before_all_of_its_dataset_have_come(mixture):
    numbers = [number for _, _, number in numbers_of(mixture, range(10))]
    for first, size in ((0, 10), (100, 7)):
        own = [number for number in numbers if number // 100 == first // 100]
        assert len(own) > 3 * size
        for start in range(0, len(own) - size, size):
            assert sorted(own[start : start + size]) == list(range(first, first + size))


def test_passes_have_different_orders(mixture):
    own = [number for _, _, number in numbers_of(mixture, range(3)) if number < 100]
    assert own[:10] != own[10:20]
    assert own[:10] != sorted(own[:10])


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_change_nothing_in_any_epoch(mixture, persistent):
    alone = numbers_of(mixture, range(3))
    together = numbers_of(mixture, range(3), num_workers=2, persistent_workers=persistent)
    assert together == alone


@pytest.mark.parametrize("epoch", [0, 2])
def test_processes_share_the_batches_of_one(mixture, epoch):
    loader = DataLoader(mixture, 2, collate_fn=PointCloudCollator())
    alone = numbers_of(mixture, [epoch])
    together = []
    for rank in range(2):
        shard = prepare_data_loader(loader, num_processes=2, process_index=rank, put_on_device=False)
        shard.set_epoch(epoch)
        together += [(epoch, *pair) for batch in shard for pair in zip(*columns(batch), strict=True)]
    assert sorted(together) == alone


def test_epoch_ends_when_the_first_dataset_was_seen_once():
    mixture = MixtureDataset([PrimitiveShapeDataset(2**40, num_points=8), clouds(30)], weights=[0.7, 0.3])
    assert len(mixture) == 100
    assert mixture.counts(len(mixture)).tolist() == [70, 30]


def test_generated_shapes_are_those_of_their_dataset():
    shapes = PrimitiveShapeDataset(2**40, num_points=16, seed=4)
    mixture = MixtureDataset([shapes, clouds(4)], weights=[1, 1], length=4)
    (first, *_), (position, *_) = mixture.locate([0, 1])
    assert first == 0
    np.testing.assert_array_equal(mixture[0]["points"], shapes[int(position)]["points"])


def test_clouds_of_different_sizes_are_resampled_by_the_collator():
    mixture = MixtureDataset([PrimitiveShapeDataset(2**40, num_points=32), clouds(4)], weights=[1, 1])
    assert mixture.num_points is None
    batch = PointCloudCollator(num_points=16)(mixture.__getitems__(range(8)))
    assert batch["points"].shape == (8, 16, 3)
    assert batch["index"].tolist() == list(range(8))


def test_same_cloud_gets_another_index_each_time_in_an_epoch():
    mixture = MixtureDataset([clouds(2), clouds(2, 100)], weights=[1, 1], length=12)
    rows = numbers_of(mixture, [0])
    assert len({place for _, place, _ in rows}) == 12


def test_without_shuffling_every_epoch_is_in_order():
    mixture = MixtureDataset([clouds(4), clouds(4, 100)], weights=[1, 1], shuffle=False)
    for epoch in (0, 1):
        numbers = [number for _, _, number in numbers_of(mixture, [epoch])]
        assert [number for number in numbers if number < 100] == [0, 1, 2, 3]


def test_mixtures_can_be_nested(mixture):
    outer = MixtureDataset([mixture, clouds(20, 200)], weights=[1, 1])
    inner = [number for _, _, number in numbers_of(outer, [0, 1]) if number < 200]
    assert inner == [number for _, _, number in numbers_of(mixture, [0, 1])]


def test_selected_samples_are_those_of_the_mixture(mixture):
    assert mixture.select([3, 5])[1]["index"] == 5


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.7], "one number for each dataset, got 1 for 2: shapes, mine"),
        ([0.7, 0.0], "must be positive and finite, got 0.0 for mine"),
        ([0.7, -1.0], "must be positive and finite, got -1.0 for mine"),
        ([float("nan"), 1.0], "must be positive and finite, got nan for shapes"),
        ([float("inf"), 1.0], "must be positive and finite, got inf for shapes"),
        ([1.0, 1e-5], "must be at least 1/10,000 of their sum, got 1e-05 of .* for mine"),
    ],
)
def test_wrong_weights_are_named(weights, message):
    with pytest.raises(ValueError, match=f"`weights` must .*{message}|{message}"):
        MixtureDataset([clouds(3), clouds(3)], weights, names=["shapes", "mine"])


def test_empty_and_repeated_datasets_are_named():
    one = clouds(3)
    with pytest.raises(ValueError, match="at least one cloud each, got none in mine"):
        MixtureDataset([one, clouds(0)], [1, 1], names=["shapes", "mine"])
    with pytest.raises(ValueError, match="must be different, got shapes again as mine"):
        MixtureDataset([one, one], [1, 1], names=["shapes", "mine"])


def test_positions_outside_are_refused(mixture):
    assert mixture[-1]["index"] == 19
    with pytest.raises(IndexError, match="`index` must be between -20 and 19, got 20"):
        mixture[20]
