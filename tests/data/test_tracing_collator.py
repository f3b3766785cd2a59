"""The trace of a collator: what it tells during, after and between batches."""

import pytest
import torch

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, PointCloudTensors, TracingCollator


def samples(*indices):
    return [{"index": index} for index in indices]


def test_watched_collator_gives_what_the_other_gives(shapes):
    batch = PointCloudDataset(shapes["train"]).__getitems__([3, 1])
    watched, plain = TracingCollator(PointCloudCollator(), 0, 2)(batch), PointCloudCollator()(batch)
    assert watched.keys() == plain.keys()
    assert all(torch.equal(watched[name], plain[name]) for name in plain)


def test_trace_tells_the_samples_during_a_batch_alone():
    seen = []
    collator = TracingCollator(lambda batch: seen.append(collator.describe()), 0, 3, ["train.arrow"])
    collator(samples(5, 9))
    assert len(seen[0]) == 1
    assert seen[0][0].endswith("was at samples 5, 9 of train.arrow.")
    assert collator.describe() == []


def test_trace_tells_the_samples_of_a_batch_that_is_not_read_yet(shapes):
    dataset = PointCloudDataset(shapes["train"], first_index=100)
    dataset._points = None  # to read a sample would raise another error
    with pytest.raises(TypeError) as caught:
        TracingCollator(PointCloudCollator(), 0, 2, dataset.files)(dataset.__getitems__([3, 1]))
    assert f"was at samples 103, 101 of {dataset.files[0]}." in caught.value.__notes__[0]


def test_trace_tells_the_samples_of_clouds_in_memory():
    collator = TracingCollator(lambda batch: collator.describe(), 0, 2)
    clouds = PointCloudTensors(torch.rand(9, 4, 3))
    assert collator(clouds.__getitems__([8, 2]))[0].endswith("was at samples 8, 2.")


def test_trace_names_the_first_samples_of_a_large_batch():
    collator = TracingCollator(lambda batch: collator.describe(), 0, 100)
    sentence = collator(samples(*range(20)))[0]
    assert sentence.endswith("was at samples 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 and 4 more.")


def test_trace_takes_batches_that_are_larger_than_announced():
    collator = TracingCollator(lambda batch: collator.describe(), 0, 2)
    assert collator(samples(7, 8, 9))[0].endswith("was at samples 7, 8.")


def test_dataset_tells_its_files(shapes):
    files = PointCloudDataset(shapes["train"]).files
    assert [name.rpartition(".")[2] for name in files] == ["arrow"]
