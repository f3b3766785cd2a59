"""The processes of a run: checking their number, sharing cores and memory, types of weights, synchronized batch norm."""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate.utils import get_cpu_distributed_information
from torch import nn
from transformers import TrainingArguments, set_seed

from jointmae_hf.data.writable_folder import check_writable_folder
from jointmae_hf.evaluation.results import num_cores


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of mallopt(3)


def check_num_processes(training: TrainingArguments) -> None:
    """Raise `ValueError` if fewer processes work together than the launcher was asked for.

    Without a GPU, `accelerate launch --num_processes 2` silently starts one process, and the processes of `torchrun` each
    train their own model unless `--use_cpu True` is passed.
    """
    if "WORLD_SIZE" in os.environ:  # torchrun and scripts of MPI
        requested = os.environ["WORLD_SIZE"]
        if max(int(requested), 1) == training.world_size:
            return
        advice = "Ask for as many processes as there are GPUs."
        if training.device.type == "cpu":
            advice = "Without a GPU, processes work together only with the flag `--use_cpu True`."
    elif training.world_size == 1 and _is_asked_for_several():
        requested = "several"
        advice = "`accelerate launch` starts several processes only if there are as many GPUs. "
        if training.device.type == "cpu":
            advice += "Run `torchrun --nproc_per_node <number> <script> --use_cpu True` instead."
        else:
            advice += "Ask for one process, or run `torchrun --nproc_per_node <number> <script>`."
        advice += " If you asked for one process, unset MASTER_ADDR."
    else:
        return
    raise ValueError(
        f"The number of processes must be the requested one, got {training.world_size} instead of {requested}. {advice}"
    )


def _is_asked_for_several() -> bool:
    """Return whether `accelerate launch` was asked for more than one process: only then it sets a master address."""
    return {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def share_out_cores() -> None:
    """Set torch's number of threads to this process's share of the cores; `accelerate launch` sets it to one."""
    torch.set_num_threads(max(1, num_cores() // get_cpu_distributed_information().local_world_size))


def disable_malloc_trim() -> bool:
    """Let glibc's allocator keep freed memory instead of returning it to the system.

    By default glibc maps and unmaps every large tensor, so that a training step on CPU touches each page of its tensors
    for the first time again and again: up to a third of its time (`docs/performance.md`). The process keeps its peak
    memory until it ends. On CUDA, PyTorch's own allocator does the same.

    Returns:
        `bool`: Whether the setting was applied; systems other than Linux with glibc do not need it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return mallopt(_MMAP_MAX, 0) == 1 and mallopt(_TRIM_THRESHOLD, -1) == 1


def synchronize_batch_norm(model: nn.Module, training: TrainingArguments) -> nn.Module:
    """Return the model with `torch.nn.SyncBatchNorm`, whose statistics are those of the batches of all processes.

    By default each process normalizes by its own share of the batch, so that the number of processes changes the run.
    Torch has no such layer on CPU: several processes there are refused. A single process has nothing to synchronize.
    """
    if training.world_size == 1:
        return model
    if training.device.type == "cpu":
        raise ValueError(
            f"`sync_batch_norm` must be False on CPU, got True with {training.world_size} processes: "
            "`torch.nn.SyncBatchNorm` needs GPUs. Run one process, or accept statistics per process."
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


@contextmanager
def keep_dtype(model: nn.Module) -> Iterator[None]:
    """Restore the weights of a model that are cast in the `with` block, as `bf16_full_eval` does, to those from before."""
    kept = {name: tensor.data for name, tensor in _named_tensors(model)}
    try:
        yield
    finally:
        for name, tensor in _named_tensors(model):
            if tensor.dtype != kept[name].dtype:
                tensor.data = kept[name].to(tensor.device)


def _named_tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return parameters and buffers."""
    return [*model.named_parameters(), *model.named_buffers()]


def set_up_process(training: TrainingArguments) -> None:
    """Check the processes and the output folder, name the run, and seed all random generators.

    A run is named after its folder, because trackers take a resumed run without a name for a new one. On CPU, the
    processes of a machine share its cores, memory is not pinned, and freed memory is kept, see [`disable_malloc_trim`].

    Args:
        training (`transformers.TrainingArguments`):
            Arguments of the run.

    Raises:
        ValueError: If fewer processes were started than requested, or `output_dir` is not writable.
    """
    check_num_processes(training)
    if training.should_save:
        check_writable_folder("output_dir", str(training.output_dir), "Pass another by --output_dir.")
    if training.run_name is None:
        training.run_name = Path(str(training.output_dir)).name
    if training.device.type == "cpu":
        share_out_cores()
        training.dataloader_pin_memory = False
        disable_malloc_trim()
    set_seed(training.seed)
