"""The processes of a run: that as many run as were asked for, their shares of the cores, batch norm over all of them."""

import os
from pathlib import Path
from typing import Any

import psutil  # which accelerate depends on
import torch
from accelerate.commands.config.config_args import default_config_file, load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import get_cpu_distributed_information
from torch import nn
from transformers import TrainingArguments

from jointmae_hf.evaluation.results import num_cores


def requested_processes() -> int | None:
    """Find how many processes the launcher of this one was asked for.

    Returns:
        `int`, *optional*: From `WORLD_SIZE`, which `torchrun` and MPI scripts set, or from the command line and the
        configuration file of `accelerate launch`; `None` where nobody asked for a number.
    """
    if "WORLD_SIZE" in os.environ:
        return int(os.environ["WORLD_SIZE"])
    command = _launch_arguments()
    if command is None:
        return None
    arguments, _ = launch_command_parser().parse_known_args(command)
    if arguments.num_processes is not None:
        return int(arguments.num_processes)
    if arguments.config_file is None and (arguments.cpu or not os.path.isfile(default_config_file)):
        return None
    return int(load_config_from_file(arguments.config_file).num_processes)


def check_num_processes(training: TrainingArguments) -> None:
    """Stop unless as many processes work together as were asked for.

    `accelerate launch --num_processes 2` starts a single process where there are not two GPUs, and the processes of
    `torchrun` on a machine without GPU train one model each unless `--use_cpu` is given; neither says so.

    Args:
        training (`transformers.TrainingArguments`):
            Of the run.

    Raises:
        ValueError: If their numbers differ; the message says what to type.
    """
    requested = requested_processes()
    if requested is None or max(requested, 1) == training.world_size:
        return
    if training.device.type != "cpu":
        advice = "Ask for as many processes as there are GPUs, or launch the script by `torchrun --nproc_per_node`."
    elif "WORLD_SIZE" in os.environ:
        advice = "Without a GPU, processes work together only with the flag `--use_cpu True`."
    else:
        advice = (
            "`accelerate launch` starts one process on CPU, whatever its flags say. "
            f"Type `torchrun --nproc_per_node {requested} <script> --use_cpu True` instead."
        )
    raise ValueError(
        f"The number of processes must be the one asked for, got {training.world_size} in place of {requested}. {advice}"
    )


def share_out_cores() -> None:
    """Let torch use this process's share of the cores of its machine: `accelerate launch` leaves each process one thread."""
    torch.set_num_threads(max(1, num_cores() // get_cpu_distributed_information().local_world_size))


def synchronize_batch_norm(model: nn.Module, training: TrainingArguments) -> nn.Module:
    """Let batch norm take its statistics over the batches of all processes.

    Without it every process normalises by its own share of the batch, so that the number of processes changes the run.

    Args:
        model (`torch.nn.Module`):
            The model; its modules are replaced, its weights and their names are kept.
        training (`transformers.TrainingArguments`):
            Of the run. A single process has nothing to synchronize.

    Returns:
        `torch.nn.Module`: The model with `torch.nn.SyncBatchNorm`.

    Raises:
        ValueError: If several processes run on CPU, where torch has no such layer.
    """
    if training.world_size == 1:
        return model
    if training.device.type == "cpu":
        raise ValueError(
            f"`sync_batch_norm` must be left out on CPU, got {training.world_size} processes there: "
            "`torch.nn.SyncBatchNorm` needs GPUs. Run one process, or accept statistics of each process."
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def _launch_arguments() -> list[str] | None:
    """Arguments of the `accelerate launch` that started this process; `None` if none did, or it cannot be asked."""
    if "ACCELERATE_MIXED_PRECISION" not in os.environ:  # set by each of its launchers
        return None
    try:
        command: list[Any] = psutil.Process(os.getppid()).cmdline()
    except psutil.Error:  # gone, or of another user
        return None
    for position, word in enumerate(command):
        name, rest = Path(word).name, command[position + 1 :]
        if name in ("accelerate-launch", "accelerate.commands.launch"):
            return rest
        if name in ("accelerate", "accelerate.commands.accelerate_cli") and rest[:1] == ["launch"]:
            return rest[1:]
    return None
