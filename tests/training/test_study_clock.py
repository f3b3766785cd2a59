"""Time of a study: what a call may still do, and how many steps a minute has."""

import time
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState

from jointmae_hf.training import Deadline, StopAtDeadline, measure_steps_per_minute


def test_deadline_counts_from_its_start():
    now = [100.0]
    deadline = Deadline(2.0, clock=lambda: now[0])
    assert deadline.has_time_for(120.0)
    now[0] += 30.0
    assert deadline.has_time_for(90.0)
    assert not deadline.has_time_for(90.1)


def test_without_minutes_there_is_no_end():
    assert Deadline().has_time_for(1e9)


@pytest.mark.parametrize(("left", "step", "stops"), [(20.0, 3, False), (10.0, 3, True), (10.0, 5, False)])
def test_training_stops_with_a_checkpoint_while_there_is_time_to_save(left, step, stops):
    callback = StopAtDeadline(Deadline(left / 60.0, clock=lambda: 0.0), seconds_to_save=15.0)
    control = callback.on_step_end(None, TrainerState(global_step=step, max_steps=5), TrainerControl())
    assert (control.should_training_stop, control.should_save) == (stops, stops)


def test_epoch_that_was_broken_off_is_not_evaluated():
    callback, state = StopAtDeadline(Deadline(0.0, clock=lambda: 0.0)), TrainerState(global_step=1, max_steps=5)
    control = TrainerControl(should_evaluate=True, should_save=True)
    assert callback.on_epoch_end(None, state, control).should_evaluate
    callback.on_step_end(None, state, TrainerControl())
    control = callback.on_epoch_end(None, state, control)
    assert (control.should_evaluate, control.should_save) == (False, False)


class SlowTrainer:
    """Ten steps of a tenth of a second on a clock, the first of which takes ten seconds."""

    def __init__(self, now):
        self.now, self.args, self.callbacks = (
            now,
            SimpleNamespace(max_steps=10, device=SimpleNamespace(type="cpu")),
            [],
        )

    def add_callback(self, callback):
        self.callbacks.append(callback)

    def train(self):
        for step in range(1, 11):
            self.now[0] += 10.0 if step == 1 else 0.1
            for callback in self.callbacks:
                callback.on_step_end(self.args, TrainerState(global_step=step, max_steps=10), TrainerControl())


def test_first_steps_do_not_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert measure_steps_per_minute(SlowTrainer(now), num_first=2) == pytest.approx(600.0)


@pytest.mark.parametrize("num_first", [0, 10])
def test_measurement_without_a_counted_step_is_refused(num_first):
    with pytest.raises(ValueError, match=r"`num_first` must be in \[1, 10\)"):
        measure_steps_per_minute(SlowTrainer([0.0]), num_first)
