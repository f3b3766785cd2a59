import numpy as np
import pytest
import torch
from datasets import load_dataset

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, stream_batches, streaming
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
