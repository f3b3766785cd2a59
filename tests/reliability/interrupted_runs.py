"""What child processes do: train, and be hit by a signal at a known moment."""

import os
import subprocess
import time

from tiny_runs import build_trainer


def after(count, action, function):
    """Wrap a function so that its call number `count`, from 1, acts before it returns."""
    calls = iter(range(1, 1_000_000))

    def wrapped(*arguments, **options):
        result = function(*arguments, **options)
        if next(calls) == count:
            action()
        return result

    return wrapped


def train_until_signal(output_dir, number, method, count, is_group, arguments):
    """Send a signal to this process, or to its whole group, within a method of the trainer; write when."""
    os.setsid()
    trainer = build_trainer(output_dir, stop_on_signals=True, **arguments)

    def send():
        (output_dir.parent / "sent").write_text(str(time.time()), encoding="utf-8")
        if is_group:  # by a process that is not the workers' parent: torch lets them end in peace for that one
            subprocess.run(["kill", f"-{number:d}", "--", f"-{os.getpgrp()}"], start_new_session=True, check=True)
            time.sleep(0.5)  # for the end of the workers to arrive
        else:
            os.kill(os.getpid(), number)

    setattr(trainer, method, after(count, send, getattr(trainer, method)))
    trainer.train()


def train_slowly(output_dir, connection):
    """Take a minute for the first step, and tell when it has begun."""
    trainer = build_trainer(output_dir, stop_on_signals=True)

    def training_step(*arguments):
        connection.send("in the step")
        while True:
            time.sleep(0.05)

    trainer.training_step = training_step
    trainer.train()
