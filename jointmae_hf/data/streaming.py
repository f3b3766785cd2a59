"""Clouds of a stream, a `datasets.IterableDataset`: for a loader, or in batches."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import datasets
import torch
from datasets.distributed import split_dataset_by_node
from torch.utils.data import get_worker_info

from .collator import PointCloudCollator
from .dataset import PointCloudDataset


# A table becomes a `Dataset` once, which takes as long as to decode some batches.
_BATCHES_PER_TABLE = 8
_CLOUDS_PER_TABLE = 256


def _check_stream(stream: Any) -> None:
    """Raise unless `stream` is one split of streamed data."""
    if not isinstance(stream, datasets.IterableDataset):
        raise TypeError(f"`stream` must be one split, a `datasets.IterableDataset`, got {type(stream).__name__}.")


class PointCloudStream(torch.utils.data.IterableDataset):
    """A stream as an iterable torch dataset of the samples of [`PointCloudDataset`], repeated without end.

    It has no length, so training takes a number of steps (`--max_steps`). `index` counts the clouds, over all passes; a
    shuffled stream is shuffled again in each pass. Workers of a loader share the stream by `split_dataset_by_node`, so the
    order depends on their number. A resumed run reads again what it has trained on: for Parquet files,
    [`ParquetPointClouds`] does not.

    Args:
        stream (`datasets.IterableDataset`):
            From `datasets.load_dataset(..., streaming=True)`, also after `shuffle`, `skip` or `map`.

    Raises:
        TypeError: If `stream` is not a `datasets.IterableDataset`.
        ValueError: While it is read: if it has no clouds, or as from [`PointCloudDataset`].
    """

    def __init__(self, stream: datasets.IterableDataset) -> None:
        _check_stream(stream)
        self.stream = stream
        self.info, self.features = stream.info, stream.features

    def check_size(self, num_clouds: int) -> None:
        """Read the first clouds.

        Args:
            num_clouds (`int`):
                Number of clouds that one pass must have, at least 1.

        Raises:
            ValueError: If it has fewer.
        """
        found = sum(1 for _ in islice(_samples(self.stream.with_format("arrow")), num_clouds))
        if found < num_clouds:
            name = f" in {self.info.dataset_name}" if self.info.dataset_name else ""
            raise ValueError(f"`stream` must hold at least {num_clouds} clouds, one batch, got {found}{name}.")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        first, step, stream = 0, 1, self.stream.with_format("arrow")  # which forgets its epoch
        if worker is not None:
            first, step = worker.id, worker.num_workers
            stream = split_dataset_by_node(stream, rank=worker.id, world_size=worker.num_workers)
        index, epoch = first, 0
        while True:
            stream.set_epoch(epoch)
            before = index
            for sample in _samples(stream):
                yield {**sample, "index": index}
                index += step
            if index == before:
                raise ValueError(f"`stream` must hold at least one cloud for each of {step} readers, got none.")
            epoch += 1


def _samples(stream: datasets.IterableDataset) -> Iterator[dict[str, Any]]:
    """Generate the samples of one pass of a stream of Arrow tables."""
    for clouds in _tables(stream, _CLOUDS_PER_TABLE):
        yield from (clouds[row] for row in range(len(clouds)))


def _tables(stream: datasets.IterableDataset, num_clouds: int) -> Iterator[PointCloudDataset]:
    """Generate pieces of one pass of a stream of Arrow tables, without decoding single numbers in Python."""
    first = 0
    for table in stream.iter(num_clouds):
        # Without a fingerprint of its own, `Dataset` would hash every table.
        clouds = PointCloudDataset(datasets.Dataset(table, fingerprint="streamed"), first_index=first)
        yield clouds
        first += len(clouds)


def stream_batches(
    stream: datasets.IterableDataset, batch_size: int, collator: PointCloudCollator | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """Collate the clouds of a stream in its order.

    `index` counts the clouds of this stream from 0. A shuffled stream gives its clouds another index in every epoch, so
    their random numbers are not those of a `PointCloudDataset`.

    Args:
        stream (`datasets.IterableDataset`):
            From `datasets.load_dataset(..., streaming=True)` on a converted dataset, also after `shuffle` or `skip`.
        batch_size (`int`):
            Clouds of a batch; the last one may have fewer.
        collator (`PointCloudCollator`, *optional*):
            Stacks the clouds. Without it, they must have one size.

    Yields:
        `dict[str, torch.Tensor]`: Output of the collator, with `index`.

    Raises:
        TypeError: If `stream` is not a `datasets.IterableDataset`.
        ValueError: If `batch_size` is not positive, or as from `PointCloudDataset` and `PointCloudCollator`.
    """
    _check_stream(stream)
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    return _stream_batches(stream, batch_size, PointCloudCollator() if collator is None else collator)


def _stream_batches(
    stream: datasets.IterableDataset, batch_size: int, collator: PointCloudCollator
) -> Iterator[dict[str, torch.Tensor]]:
    """Generate the batches; `stream_batches` checks its arguments when it is called, not at the first batch."""
    for clouds in _tables(stream.with_format("arrow"), _BATCHES_PER_TABLE * batch_size):
        for start in range(0, len(clouds), batch_size):
            yield collator(clouds.__getitems__(range(start, min(start + batch_size, len(clouds)))))
