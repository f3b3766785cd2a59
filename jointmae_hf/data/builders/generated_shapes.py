"""Base of the builders of generated shapes: sizes of the splits, and shapes table by table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import datasets
import pyarrow as pa

from jointmae_hf.data.argument_checks import check_integer

from .source_files import BUILDER_SOURCES, hash_sources


_SHAPES_PER_TABLE = 64


@dataclass
class GeneratedShapesConfig(datasets.BuilderConfig):
    """Sizes of a dataset that is generated; every builder has its own defaults."""

    num_train: int = 2000
    num_validation: int = 200
    num_test: int = 400
    num_points: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        least_values = {"num_train": 0, "num_validation": 0, "num_test": 0, "num_points": 1, "seed": 0}
        for name, least in least_values.items():
            check_integer(name, getattr(self, name), least)
        if self.data_dir is not None:
            raise ValueError(f"`data_dir` must be left out, the shapes are generated, got {self.data_dir!r}.")
        if not self.split_sizes:
            raise ValueError("`num_train`, `num_validation` or `num_test` must be at least 1, got 0 for all.")

    @property
    def split_sizes(self) -> dict[str, int]:
        """Number of shapes of every split that is not empty."""
        sizes = {"train": self.num_train, "validation": self.num_validation, "test": self.num_test}
        return {split: size for split, size in sizes.items() if size > 0}


class GeneratedShapesBuilder(datasets.ArrowBasedBuilder):
    """Builder of shapes that are a function of seed, split and number; the cache depends on the source of `SOURCES` too."""

    VERSION = datasets.Version("1.0.0")
    SOURCES: ClassVar[tuple[str, ...]] = BUILDER_SOURCES

    def __init__(self, *args: Any, hash: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, hash=hash_sources(self.SOURCES) if hash is None else hash, **kwargs)

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
            yield start, self._generate_table(split, range(start, min(start + _SHAPES_PER_TABLE, size)))

    def _generate_table(self, split: str, numbers: range) -> pa.Table:
        """Return the shapes with some numbers of a split."""
        raise NotImplementedError(f"{type(self).__name__} must define `_generate_table`.")
