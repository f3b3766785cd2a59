"""The reference model of Point-MAE and ours in turns: its float32 and bfloat16, our bfloat16."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.bm_training_step import build, training_step
from benchmarks.clouds import make_clouds

from .batches import Record, measure_batch
from .memory import peak_memory
from .point_mae_source import BATCH_SIZE, NUM_POINTS, load_point_mae
from .sizes import GpuSizes, find_device
from .throughput import compile_step


def peer_step(model: nn.Module, optimizer: torch.optim.Optimizer, points: Tensor, is_bfloat16: bool) -> None:
    """Run one step as the runner of Point-MAE does."""
    with torch.autocast(points.device.type, torch.bfloat16, enabled=is_bfloat16):
        loss = model(points)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def measure(sizes: GpuSizes, record: Record, source: str | Path, is_compiled: bool = False) -> None:
    """Measure at Point-MAE's batch and points, ours at the same batch and our own number of points."""
    device, batch_size = find_device(), min(BATCH_SIZE, sizes.batch_sizes[-1])
    model, replaced = load_point_mae(source)
    record("replaced", replaced)
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    points = make_clouds(batch_size, NUM_POINTS).to(device)
    own_model, own_optimizer, own_points = build(sizes.step_sizes(batch_size), device)
    steps: dict[str, Callable[[], Any]] = {
        "Point-MAE, float32": functools.partial(peer_step, model, optimizer, points, False),
        "Point-MAE, bfloat16 autocast": functools.partial(peer_step, model, optimizer, points, True),
        "Joint-MAE, eager": functools.partial(training_step, own_model, own_optimizer, own_points),
    }
    if is_compiled:
        compiled = compile_step(own_model, own_optimizer, own_points, sizes.compile_backend, record)
        steps["Joint-MAE, compiled"] = compiled
    measure_batch(steps, sizes, batch_size, record, num_calls=sizes.num_step_calls)
    record("peak_gib", {name: peak_memory(step) for name, step in steps.items()})
