"""SIGTERM and SIGINT as a request to stop; what happens to whole runs is in `tests/reliability/test_signals.py`."""

import os
import signal
import threading

import pytest
from torch.utils.data import DataLoader

from jointmae_hf.training import list_checkpoints
from jointmae_hf.training.resilience.stop_signals import STOP_SIGNALS, StopSignals, outlive_stop_signals


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
        with pytest.raises((RuntimeError, ConnectionError, EOFError)):  # noticed at the signal, or at the next batch
            list(batches)


def signal_after(trainer, method, condition=lambda *arguments: True):
    """Have SIGTERM reach this process after calls of a method that meet a condition."""
    function = getattr(trainer, method)

    def call_and_signal(*arguments, **options):
        result = function(*arguments, **options)
        if condition(*arguments):
            signal.raise_signal(signal.SIGTERM)
        return result

    setattr(trainer, method, call_and_signal)


def test_signal_after_the_last_step_exits_with_its_code(make_trainer, tmp_path):
    trainer = make_trainer(save_strategy="steps", save_steps=1, max_steps=2)
    trainer.stop_on_signals = True
    signal_after(trainer, "log", lambda logs, *_: "train_runtime" in logs)
    with pytest.raises(SystemExit) as caught:
        trainer.train()
    assert caught.value.code == 143
    assert [path.name for path in list_checkpoints(tmp_path / "run")] == ["checkpoint-1", "checkpoint-2"]


@pytest.mark.parametrize("arguments", [{}, {"eval_on_start": True, "save_strategy": "steps", "save_steps": 1}])
def test_signal_in_an_evaluation_exits_with_its_code(make_trainer, tmp_path, arguments):
    trainer = make_trainer(eval_strategy="steps", eval_steps=1, **arguments)
    trainer.stop_on_signals = True
    signal_after(trainer, "prediction_step")
    with pytest.raises(SystemExit) as caught:
        trainer.train()
    assert caught.value.code == 143
    assert list_checkpoints(tmp_path / "run") == [path for path in [tmp_path / "run" / "checkpoint-1"] if arguments]


def test_signals_outside_training_do_what_they_always_do(make_trainer):
    trainer = make_trainer(max_steps=1)
    trainer.stop_on_signals = True
    before = signal.getsignal(signal.SIGTERM)
    trainer.train()
    assert signal.getsignal(signal.SIGTERM) is before
    trainer.stop_signals.received = signal.SIGTERM  # as if one had come too late
    assert "eval_loss" in trainer.evaluate()
