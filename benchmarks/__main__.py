"""Run all benchmarks at their default sizes: `python -m benchmarks`, or `python -m benchmarks gpu` for a GPU."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from .gpu import runner


BENCHMARKS = (
    "bm_farthest_point_sampling",
    "bm_neighbors",
    "bm_chamfer_distance",
    "bm_projection",
    "bm_step_parts",
    "bm_training_step",
    "bm_launches",
    "bm_compilation",
    "bm_classification_latency",
    "bm_data_loading",
    "bm_streaming",
    "bm_readers",
    "bm_shape_search",
    "bm_primitive_shapes",
    "numerics",
)
"""Modules in the order in which they run; imported late, as some need more packages than those for a GPU."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all benchmarks one after the other, or those of `benchmarks.gpu` if the first argument is `gpu`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["gpu"]:
        sys.exit(runner.main(given[1:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--output_dir", default="outputs/benchmarks", help="folder for the JSON files")
    options = parser.parse_args(given)
    for name in BENCHMARKS:
        importlib.import_module(f"benchmarks.{name}").main(["--output_dir", options.output_dir])


if __name__ == "__main__":
    main()
