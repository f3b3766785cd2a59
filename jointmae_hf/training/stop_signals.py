"""SIGTERM and SIGINT as a request to stop after the step under way."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from torch.utils.data import DataLoader


STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
REPEAT_SECONDS = 2.0
"""A launcher passes on what its processes have received themselves; what comes so soon is the same request."""

WORKER_SECONDS = 30
"""How long a data worker outlives SIGTERM, so that the step under way gets its batch."""


class StopSignals:
    """Notes the first SIGTERM or SIGINT within a `with` block; a later one ends the process at once.

    `received` is the number of the signal, 0 while there is none. Only the main thread can install handlers; in another
    one nothing is noted.
    """

    def __init__(self) -> None:
        self.received, self._time, self._process = 0, 0.0, os.getpid()
        self._earlier: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._earlier = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal; data workers inherit this and let the main process decide."""
        if os.getpid() != self._process:
            return
        name = signal.Signals(number).name
        if not self.received:
            self.received, self._time = number, time.monotonic()
            # Not `print` or a logger: the main thread may hold their locks.
            os.write(2, f"\n{name}: the run stops after this step. Once more ends it at once.\n".encode())
        elif time.monotonic() - self._time > REPEAT_SECONDS:
            os._exit(128 + number)


def outlive_stop_signals(loader: DataLoader) -> DataLoader:
    """Let the workers of a loader live on for a while when a signal reaches them too.

    `kill -- -<group>`, Ctrl-C and batch systems address all processes of a job; a worker that dies takes the step with
    it.

    Args:
        loader (`torch.utils.data.DataLoader`):
            Changed in place.

    Returns:
        `torch.utils.data.DataLoader`: The loader.
    """
    base = getattr(loader, "base_dataloader", loader)  # accelerate wraps it, and reads but does not write through
    if not isinstance(base.worker_init_fn, _PatientWorker):  # the trainer may keep a loader for evaluations
        base.worker_init_fn = _PatientWorker(base.worker_init_fn)
    return loader


class _PatientWorker:
    """`worker_init_fn` that puts off the end of its worker, after what an earlier one does."""

    def __init__(self, earlier: Callable[[int], None] | None) -> None:
        self.earlier = earlier

    def __call__(self, worker_id: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(WORKER_SECONDS))  # SIGALRM ends it
        if self.earlier is not None:
            self.earlier(worker_id)
