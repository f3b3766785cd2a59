"""Samples per second from Arrow and Parquet through the collator, compared with memory-mapped numpy batches.

    python -m benchmarks.bm_data_loading

All candidates return the same batches: points, labels and index of clouds in random order, in one process. The files
are in the page cache. The stream is read in file order, without shuffling.
"""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch.utils.data import DataLoader

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, load_point_clouds, stream_batches
from jointmae_hf.data.conversion import convert_to_parquet

from .measurement import Measurement, measure_in_turns, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    num_clouds: int = 4096
    num_points: int = 2048
    batch_size: int = 64
    num_rounds: int = 7


class MemoryMappedClouds(torch.utils.data.Dataset):
    """Reference: rows of one memory-mapped array, gathered by numpy."""

    def __init__(self, path: Path, labels: np.ndarray) -> None:
        self.points, self.labels = np.load(path, mmap_mode="r"), labels

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        """Return one batch."""
        index = np.asarray(indices)
        return {"points": self.points[index], "index": index, "labels": self.labels[index]}


def to_tensors(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Convert a batch of arrays to tensors."""
    return {name: torch.from_numpy(values) for name, values in batch.items()}


def consume(batches: Iterable[dict[str, Any]]) -> int:
    """Iterate over all batches; return the number of samples."""
    return sum(len(batch["points"]) for batch in batches)


def write_datasets(folder: Path, sizes: Sizes) -> tuple[datasets.Dataset, Path, MemoryMappedClouds]:
    """Write the same clouds as Arrow, Parquet and numpy."""
    options = {"num_train": sizes.num_clouds, "num_validation": 0, "num_test": 0, "num_points": sizes.num_points}
    arrow = load_point_clouds("synthetic_shapes", split="train", cache_dir=folder / "cache", **options)
    parquet = convert_to_parquet("synthetic_shapes", folder / "parquet", cache_dir=folder / "cache", **options)
    labels = np.array(arrow["label"][:], dtype=np.int64)
    points = np.lib.format.open_memmap(
        folder / "points.npy", "w+", np.float32, (sizes.num_clouds, sizes.num_points, 3)
    )
    samples = PointCloudDataset(arrow)
    for row in range(len(samples)):
        points[row] = samples[row]["points"]
    points.flush()
    return arrow.select_columns(["points", "label"]), parquet, MemoryMappedClouds(folder / "points.npy", labels)


def run(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, the memory map first."""
    order = np.random.default_rng(0).permutation(sizes.num_clouds).tolist()

    def loader(dataset: torch.utils.data.Dataset, collate: Callable[[Any], dict[str, torch.Tensor]]) -> Any:
        return DataLoader(dataset, sizes.batch_size, sampler=order, collate_fn=collate)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        arrow, parquet, reference = write_datasets(folder, sizes)
        # The other candidates read only points and labels too.
        columns = {"split": "train", "columns": ["points", "label"]}
        cached = datasets.load_dataset(str(parquet), cache_dir=str(folder / "hub"), **columns)
        stream = datasets.load_dataset(str(parquet), streaming=True, **columns)
        arrow_clouds, parquet_clouds = PointCloudDataset(arrow), PointCloudDataset(cached)
        candidates = {
            "numpy memory map, batched": lambda: consume(loader(reference, to_tensors)),
            "Arrow, `load_point_clouds`": lambda: consume(loader(arrow_clouds, PointCloudCollator())),
            "Parquet, `load_dataset`": lambda: consume(loader(parquet_clouds, PointCloudCollator())),
            "Parquet, `stream_batches`": lambda: consume(stream_batches(stream, sizes.batch_size)),
        }
        return measure_in_turns(candidates, "samples/s", sizes.num_rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    datasets.disable_progress_bars()
    run_benchmark("data_loading", Sizes(), run, __doc__, arguments)


if __name__ == "__main__":
    main()
