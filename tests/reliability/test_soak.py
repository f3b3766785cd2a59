"""Two thousand steps: memory, open files and folders do not grow."""

import os
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import build_trainer
from transformers import TrainerCallback


MAX_STEPS, WARM_UP, LIMIT = 2000, 500, 2


class Watch(TrainerCallback):
    """Reads memory, open files and folders of this process each twenty steps."""

    def __init__(self, output_dir):
        self.output_dir, self.rows = output_dir, []

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step % 20 == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            handles, folders = len(os.listdir("/proc/self/fd")), len(list(self.output_dir.glob("*")))
            self.rows.append((state.global_step, pages * os.sysconf("SC_PAGE_SIZE") / 2**20, handles, folders))


def test_evaluations_leave_no_open_file(tmp_path):
    trainer = build_trainer(tmp_path / "run", max_steps=40, save_steps=40, eval_strategy="steps", eval_steps=4)
    watch = Watch(tmp_path / "run")
    trainer.add_callback(watch)
    trainer.train()
    (_, _, early, _), (_, _, late, _) = watch.rows
    assert early == late


@pytest.mark.slow
def test_two_thousand_steps_leave_no_trace(tmp_path, record_property):
    output_dir = tmp_path / "run"
    options = {"save_steps": 100, "save_total_limit": LIMIT, "logging_steps": 50, "eval_strategy": "steps"}
    trainer = build_trainer(output_dir, max_steps=MAX_STEPS, eval_steps=200, **options)
    watch = Watch(output_dir)
    trainer.add_callback(watch)
    trainer.train()
    steps, memory, handles, folders = np.array([row for row in watch.rows if row[0] >= WARM_UP]).T
    slope = 1000 * np.polyfit(steps, memory, 1)[0]
    record_property("MiB per 1,000 steps, handles, folders", [slope, handles.max(), folders.max()])
    assert slope < 1
    assert handles.min() == handles.max()
    assert folders.max() <= LIMIT + 1
