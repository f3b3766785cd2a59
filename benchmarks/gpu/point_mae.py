"""Point-MAE's reference model beside ours in the same run: its float32, its bfloat16, our compiled bfloat16, in turns."""

import functools
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.bm_training_step import build, training_step
from benchmarks.clouds import make_clouds
from benchmarks.measurement import measure_in_turns, repeat_calls

from .memory import peak_memory
from .point_mae_source import BATCH_SIZE, NUM_POINTS, load_point_mae
from .sizes import GpuSizes, find_device
from .throughput import compiled_step


def peer_step(model: nn.Module, optimizer: torch.optim.Optimizer, points: Tensor, is_bfloat16: bool) -> None:
    """One step as its runner makes it."""
    with torch.autocast(points.device.type, torch.bfloat16, enabled=is_bfloat16):
        loss = model(points)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def measure(sizes: GpuSizes, source: str | Path) -> dict[str, Any]:
    """Measure at Point-MAE's batch and points, ours at the same batch and at all of its own points.

    Args:
        sizes ([`GpuSizes`]):
            Sizes of the benchmark.
        source (`str` or `pathlib.Path`):
            A checkout of Point-MAE.

    Returns:
        `dict[str, Any]`: `measurements` with its float32 first, `peak_gib`, and the modules that were `replaced`.
    """
    device, batch_size = find_device(), min(BATCH_SIZE, sizes.batch_sizes[-1])
    model, replaced = load_point_mae(source)
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    points = make_clouds(batch_size, NUM_POINTS).to(device)
    own_model, own_optimizer, own_points = build(sizes.step_sizes(batch_size), device)
    compiled = compiled_step(own_model, own_optimizer, own_points, sizes.compile_backend)
    steps = {
        "Point-MAE, float32": functools.partial(peer_step, model, optimizer, points, False),
        "Point-MAE, bfloat16 autocast": functools.partial(peer_step, model, optimizer, points, True),
        "Joint-MAE, eager": functools.partial(training_step, own_model, own_optimizer, own_points),
        "Joint-MAE, compiled": compiled,
    }
    candidates = {name: repeat_calls(step, device, batch_size, sizes.num_calls) for name, step in steps.items()}
    measured = measure_in_turns(candidates, f"clouds/s, batch {batch_size}", sizes.num_rounds)
    return {
        "measurements": [asdict(measurement) for measurement in measured],
        "peak_gib": {name: peak_memory(step) for name, step in steps.items()},
        "replaced": replaced,
    }
