"""Train on a real dataset whose second sample makes its worker raise, die, hang or end: `faulty_worker.py FAULT FOLDER`."""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from transformers import TrainingArguments

from jointmae_hf import JointMAEConfig, JointMAEForPreTraining
from jointmae_hf.data import PointCloudCollator, PointCloudDataset, load_point_clouds
from jointmae_hf.training import JointMAETrainer


BAD_SAMPLE = 5


class FaultyDataset(PointCloudDataset):
    """A dataset with a sample that cannot be read."""

    fault = "raises"

    def __getitem__(self, index):
        if index == BAD_SAMPLE:
            {
                "raises": lambda: (_ for _ in ()).throw(OSError("stale file handle")),
                "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
                "hangs": lambda: time.sleep(10**6),
                "exits": lambda: os._exit(3),
                "runs into a bus error": lambda: os.kill(os.getpid(), signal.SIGBUS),
            }[self.fault]()
        return super().__getitem__(index)


def main():
    torch.set_num_threads(1)
    FaultyDataset.fault, config, folder = sys.argv[1], JointMAEConfig.from_pretrained(sys.argv[2]), Path(sys.argv[3])
    sizes = {"num_train": 8, "num_validation": 0, "num_test": 0, "num_points": 80}
    dataset = load_point_clouds("synthetic_shapes", cache_dir=folder / "cache", **sizes)
    training = TrainingArguments(
        str(folder / "run"),
        per_device_train_batch_size=2,
        dataloader_num_workers=2,
        remove_unused_columns=False,
        label_names=["points"],
        use_cpu=True,
        report_to="none",
    )
    trainer = JointMAETrainer(
        model=JointMAEForPreTraining(config),
        args=training,
        train_dataset=FaultyDataset(dataset["train"]),
        data_collator=PointCloudCollator(num_points=64),  # clouds of 80 points are read one by one
        loader_timeout=5.0,
    )
    trainer.train()


if __name__ == "__main__":
    main()
