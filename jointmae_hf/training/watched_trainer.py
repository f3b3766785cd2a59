"""`transformers.Trainer` that stops when a worker of its data loader dies or hangs, and says at which samples."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_utils import EvalLoopOutput

from jointmae_hf.data import TracingCollator


_LOST_WORKER = ("exited unexpectedly", "killed by signal", "DataLoader timed out")


class WatchedTrainer(Trainer):
    """`transformers.Trainer` whose run ends with an error when a worker raises, dies or hangs.

    The error names the worker, the samples it was at and the files they are read from.

    Args:
        loader_timeout (`float`, *optional*, defaults to 300.0):
            Seconds to wait for a batch of the workers. `transformers.TrainingArguments` has no such field, and torch
            would wait for ever.
        kwargs (`dict[str, Any]`, *optional*):
            Arguments of `transformers.Trainer`.
    """

    def __init__(self, *args: Any, loader_timeout: float = 300.0, **kwargs: Any) -> None:
        self.loader_timeout = loader_timeout
        self._collators: dict[str, TracingCollator] = {}
        super().__init__(*args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Batches to train on."""
        return self._watched(super().get_train_dataloader(), "train", self.train_dataset)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Batches of the evaluation set."""
        loader = super().get_eval_dataloader(eval_dataset)
        return self._watched(loader, "eval", self.eval_dataset if eval_dataset is None else eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader:
        """Batches of a set to predict."""
        return self._watched(super().get_test_dataloader(test_dataset), "test", test_dataset)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train; see `transformers.Trainer.train`."""
        with self.report_lost_samples():
            return super().train(*args, **kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Evaluate or predict; see `transformers.Trainer.evaluation_loop`."""
        with self.report_lost_samples():
            return super().evaluation_loop(*args, **kwargs)

    @contextmanager
    def report_lost_samples(self) -> Iterator[None]:
        """Say which samples a worker was at, in the error of torch when it is lost in the `with` block."""
        try:
            yield
        except RuntimeError as error:
            if any(text in str(error) for text in _LOST_WORKER) and not hasattr(error, "__notes__"):
                found = [sentence for collator in self._collators.values() for sentence in collator.describe()]
                error.add_note("\n".join(found or ["No worker was at any sample: it was lost between batches."]))
            raise

    def _watched(self, loader: DataLoader, kind: str, dataset: Any) -> DataLoader:
        """Give a loader a collator that leaves a trace, and with workers an end to its patience."""
        base = getattr(loader, "base_dataloader", loader)  # accelerate wraps it, and reads but does not write through
        if not isinstance(base.collate_fn, TracingCollator):
            most = max(self.args.train_batch_size, self.args.eval_batch_size)
            files, known = tuple(getattr(dataset, "files", ())), self._collators.get(kind)
            # Each evaluation has a loader of its own, and accelerate keeps them all: one trace serves them all.
            if known is None or (known.collate, known.files) != (base.collate_fn, files):
                known = TracingCollator(base.collate_fn, base.num_workers, most, files)
            base.collate_fn = known
            base.timeout = self.loader_timeout if base.num_workers else 0.0
        self._collators[kind] = base.collate_fn
        return loader
