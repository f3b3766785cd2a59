"""What child processes do: train, and be hit by a signal at a known moment."""

import os
import subprocess
import time
from pathlib import Path

from tiny_runs import build_trainer

from jointmae_hf.training import NonFiniteError


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


def train_as_rank(output_dir, rank, port, change=None, resume=None, **arguments):
    """Train as one of two processes; `change` is done to its trainer, and an error of numbers is written down."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    trainer = build_trainer(output_dir, stop_on_signals=True, **arguments)
    if change is not None:
        change(trainer)
    try:
        trainer.train(resume_from_checkpoint=resume)
    except NonFiniteError as error:
        (output_dir.parent / f"error_{rank}").write_text(str(error), encoding="utf-8")
        raise


def signal_within(trainer, method, count, number):
    """Have a signal reach this process within a method of the trainer."""
    setattr(trainer, method, after(count, lambda: os.kill(os.getpid(), number), getattr(trainer, method)))


def corrupt_loss(trainer, count):
    """Have the loss of one batch of this process be NaN; write its samples."""
    compute_loss, calls = trainer.compute_loss, iter(range(1, 1_000_000))

    def corrupted(model, inputs, *arguments, **options):
        loss = compute_loss(model, inputs, *arguments, **options)
        if next(calls) != count:
            return loss
        samples = ", ".join(str(sample) for sample in inputs["index"].tolist())
        Path(trainer.args.output_dir).with_name("corrupted").write_text(samples, encoding="utf-8")
        return loss * float("nan")

    trainer.compute_loss = corrupted
