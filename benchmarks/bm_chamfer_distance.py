"""Chamfer distance of whole clouds and of groups, forward and backward, compared with `torch.cdist`.

python -m benchmarks.bm_chamfer_distance
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jointmae_hf.model.point_ops import chamfer_distance

from .clouds import make_clouds
from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark: a few whole clouds, and the groups of 32 clouds with 48 hidden tokens each."""

    num_clouds: int = 4
    num_points: int = 2048
    num_groups: int = 1536
    group_size: int = 32
    num_rounds: int = 7


def chamfer_by_cdist(source: Tensor, target: Tensor) -> Tensor:
    """Compute the Chamfer distance with a gradient through all pairs."""
    distance = torch.cdist(source, target).square()
    return distance.amin(dim=2).mean(dim=1) + distance.amin(dim=1).mean(dim=1)


def step(distance: Callable[[Tensor, Tensor], Tensor], source: Tensor, target: Tensor) -> int:
    """Run forward and backward once; return the number of sets."""
    source = source.clone().requires_grad_()
    distance(source, target).sum().backward()
    return len(source)


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure whole clouds, then groups, each by `torch.cdist` first."""
    clouds = make_clouds(2 * sizes.num_clouds, sizes.num_points)
    generator = torch.Generator().manual_seed(0)
    groups = 0.1 * torch.randn(2 * sizes.num_groups, sizes.group_size, 3, generator=generator)
    measured = []
    for name, sets in (("whole clouds", clouds), ("groups", groups)):
        source, target = sets.chunk(2)
        forms = {"cdist": chamfer_by_cdist, "`chamfer_distance`": chamfer_distance}
        candidates = {
            f"{name}, {form}": lambda function=function, source=source, target=target: step(function, source, target)
            for form, function in forms.items()
        }
        measured += measure_in_turns(candidates, "sets/s", sizes.num_rounds)
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("chamfer_distance", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
