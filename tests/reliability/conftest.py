"""Runs in processes of their own: a tiny model trained by any number of processes, and who is left when they end."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainingArguments


TRAIN = Path(__file__).parent / "programs" / "train.py"
ARGUMENTS = {
    "optim": "sgd",
    "learning_rate": 0.1,
    "lr_scheduler_type": "constant",
    "max_steps": 5,
    "logging_steps": 1,
    "save_strategy": "no",
    "remove_unused_columns": False,
    "label_names": "points",
    "disable_tqdm": True,
    "use_cpu": True,
    "report_to": "none",
}


@pytest.fixture(scope="session")
def torchrun():
    """Build the command that starts a script in some processes which work together."""

    def command(count, script, flags):
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        return [*launch, str(script), *(str(word) for name, value in flags.items() for word in (f"--{name}", value))]

    return command


@pytest.fixture(scope="session")
def program():
    """The program as a module, for runs in this process."""
    specification = importlib.util.spec_from_file_location("reliability_train", TRAIN)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def config_folder(build_tiny_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    build_tiny_config(drop_path_rate=0.0).save_pretrained(folder)
    return folder


@pytest.fixture
def training(program, torchrun, config_folder, tmp_path):
    """Train here (`alone`) or by `torchrun` (`together`, which gives one record for each kind of batch norm)."""

    def alone(batch_norm="eval", **arguments):
        changed = ARGUMENTS | {"output_dir": str(tmp_path / "alone"), "per_device_train_batch_size": 4} | arguments
        changed["label_names"] = [changed["label_names"]]
        return program.train(config_folder, TrainingArguments(**changed), batch_norm)

    def command(count, **arguments):
        places = {"config": config_folder, "record": tmp_path / "record.pt", "output_dir": tmp_path / "together"}
        return torchrun(count, TRAIN, ARGUMENTS | places | {"per_device_train_batch_size": 4 // count} | arguments)

    def together(count, *kinds, **arguments):
        words = [*command(count, **arguments), "--batch_norm", *(kinds or ["eval"])]
        finished = subprocess.run(words, capture_output=True, text=True, timeout=300)
        assert finished.returncode == 0, finished.stderr
        return torch.load(tmp_path / "record.pt")

    return SimpleNamespace(alone=alone, together=together, command=command)
