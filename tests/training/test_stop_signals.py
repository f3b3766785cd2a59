"""SIGTERM and SIGINT as a request to stop; what happens to whole runs is in `tests/reliability/test_signals.py`."""

import os
import signal
import threading

import pytest
from torch.utils.data import DataLoader

from jointmae_hf.training.stop_signals import STOP_SIGNALS, StopSignals, outlive_stop_signals


def test_signal_is_noted_and_handlers_are_put_back(capfd):
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with StopSignals() as signals:
        assert signals.received == 0
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    assert "SIGTERM: the run stops after this step." in capfd.readouterr().err


def test_prompt_repeat_changes_nothing():
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGINT


def test_thread_that_cannot_install_handlers_trains_without():
    received = []

    def enter():
        with StopSignals() as signals:
            received.append(signals.received)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert received == [0]


def test_workers_run_what_they_ran_before():
    numbers = []
    loader = outlive_stop_signals(DataLoader([1], worker_init_fn=numbers.append))
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    try:
        loader.worker_init_fn(3)
    finally:
        for number, handler in zip(STOP_SIGNALS, before, strict=True):
            signal.signal(number, handler)
    assert numbers == [3]


def test_workers_are_made_patient_once():
    loader = outlive_stop_signals(DataLoader([1]))
    first = loader.worker_init_fn
    assert outlive_stop_signals(loader).worker_init_fn is first


@pytest.mark.parametrize("is_patient", [True, False])
def test_spawned_worker_outlives_a_signal_when_made_patient(is_patient):
    """Forked workers inherit the handler of the process; spawned ones, as on macOS, do not."""
    loader = DataLoader(list(range(8)), num_workers=1, multiprocessing_context="spawn", prefetch_factor=1)
    batches = iter(outlive_stop_signals(loader) if is_patient else loader)
    next(batches)
    os.kill(batches._workers[0].pid, signal.SIGTERM)
    if is_patient:
        assert len(list(batches)) == 7
    else:
        with pytest.raises((RuntimeError, ConnectionError)):  # noticed at the signal, or at the next batch
            list(batches)
