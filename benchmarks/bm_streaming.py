"""Read more clouds than memory holds: `ParquetPointClouds` and a stream of `datasets`, from Parquet files as they are.

    python -m benchmarks.bm_streaming

One file of random clouds is written; the others are links to it, so the disk holds one and its pages stay in the cache.
Each reader reads an epoch in a new process, which reports the time to its first batch, its rate and its anonymous memory,
which no file backs: that of the process before, and the most. Linux only. Takes 6 minutes for 10^6 clouds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet as pq
from torch.utils.data import DataLoader

from jointmae_hf.data import (
    ParquetPointClouds,
    PointCloudCollator,
    PointCloudDataset,
    point_cloud_features,
    point_cloud_table,
)

from .measurement import Measurement, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    num_clouds: int = 1_000_000
    num_points: int = 2048
    clouds_per_file: int = 20_000
    clouds_per_row_group: int = 200
    batch_size: int = 64


READ = "import json, sys; from benchmarks.bm_streaming import print_epoch as p; p(*json.loads(sys.argv[1]))"


def write_files(folder: Path, sizes: Sizes) -> None:
    """Write one Parquet file, and link the others to it."""
    features, generator = point_cloud_features(sizes.num_points), np.random.default_rng(0)
    first = folder / "train-00000.parquet"
    with pq.ParquetWriter(first, features.arrow_schema, compression="zstd") as writer:
        for start in range(0, sizes.clouds_per_file, sizes.clouds_per_row_group):
            count = min(sizes.clouds_per_row_group, sizes.clouds_per_file - start)
            points = generator.standard_normal((count, sizes.num_points, 3), np.float32)
            ids = [str(start + number) for number in range(count)]
            writer.write_table(point_cloud_table(features, list(points), ids))
    for number in range(1, max(1, sizes.num_clouds // sizes.clouds_per_file)):
        os.link(first, folder / f"train-{number:05d}.parquet")


def read_by_row_groups(folder: str, batch_size: int) -> Iterator[Any]:
    """Yield the batches of an epoch of `ParquetPointClouds`."""
    clouds = ParquetPointClouds.from_repository(folder, batch_size=batch_size)["train"]
    return iter(DataLoader(clouds, batch_size, collate_fn=PointCloudCollator()))


def read_as_stream(folder: str, batch_size: int) -> Iterator[Any]:
    """Yield the batches of a pass over a shuffled stream of `datasets`."""
    stream = datasets.load_dataset(folder, split="train", streaming=True).shuffle(seed=0, buffer_size=1024)
    return iter(DataLoader(PointCloudDataset(stream), batch_size, collate_fn=PointCloudCollator()))


READERS: dict[str, Callable[[str, int], Iterator[Any]]] = {
    "ParquetPointClouds": read_by_row_groups,
    "datasets stream": read_as_stream,
}


def anonymous_memory() -> float:
    """Return the anonymous memory of this process in MB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:"))


def print_epoch(name: str, folder: str, num_clouds: int, batch_size: int) -> None:
    """Read clouds; print seconds to the first batch, clouds per second of processor time, and memory, as JSON."""
    before, start = anonymous_memory(), time.perf_counter()
    batches = READERS[name](folder, batch_size)
    next(batches)
    first, used, memory = time.perf_counter() - start, time.process_time(), []
    for number in range(num_clouds // batch_size - 1):
        next(batches)
        if number % 10 == 0:
            memory.append(anonymous_memory())
    rate = (num_clouds // batch_size - 1) * batch_size / (time.process_time() - used)
    half = memory[: max(1, len(memory) // 2)]
    print(json.dumps({"first": first, "rate": rate, "before": before, "half": max(half), "most": max(memory)}))


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all readers."""
    measurements: list[Measurement] = []
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), sizes)
        for name in READERS:
            arguments = json.dumps([name, folder, sizes.num_clouds, sizes.batch_size])
            command = [sys.executable, "-c", READ, arguments]
            run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(run.stdout.splitlines()[-1])
            print(
                f"{name}: first batch after {found['first']:.1f} s, anonymous memory {found['before']:.0f} MB before, at most "
                f"{found['half']:.0f} MB in the first half and {found['most']:.0f} MB in all"
            )
            reference = measurements[0].rates[0] if measurements else found["rate"]
            measurements.append(Measurement(name, "clouds/s of CPU", [found["rate"]], [found["rate"] / reference]))
    return measurements


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("streaming", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
