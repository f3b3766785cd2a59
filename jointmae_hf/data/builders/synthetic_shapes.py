"""The `synthetic_shapes` dataset: procedural shapes as a `datasets` builder, made without a download."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import datasets
import pyarrow as pa
from datasets.fingerprint import Hasher

from jointmae_hf.data import schema
from jointmae_hf.data.synthetic import families as shape_families
from jointmae_hf.data.synthetic import furniture_families, household_families, primitives, vehicle_families
from jointmae_hf.data.synthetic import solids as bars
from jointmae_hf.model import surface_sampling

from . import cache_seal
from .cache_seal import SealedCache


_SOURCES = (
    bars,
    cache_seal,
    furniture_families,
    household_families,
    primitives,
    schema,
    shape_families,
    surface_sampling,
    vehicle_families,
)
_SHAPES_PER_TABLE = 128


@dataclass
class SyntheticShapesConfig(datasets.BuilderConfig):
    """Sizes of the `synthetic_shapes` dataset.

    Args:
        num_train (`int`, *optional*, defaults to 2000):
            Shapes in the split `train`. A split of 0 shapes is left out.
        num_validation (`int`, *optional*, defaults to 200):
            Shapes in the split `validation`.
        num_test (`int`, *optional*, defaults to 400):
            Shapes in the split `test`.
        num_points (`int`, *optional*, defaults to 2048):
            Points of every shape.
        seed (`int`, *optional*, defaults to 0):
            Seed of all splits, not negative.
    """

    num_train: int = 2000
    num_validation: int = 200
    num_test: int = 400
    num_points: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        least_values = {"num_train": 0, "num_validation": 0, "num_test": 0, "num_points": 1, "seed": 0}
        for name, least in least_values.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"`{name}` must be an int, got {value!r}.")
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        if self.data_dir is not None:
            raise ValueError(f"`data_dir` must be left out, the shapes are generated, got {self.data_dir!r}.")
        if not self.split_sizes:
            raise ValueError("`num_train`, `num_validation` or `num_test` must be at least 1, got 0 for all.")

    @property
    def split_sizes(self) -> dict[str, int]:
        """Number of shapes of every split that is not empty."""
        sizes = {"train": self.num_train, "validation": self.num_validation, "test": self.num_test}
        return {split: size for split, size in sizes.items() if size > 0}


class SyntheticShapes(SealedCache, datasets.ArrowBasedBuilder):
    """Builder of procedural shapes with class and part labels; see `shape_families` for what they are.

    Options are those of `SyntheticShapesConfig`. The cache also depends on the source of the families, so that an edited
    family is generated anew.
    """

    BUILDER_CONFIG_CLASS = SyntheticShapesConfig
    VERSION = datasets.Version("1.0.0")

    def __init__(self, *args: Any, hash: str | None = None, **kwargs: Any) -> None:
        if hash is None:
            hash = Hasher.hash([inspect.getsource(module) for module in _SOURCES])
        super().__init__(*args, hash=hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Procedural shapes of twenty families with class and part labels.",
            license="apache-2.0",
            features=schema.point_cloud_features(
                self.config.num_points, shape_families.SHAPE_CLASSES, has_part_labels=True
            ),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        return [
            # A list of starts is what `datasets` divides among processes.
            datasets.SplitGenerator(
                name=split,
                gen_kwargs={"split": split, "size": size, "starts": list(range(0, size, _SHAPES_PER_TABLE))},
            )
            for split, size in self.config.split_sizes.items()
        ]

    def _generate_tables(self, split: str, size: int, starts: list[int]) -> Iterator[tuple[int, pa.Table]]:
        for start in starts:
            indices = range(start, min(start + _SHAPES_PER_TABLE, size))
            shapes = [
                shape_families.generate_shape(self.config.seed, split, index, self.config.num_points)
                for index in indices
            ]
            yield (
                start,
                schema.point_cloud_table(
                    self.info.features,
                    points=[shape.points for shape in shapes],
                    ids=[f"{split}-{index:06d}" for index in indices],
                    labels=[shape.label for shape in shapes],
                    part_labels=[shape.part_labels for shape in shapes],
                ),
            )
