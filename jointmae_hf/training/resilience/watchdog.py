"""A watchdog for data loaders: it ends the wait for a hung worker and names the samples of one that is lost."""

import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, get_worker_info

from .stop_signals import outlive_stop_signals


MAX_NAMED_SAMPLES = 16
LOST_WORKER = ("exited unexpectedly", "killed by signal", "DataLoader timed out")
"""What torch says of a worker that is gone or hangs."""


def allocate_trace(num_workers: int, batch_size: int) -> Tensor:
    """Allocate shared memory: for each worker its process, the number of samples it reads, and their indices."""
    return torch.zeros((max(num_workers, 1), 2 + batch_size), dtype=torch.int64).share_memory_()


class TracingCollator:
    """Collate samples with another collator, and leave a trace of which ones.

    The trace outlives a worker that is killed or hangs. An exception of the other collator gets it as a note.

    Args:
        collate (`Callable`):
            Joins the samples of a batch.
        trace (`torch.LongTensor`):
            From [`allocate_trace`]; loaders that are not used at the same time may share one.
        files (`Sequence[str]`, *optional*):
            Files that the samples are read from.

    Example:
        >>> collator = TracingCollator(len, allocate_trace(num_workers=0, batch_size=2))
        >>> collator([{"index": 5}, {"index": 9}]), collator.describe()
        (2, [])
    """

    def __init__(self, collate: Callable[[Any], Any], trace: Tensor, files: Sequence[str] = ()) -> None:
        self.collate, self.files = collate, tuple(files)
        self._trace = trace

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Collate samples.

        Args:
            samples (`Sequence[Any]`):
                Samples of one batch: dictionaries with an `index`, or an object with `dataset` and `indices` that reads
                them later.

        Returns:
            `Any`: Output of the other collator.
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
        """Describe which samples are being read at this moment.

        Returns:
            `list[str]`: A sentence for each worker that is reading.
        """
        return [self._describe(row) for row in torch.nonzero(self._trace[:, 1]).flatten().tolist()]

    def _describe(self, row: int) -> str:
        """Describe what one worker is reading."""
        process, count, *indices = self._trace[row].tolist()
        numbers = ", ".join(str(index) for index in indices[: min(count, MAX_NAMED_SAMPLES)])
        numbers += f" and {count - MAX_NAMED_SAMPLES} more" if count > MAX_NAMED_SAMPLES else ""
        source = f" of {', '.join(self.files)}" if self.files else ""
        return f"Worker {row} (process {process}) was at samples {numbers}{source}."


class Watchdog:
    """Guard data loaders: a worker that raises, dies or hangs ends the run with an error that names its samples.

    Args:
        num_workers (`int`):
            Workers of each loader.
        batch_size (`int`):
            Maximum number of samples in a batch.
        timeout (`float`):
            Seconds to wait for a batch of the workers; torch would wait forever.
        outlive_signals (`bool`, *optional*, defaults to `False`):
            Whether workers survive a signal to stop for a while, see [`outlive_stop_signals`].
    """

    def __init__(self, num_workers: int, batch_size: int, timeout: float, outlive_signals: bool = False) -> None:
        self.num_workers, self.batch_size = num_workers, batch_size
        self.timeout, self.outlive_signals = timeout, outlive_signals
        self._traces: dict[str, Tensor] = {}
        self._collators: dict[str, TracingCollator] = {}

    def attach(self, loader: DataLoader, kind: str) -> DataLoader:
        """Give a loader a collator that leaves a trace, and with workers a timeout.

        Args:
            loader (`torch.utils.data.DataLoader`):
                Changed in place, before it is iterated.
            kind (`str`):
                Loaders of one kind, such as evaluations, are used one after the other and share a trace. (accelerate
                keeps every loader, so a trace for each would never be freed.)

        Returns:
            `torch.utils.data.DataLoader`: The loader.
        """
        base = getattr(loader, "base_dataloader", loader)  # accelerate wraps it, and reads but does not write through
        if not isinstance(base.collate_fn, TracingCollator):  # the trainer may keep a loader for evaluations
            if kind not in self._traces:
                self._traces[kind] = allocate_trace(self.num_workers, self.batch_size)
            base.collate_fn = TracingCollator(base.collate_fn, self._traces[kind], _files_of(base.dataset))
            base.timeout = self.timeout if base.num_workers else 0.0
            if self.outlive_signals:
                outlive_stop_signals(base)
        self._collators[kind] = base.collate_fn
        return loader

    @contextmanager
    def report_lost_samples(self) -> Iterator[None]:
        """Add a note with the samples to torch's error when a worker is lost within the `with` block."""
        try:
            yield
        except (RuntimeError, ConnectionError, EOFError) as error:
            if (loss := _loss_of_worker(error)) and not hasattr(error, "__notes__"):
                found = [sentence for collator in self._collators.values() for sentence in collator.describe()]
                error.add_note("\n".join([loss, *(found or ["No worker was at any sample, it was between batches."])]))
            raise

    @contextmanager
    def guard(self, loader: DataLoader, kind: str) -> Iterator[DataLoader]:
        """Attach to a loader that is iterated within the `with` block, and report the samples of a lost worker."""
        with self.report_lost_samples():
            yield self.attach(loader, kind)


def _loss_of_worker(error: Exception) -> str | None:
    """Return a sentence about the worker whose loss an error reports, `None` for any other error."""
    if any(text in str(error) for text in LOST_WORKER):
        return "A worker of the data loader was lost."
    # torch reports a broken connection as it is when the process behind it has not quite ended.
    is_connection = isinstance(error, ConnectionError | EOFError)
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)] if is_connection else []
    return "A worker of the data loader exited unexpectedly." if "_try_get_data" in names else None


def _indices_of(samples: Any) -> list[int]:
    """Return positions of the samples in their dataset, without reading them."""
    if hasattr(samples, "indices"):
        first = getattr(samples.dataset, "first_index", 0)  # of a piece of a stream
        return [first + int(index) for index in samples.indices]
    return [int(sample["index"]) for sample in samples if isinstance(sample, dict) and "index" in sample]


def _files_of(dataset: Any) -> tuple[str, ...]:
    """Return the files of a dataset, or of the one that it wraps."""
    while dataset is not None:
        if files := getattr(dataset, "files", ()):
            return tuple(files)
        dataset = getattr(dataset, "dataset", None)
    return ()
