"""A collator that leaves a trace of the samples each worker is at, for the case that a worker never comes back."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import get_worker_info

from .dataset import PointCloudSamples


_MOST_NAMED = 16


class TracingCollator:
    """Join samples by another collator, and be able to say which ones while it is at it.

    The trace lies in memory that the workers share with the process that made this, so it outlives a worker that is
    killed or hangs. An exception of the other collator gets it as a note.

    Args:
        collate (`Callable`):
            Joins the samples of a batch.
        num_workers (`int`):
            Workers of the loader; 0 if it has none.
        batch_size (`int`):
            Most samples of a batch.
        files (`Sequence[str]`, *optional*):
            What the samples are read from.

    Example:
        >>> collator = TracingCollator(len, num_workers=0, batch_size=2)
        >>> collator([{"index": 5}, {"index": 9}]), collator.describe()
        (2, [])
    """

    def __init__(
        self, collate: Callable[[Any], Any], num_workers: int, batch_size: int, files: Sequence[str] = ()
    ) -> None:
        self.collate, self.files = collate, tuple(files)
        # Of each worker: its process, how many samples it is at, and their indices.
        self._trace = torch.zeros((max(num_workers, 1), 2 + batch_size), dtype=torch.int64).share_memory_()

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Join samples.

        Args:
            samples (`Sequence[Any]`):
                Of one batch.

        Returns:
            `Any`: What the other collator gives.
        """
        worker = get_worker_info()
        row = 0 if worker is None else worker.id
        indices = torch.tensor(_indices_of(samples)[: self._trace.shape[1] - 2], dtype=torch.int64)
        self._trace[row, 2 : 2 + len(indices)] = indices
        self._trace[row, 0], self._trace[row, 1] = os.getpid(), len(indices)
        try:
            return self.collate(samples)
        except Exception as error:
            error.add_note(self._describe(row))
            raise
        finally:
            self._trace[row, 1] = 0

    def describe(self) -> list[str]:
        """Say which samples are being joined at this moment.

        Returns:
            `list[str]`: A sentence for each worker that is at some.
        """
        return [self._describe(row) for row in torch.nonzero(self._trace[:, 1]).flatten().tolist()]

    def _describe(self, row: int) -> str:
        """What one worker is at."""
        process, count, *indices = self._trace[row].tolist()
        numbers = ", ".join(str(index) for index in indices[: min(count, _MOST_NAMED)])
        numbers += f" and {count - _MOST_NAMED} more" if count > _MOST_NAMED else ""
        source = f" of {', '.join(self.files)}" if self.files else ""
        return f"Worker {row} (process {process}) was at samples {numbers}{source}."


def _indices_of(samples: Sequence[Any]) -> list[int]:
    """Positions of the samples in their dataset, without reading them."""
    if isinstance(samples, PointCloudSamples):
        first = getattr(samples.dataset, "first_index", 0)  # clouds in memory are no piece of a stream
        return [first + int(index) for index in samples.indices]
    return [int(sample["index"]) for sample in samples if isinstance(sample, dict) and "index" in sample]
