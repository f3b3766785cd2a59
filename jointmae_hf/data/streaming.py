"""Batches of a dataset that is streamed from Parquet, without decoding single numbers in Python."""

from collections.abc import Iterator

import datasets
import torch

from .collator import PointCloudCollator
from .dataset import PointCloudDataset


# A table becomes a `Dataset` once, which takes as long as to decode some batches.
_BATCHES_PER_TABLE = 8


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
    if not isinstance(stream, datasets.IterableDataset):
        raise TypeError(f"`stream` must be one split, a `datasets.IterableDataset`, got {type(stream).__name__}.")
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}.")
    return _stream_batches(stream, batch_size, PointCloudCollator() if collator is None else collator)


def _stream_batches(
    stream: datasets.IterableDataset, batch_size: int, collator: PointCloudCollator
) -> Iterator[dict[str, torch.Tensor]]:
    """Generate the batches; `stream_batches` checks its arguments when it is called, not at the first batch."""
    first = 0
    for table in stream.with_format("arrow").iter(_BATCHES_PER_TABLE * batch_size):
        # Without a fingerprint of its own, `Dataset` would hash every table.
        clouds = PointCloudDataset(datasets.Dataset(table, fingerprint="streamed"), first_index=first)
        for start in range(0, len(clouds), batch_size):
            yield collator(clouds.__getitems__(range(start, min(start + batch_size, len(clouds)))))
        first += len(clouds)
