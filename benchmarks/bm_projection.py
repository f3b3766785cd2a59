"""Depth projection to four views, forward and backward: soft, compiled, and the modes without lateral gradient.

python -m benchmarks.bm_projection
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jointmae_hf.model.depth_projection import render_depth_maps, rotate_views, sample_views

from .clouds import make_clouds
from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    batch_size: int = 8
    num_points: int = 2048
    image_size: int = 224
    num_views: int = 4
    num_rounds: int = 7


def step(render: Callable[..., Tensor], points: Tensor, views: Tensor) -> int:
    """Run forward and backward once; return the number of clouds."""
    points = points.clone().requires_grad_()
    render(points, views).square().mean().backward()
    return len(points)


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, the eager soft projection first."""
    points = make_clouds(sizes.batch_size, sizes.num_points)
    noise = torch.rand(sizes.batch_size, 2, generator=torch.Generator().manual_seed(0))
    views = rotate_views(sample_views(noise, 2.0, 45.0), sizes.num_views)
    camera = {"image_size": sizes.image_size, "focal_length": 1.6, "camera_distance": 2.0}
    modes = {
        mode: functools.partial(render_depth_maps, mode=mode, **camera) for mode in ("soft", "zbuffer", "simpleview")
    }
    renderers = {
        "soft, eager": modes["soft"],
        "soft, compiled": torch.compile(modes["soft"], dynamic=False),
        "zbuffer, eager": modes["zbuffer"],
        "simpleview, eager": modes["simpleview"],
    }
    candidates = {name: lambda render=render: step(render, points, views) for name, render in renderers.items()}
    return measure_in_turns(candidates, "clouds/s", sizes.num_rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("projection", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
