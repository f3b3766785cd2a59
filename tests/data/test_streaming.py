from itertools import islice

import numpy as np
import pytest
import torch
from datasets import Dataset, load_dataset
from torch.utils.data import DataLoader

from jointmae_hf.data import (
    MixtureDataset,
    PointCloudCollator,
    PointCloudDataset,
    PointCloudStream,
    PointCloudTensors,
    as_clouds,
    stream_batches,
    streaming,
)
from jointmae_hf.data.conversion import convert_to_parquet


SMALL = {"num_train": 24, "num_validation": 2, "num_test": 3, "num_points": 16}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parquet")
    return str(convert_to_parquet("synthetic_shapes", folder / "shapes", cache_dir=folder / "cache", **SMALL))


@pytest.fixture
def stream(parquet, monkeypatch):
    """24 clouds of 16 points, two batches a table."""
    monkeypatch.setattr(streaming, "_BATCHES_PER_TABLE", 2)
    return load_dataset(parquet, split="train", streaming=True)


def test_batches_are_those_of_the_dataset(stream, shapes):
    own = PointCloudCollator()(PointCloudDataset(shapes["train"]).__getitems__(range(24)))
    batches = list(stream_batches(stream, 5))
    assert [len(batch["points"]) for batch in batches] == [5, 5, 5, 5, 4]
    for name, values in own.items():
        assert torch.equal(torch.cat([batch[name] for batch in batches]), values)


def test_collator_chooses_the_same_points_as_from_the_dataset(stream, shapes):
    collator = PointCloudCollator(num_points=8, seed=3)
    own = collator(PointCloudDataset(shapes["train"]).__getitems__(range(24)))
    streamed = torch.cat([batch["points"] for batch in stream_batches(stream, 5, collator)])
    assert torch.equal(streamed, own["points"])


def test_shuffled_stream_gives_every_cloud_once(stream, shapes):
    batches = list(stream_batches(stream.shuffle(seed=1, buffer_size=24), 5))
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(24))
    own = np.sort(np.array([cloud["points"][0, 0] for cloud in PointCloudDataset(shapes["train"])]))
    streamed = torch.cat([batch["points"][:, 0, 0] for batch in batches]).numpy()
    assert not np.array_equal(streamed, own)
    np.testing.assert_array_equal(np.sort(streamed), own)


def test_wrong_arguments_are_refused_at_once(stream, shapes):
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, got 0"):
        stream_batches(stream, 0)
    with pytest.raises(TypeError, match=r"`stream` must be .*, got Dataset"):
        stream_batches(shapes["train"], 4)


@pytest.fixture
def rows(shapes):
    """The 24 clouds as a stream that is not of Parquet files, at whose end `datasets` waits for 5 seconds."""
    return shapes["train"].to_iterable_dataset(num_shards=2)


def test_dataset_class_takes_a_stream(stream):
    assert isinstance(PointCloudDataset(stream), PointCloudStream)
    assert isinstance(as_clouds(stream), torch.utils.data.IterableDataset)


def test_stream_repeats_its_clouds_and_counts_on(rows, shapes):
    own = PointCloudDataset(shapes["train"])
    samples = list(islice(PointCloudDataset(rows), 50))
    assert [sample["index"] for sample in samples] == list(range(50))
    for sample in samples[::7]:
        np.testing.assert_array_equal(sample["points"], own[sample["index"] % 24]["points"])


def first_coordinates(samples):
    return [float(sample["points"][0, 0]) for sample in samples]


def test_shuffled_stream_is_shuffled_again_in_each_pass(rows):
    numbers = first_coordinates(islice(PointCloudDataset(rows.shuffle(seed=1, buffer_size=24)), 48))
    assert sorted(numbers[:24]) == sorted(numbers[24:])
    assert numbers[:24] != numbers[24:]


def test_workers_share_a_pass_of_the_stream(rows):
    loader = DataLoader(PointCloudDataset(rows), 4, num_workers=2, collate_fn=PointCloudCollator())
    batches = list(islice(loader, 6))
    assert sorted(torch.cat([batch["index"] for batch in batches]).tolist()) == list(range(24))
    points = torch.cat([batch["points"][:, 0, 0] for batch in batches]).tolist()
    assert sorted(points) == sorted(first_coordinates(islice(PointCloudDataset(rows), 24)))


def test_short_and_empty_streams_are_refused(rows):
    with pytest.raises(ValueError, match="`stream` must hold at least 25 clouds, one batch, got 24"):
        PointCloudDataset(rows).check_size(25)
    with pytest.raises(ValueError, match="`stream` must hold at least 1 clouds, one batch, got 0"):
        PointCloudDataset(rows.take(0)).check_size(1)
    with pytest.raises(ValueError, match="at least one cloud for each of 1 readers, got none"):
        next(iter(PointCloudDataset(rows.take(0))))


def test_stream_without_points_is_refused():
    texts = Dataset.from_dict({"text": ["a"]}).to_iterable_dataset()
    with pytest.raises(ValueError, match="`dataset` must have a column `points`"):
        PointCloudDataset(texts).check_size(1)


def test_stream_in_a_mixture_is_refused_by_name(rows):
    with pytest.raises(TypeError, match="must have a length each, got the stream web"):
        MixtureDataset([rows, PointCloudTensors(torch.rand(4, 8, 3))], [1, 1], names=["web", "mine"])
