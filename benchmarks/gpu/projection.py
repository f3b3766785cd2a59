"""Soft depth projection to four views, forward only and with gradient, eager or compiled too."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.bm_projection import step
from benchmarks.clouds import make_clouds
from jointmae_hf.model.depth_projection import render_depth_maps, rotate_views, sample_views

from .batches import Record, measure_batch
from .sizes import GpuSizes, find_device


NUM_VIEWS = 4
CAMERA = {"focal_length": 1.6, "camera_distance": 2.0}


def forward(render: Callable[..., Tensor], points: Tensor, views: Tensor) -> Tensor:
    """Render without gradient, like the projection of the input."""
    with torch.no_grad():
        return render(points, views)


def measure(sizes: GpuSizes, record: Record, is_compiled: bool = False) -> None:
    """Measure at the smallest batch, the eager forward pass first."""
    device, batch_size = find_device(), sizes.batch_sizes[0]
    points = make_clouds(batch_size, sizes.num_points).to(device)
    views = rotate_views(sample_views(torch.rand(batch_size, 2, device=device), 2.0, 45.0), NUM_VIEWS)
    eager = functools.partial(render_depth_maps, image_size=sizes.image_size, mode="soft", **CAMERA)
    renderers: dict[str, Callable[..., Tensor]] = {"eager": eager}
    if is_compiled:
        renderers["compiled"] = torch.compile(eager, backend=sizes.compile_backend, dynamic=False)
    passes: dict[str, Callable[..., Any]] = {"forward": forward, "forward and backward": step}
    functions = {
        f"{pass_name}, {name}": functools.partial(run, render, points, views)
        for pass_name, run in passes.items()
        for name, render in renderers.items()
    }
    measure_batch(functions, sizes, batch_size, record)
