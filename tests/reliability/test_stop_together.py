"""Two processes stop as one: at the same step, by the same signal or error, with one whole checkpoint."""

import re
import signal
import socket
import time
from functools import partial

import pytest
from interrupted_runs import corrupt_loss, signal_within, train_as_rank
from tiny_runs import assert_same, start, state_of, steps_of

from jointmae_hf.training import verify_manifest


RUN = {"max_steps": 4, "eval_strategy": "steps", "eval_steps": 2, "per_device_eval_batch_size": 1}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def train_two(output_dir, changes=(None, None), **arguments):
    """Train as two processes that gloo connects, each with its change; return their exit codes."""
    port, last_moment = free_port(), time.monotonic() + 120
    train = [partial(train_as_rank, change=change, **RUN | {"save_steps": 100} | arguments) for change in changes]
    ranks = [start(function, output_dir, rank, port) for rank, function in enumerate(train)]
    for rank in ranks:
        rank.join(max(0.1, last_moment - time.monotonic()))
    codes = [rank.exitcode for rank in ranks]
    for rank in ranks:
        rank.kill()
    return codes


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("straight") / "run"
    assert train_two(output_dir) == [0, 0]
    return output_dir


@pytest.mark.parametrize(
    ("rank", "number", "code", "method", "count", "step"),
    [
        (1, signal.SIGTERM, 143, "training_step", 3, 3),
        (0, signal.SIGINT, 130, "training_step", 1, 1),
        (1, signal.SIGTERM, 143, "prediction_step", 1, 2),
    ],
)
def test_signal_to_one_process_stops_both_at_a_step_from_which_they_go_on(
    uninterrupted, tmp_path, rank, number, code, method, count, step
):
    changes = [None, None]
    changes[rank] = partial(signal_within, method=method, count=count, number=number)
    assert train_two(tmp_path / "run", changes) == [code, code]
    assert steps_of(tmp_path / "run") == [step]
    verify_manifest(tmp_path / "run" / f"checkpoint-{step}")
    assert train_two(tmp_path / "run", resume=True) == [0, 0]
    assert_same(*(state_of(folder / "checkpoint-4") for folder in (uninterrupted, tmp_path / "run")))


def test_loss_that_is_not_finite_in_one_process_stops_both_and_names_its_samples(tmp_path):
    changes = [None, partial(corrupt_loss, count=3)]
    assert train_two(tmp_path / "run", changes, save_steps=1, eval_strategy="no") == [1, 1]
    assert steps_of(tmp_path / "run") == [1, 2]
    verify_manifest(tmp_path / "run" / "checkpoint-2")
    errors = [(tmp_path / f"error_{rank}").read_text(encoding="utf-8") for rank in (0, 1)]
    assert errors[0] == errors[1]
    batch = (tmp_path / "corrupted").read_text(encoding="utf-8")
    assert re.search(rf"got \d\.\d+, nan with a gradient norm of nan at step 3, samples {batch}\. ", errors[0])
