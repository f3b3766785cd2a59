"""Precision of point operations compared with float64: effects of autocast, TF32 and bfloat16 coordinates.

    python -m benchmarks.numerics

Indices: share equal to float64. Values: maximum error relative to the maximum value. TF32 exists only on CUDA;
elsewhere its column is omitted. Results of bfloat16 coordinates are compared with float64 of the original coordinates.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from jointmae_hf.evaluation import collect_run_facts
from jointmae_hf.evaluation.results import write_json
from jointmae_hf.model.depth_projection import render_depth_maps, rotate_views, sample_views
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import (
    bounding_sphere,
    chamfer_distance,
    gather_points,
    interpolate_features,
    k_nearest_neighbors,
)

from .bm_neighbors import by_cdist, by_expanded_form
from .clouds import make_clouds


@contextmanager
def tf32() -> Iterator[None]:
    """Allow TF32 for matrix products."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def operations(num_samples: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return each point operation as a function of clouds; the first `num_samples` points serve as centers."""

    def first(points: Tensor) -> Tensor:
        return points[:, :num_samples]

    def project(points: Tensor) -> Tensor:
        noise = torch.rand(len(points), 2, generator=torch.Generator().manual_seed(0)).to(points.device)
        views = rotate_views(sample_views(noise, 2.0, 45.0), 4)
        return render_depth_maps(points, views.to(points.dtype), 224, 1.6, 2.0)

    def carry(points: Tensor) -> Tensor:
        return interpolate_features(points, first(points), torch.sin(20 * first(points)))

    return {
        "`farthest_point_sample`": lambda points: farthest_point_sample(points, num_samples),
        "`k_nearest_neighbors`": lambda points: k_nearest_neighbors(first(points), points, 16),
        "neighbors by cdist": lambda points: by_cdist(first(points), points, 16),
        "neighbors by the expanded form": lambda points: by_expanded_form(first(points), points, 16),
        "`chamfer_distance`": lambda points: chamfer_distance(points, points.roll(1, dims=0)),
        "`render_depth_maps`": project,
        "`interpolate_features`": carry,
        "`bounding_sphere`": lambda points: torch.cat([part.flatten(1) for part in bounding_sphere(points)], dim=1),
        "`gather_points`": lambda points: gather_points(
            points, torch.arange(num_samples).expand(len(points), -1).to(points.device)
        ),
    }


def agreement(result: Tensor, expected: Tensor) -> float:
    """Return the share of equal indices (neighbors as sets), or the maximum error relative to the maximum value."""
    if expected.is_floating_point():
        return float((result.double() - expected).abs().max() / expected.abs().max())
    if expected.ndim == 3:
        return float((result[..., None] == expected[..., None, :]).any(dim=-1).double().mean())
    return float((result == expected).double().mean())


def measure(num_clouds: int, num_points: int, num_samples: int) -> dict[str, dict[str, float]]:
    """Compare every operation in every precision with float64, see [`agreement`]."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    points = make_clouds(num_clouds, num_points).to(device)
    table: dict[str, dict[str, float]] = {}
    for name, operation in operations(num_samples).items():
        expected = operation(points.double())
        row = {"float32": agreement(operation(points), expected)}
        with torch.autocast(device.type, torch.bfloat16):
            row["bfloat16 autocast"] = agreement(operation(points), expected)
        if device.type == "cuda":
            with tf32():
                row["TF32"] = agreement(operation(points), expected)
        row["bfloat16 coordinates"] = agreement(operation(points.bfloat16()), expected)
        table[name] = row
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num_clouds", type=int, default=8)
    parser.add_argument("--num_points", type=int, default=2048)
    parser.add_argument("--num_samples", type=int, default=256)
    parser.add_argument("--output_dir", default="outputs/benchmarks", help="folder for the JSON file")
    options = vars(parser.parse_args(arguments))
    output_dir = Path(options.pop("output_dir"))
    table = measure(**options)
    columns = list(next(iter(table.values())))
    print("| compared with float64 | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for name, row in table.items():
        print(f"| {name} | " + " | ".join(f"{value:.4g}" for value in row.values()) + " |")
    output_dir.mkdir(parents=True, exist_ok=True)
    content = {"subject": "numerics", "settings": options, "table": table, "run": collect_run_facts()}
    write_json(output_dir / "numerics.json", content)


if __name__ == "__main__":
    main()
