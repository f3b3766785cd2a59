"""What child processes do: be killed while they save, or find the disk full."""

import resource

from tiny_runs import build_trainer
from transformers import TrainerCallback


def train_and_tell(output_dir, max_steps, connection):
    """Resume or start, and tell when each save begins and ends."""
    trainer = build_trainer(output_dir, max_steps=max_steps, save_total_limit=2)
    save = trainer._save_checkpoint

    def tell_and_save(*arguments):
        connection.send(("begin", trainer.state.global_step))
        save(*arguments)

    class EndCallback(TrainerCallback):  # after those that write the manifest and rotate
        def on_save(self, args, state, control, **kwargs):
            connection.send(("end", state.global_step))

    trainer._save_checkpoint = tell_and_save
    trainer.add_callback(EndCallback())
    trainer.train(resume_from_checkpoint=True)


def train_on_a_full_disk(output_dir, limit, method, arguments, connection):
    """Train two steps, then let no file grow beyond a size within a method; tell what was raised."""
    trainer = build_trainer(output_dir, max_steps=4, **arguments)
    write = getattr(trainer, method)

    def write_with_limit(*arguments):
        if trainer.state.global_step == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        write(*arguments)

    setattr(trainer, method, write_with_limit)
    try:
        trainer.train()
    except Exception as error:
        connection.send((type(error).__name__, str(error)))
        raise
