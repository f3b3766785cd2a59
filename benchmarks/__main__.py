"""Run all benchmarks with their default sizes: `python -m benchmarks [--output_dir outputs/benchmarks]`."""

import argparse
from collections.abc import Sequence

from . import (
    bm_chamfer_distance,
    bm_classification_latency,
    bm_data_loading,
    bm_farthest_point_sampling,
    bm_neighbors,
    bm_projection,
    bm_step_parts,
    bm_training_step,
    numerics,
)


BENCHMARKS = (
    bm_farthest_point_sampling,
    bm_neighbors,
    bm_chamfer_distance,
    bm_projection,
    bm_step_parts,
    bm_training_step,
    bm_classification_latency,
    bm_data_loading,
    numerics,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one after the other.

    Args:
        arguments (`Sequence[str]`, *optional*):
            Defaults to the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--output_dir", default="outputs/benchmarks", help="folder of the JSON files")
    options = parser.parse_args(arguments)
    for benchmark in BENCHMARKS:
        benchmark.main(["--output_dir", options.output_dir])


if __name__ == "__main__":
    main()
