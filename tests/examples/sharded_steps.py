"""Three steps of a tiny model in float64, sharded by FSDP2 over the processes of `torchrun` or in a single one.

python -m torch.distributed.run --nproc_per_node 2 sharded_steps.py CONFIG_FOLDER CLASSES RECORD
"""

import os
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from jointmae_hf import JointMAEConfig, JointMAEForPreTraining
from jointmae_hf.training import pretraining_noise


BATCH_SIZE = 4


def shard(model, classes):
    """Shard as accelerate does: each module of the named classes from the innermost, then the rest."""
    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    for module in reversed(list(model.modules())):
        if type(module).__name__ in classes:
            fully_shard(module, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def train(config, classes, rank, num_processes):
    """Return the loss of each step over the whole batch, and the weights after the last one."""
    torch.manual_seed(0)
    model = JointMAEForPreTraining(config).double().eval()  # batch norm with fixed statistics
    model = shard(model, classes) if num_processes > 1 else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    points = torch.randn(BATCH_SIZE, config.num_points, 3, generator=torch.Generator().manual_seed(0)).double()
    rows = torch.arange(BATCH_SIZE).chunk(num_processes)[rank]
    losses = []
    for step in range(3):
        noise = {name: value.double() for name, value in pretraining_noise(config, 0, step, rows).items()}
        loss = model(points[rows], **noise).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.detach().clone())
    losses = torch.stack(losses)
    if num_processes > 1:
        distributed.all_reduce(losses)
    state = model.state_dict()
    weights = {name: value.full_tensor() if hasattr(value, "full_tensor") else value for name, value in state.items()}
    return losses / num_processes, weights


def main(config_folder, classes, record):
    """Train, and write the record in the main process."""
    torch.set_num_threads(1)
    num_processes, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if num_processes > 1:
        distributed.init_process_group("gloo")
    losses, weights = train(JointMAEConfig.from_pretrained(config_folder), classes.split(","), rank, num_processes)
    if rank == 0:
        torch.save({"losses": losses, "weights": weights}, Path(record))
    if num_processes > 1:
        distributed.barrier()
        distributed.destroy_process_group()
        os._exit(0)  # threads of gloo that outlive the group abort the interpreter's own end once in a while


if __name__ == "__main__":
    main(*sys.argv[1:])
