"""The `sample_shapes` dataset: about a thousand real objects that come with the package, in the public domain."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from datasets.fingerprint import Hasher

from jointmae_hf.data.argument_checks import check_integer
from jointmae_hf.data.counter_rng import RandomStream, counter_uniform
from jointmae_hf.data.schema import point_cloud_features, point_cloud_table

from .source_files import BUILDER_SOURCES, hash_sources


SAMPLE_SHAPES_CLASSES = (
    "aircraft",
    "animal",
    "barrel",
    "bed",
    "bookshelf",
    "bottle",
    "box",
    "cabinet",
    "car",
    "chair",
    "column",
    "cup",
    "dish",
    "door",
    "fence",
    "fish",
    "fruit",
    "gun",
    "house",
    "lamp",
    "person",
    "plant",
    "rock",
    "sign",
    "sofa",
    "stool",
    "sword",
    "table",
    "tower",
    "tree",
)
"""Names of the classes in the order of their labels."""

NUM_POINTS = 1024
SCALE = 1023
"""Steps of the coordinate grid per unit. No point is moved by more than 0.00085, the radius of a shape being 1."""
POINTS_PATH = Path(__file__).with_name("sample_shapes.npz")
TABLE_PATH = Path(__file__).with_name("sample_shapes.csv")
TABLE_COLUMNS = ("id", "label", "split", "creator", "license", "repository", "path")

_SHUFFLE_SEED = 0


@dataclass
class SampleShapesConfig(datasets.BuilderConfig):
    """Options of the `sample_shapes` dataset.

    Args:
        num_points (`int`, *optional*, defaults to 1024):
            Points of every shape, at most 1,024. Fewer are a random part of them.
    """

    num_points: int = NUM_POINTS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("num_points", self.num_points, 1, NUM_POINTS)
        if self.data_dir is not None:
            raise ValueError(f"`data_dir` must be left out, the package holds the shapes, got {self.data_dir!r}.")


class SampleShapes(datasets.ArrowBasedBuilder):
    """Builder of 987 real objects of 30 classes that come with the package, 740 in `train` and 247 in `test`.

    The objects are low-poly models that their creators gave to the public domain (CC0 1.0): Quaternius, Kay Lousberg,
    Kenney, and contributors of Blend Swap. Every label was checked by eye; near-duplicates share a split. Points are
    uniform by area, y is up, the mean lies at the origin, and the farthest point within 0.002 of the unit sphere. They are
    stored on a grid, which moves them by at most 0.00085; neighbors are 0.03 apart on average. Their order is random.

    Columns: `points`, `label` (names in `SAMPLE_SHAPES_CLASSES`) and `id`, which finds creator, repository and path in the
    table `sample_shapes.csv` next to this module. Options are those of `SampleShapesConfig`.
    """

    BUILDER_CONFIG_CLASS = SampleShapesConfig
    VERSION = datasets.Version("1.0.0")
    SOURCES = (*BUILDER_SOURCES, "data/counter_rng.py")

    def __init__(self, *args: Any, hash: str | None = None, **kwargs: Any) -> None:
        if hash is None:
            digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (POINTS_PATH, TABLE_PATH)]
            hash = Hasher.hash([*digests, hash_sources(self.SOURCES)])
        super().__init__(*args, hash=hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Real objects of thirty classes, sampled from low-poly models by Quaternius, Kay Lousberg, Kenney "
            "and contributors of Blend Swap, who gave them to the public domain.",
            homepage="https://quaternius.com, https://kaylousberg.com, https://kenney.nl, https://blendswap.com",
            license="cc0-1.0",
            features=point_cloud_features(self.config.num_points, SAMPLE_SHAPES_CLASSES),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        splits = [row["split"] for row in read_table()]
        return [
            # A list of rows is what `datasets` divides among processes.
            datasets.SplitGenerator(
                name=split, gen_kwargs={"rows": [row for row, own in enumerate(splits) if own == split]}
            )
            for split in ("train", "test")
        ]

    def _generate_tables(self, rows: list[int]) -> Iterator[tuple[int, pa.Table]]:
        table, points = read_table(), read_points()[:, : self.config.num_points]
        yield (
            rows[0],
            point_cloud_table(
                self.info.features,
                points=[points[row] for row in rows],
                ids=[table[row]["id"] for row in rows],
                labels=[SAMPLE_SHAPES_CLASSES.index(table[row]["label"]) for row in rows],
            ),
        )


def read_table() -> list[dict[str, str]]:
    """Return `TABLE_COLUMNS` of every shape."""
    with open(TABLE_PATH, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_points() -> np.ndarray:
    """Return the points of every shape, float32 `(num_shapes, 1024, 3)`, in the order of the table."""
    with np.load(POINTS_PATH, allow_pickle=False) as file:
        points = decode_points(file["low"], file["high"], SCALE)
    shapes = torch.arange(len(points))
    keys = counter_uniform(_SHUFFLE_SEED, 0, shapes, RandomStream.SUBSAMPLE, (NUM_POINTS,))
    order = keys.argsort(dim=1, stable=True).numpy()  # The stored order is a tour of neighbors.
    return np.take_along_axis(points, order[:, :, None], axis=1)


def decode_points(low: np.ndarray, high: np.ndarray, scale: int) -> np.ndarray:
    """Sum up zigzag-coded steps from point to point.

    Args:
        low (`np.ndarray` of shape `(num_clouds, 3, num_points)`):
            Low bytes of the steps, uint8.
        high (`np.ndarray` of shape `(num_clouds, 3, num_points)`):
            High bytes, uint8.
        scale (`int`):
            Steps per unit.

    Returns:
        `np.ndarray`: Points as float32 of shape `(num_clouds, num_points, 3)`.
    """
    zigzag = low.astype(np.int32) | high.astype(np.int32) << 8
    coordinates = np.cumsum(zigzag >> 1 ^ -(zigzag & 1), axis=2, dtype=np.int32)
    return np.ascontiguousarray(coordinates.transpose(0, 2, 1), dtype=np.float32) / np.float32(scale)
