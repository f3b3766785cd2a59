"""The `primitive_shapes` dataset: random compositions of primitives, as many as you ask for, without a download."""

from dataclasses import dataclass

import datasets
import pyarrow as pa
import torch

from jointmae_hf.data.schema import point_cloud_features, point_cloud_table
from jointmae_hf.data.synthetic.compositions import FIRST_INDEX_OF_SPLIT, CompositionOptions, compose_shapes

from .generated_shapes import GeneratedShapesBuilder, GeneratedShapesConfig
from .source_files import BUILDER_SOURCES


DESCRIPTION = "Random compositions of primitives, after Chen and Cheng (arXiv 2411.17467)."
LICENSE = "apache-2.0"


@dataclass
class PrimitiveShapesConfig(GeneratedShapesConfig, CompositionOptions):
    """Sizes of the `primitive_shapes` dataset, and the options of [`CompositionOptions`].

    Args:
        num_train (`int`, *optional*, defaults to 20000):
            Number of shapes in the split `train`. A split of 0 shapes is left out.
        num_validation (`int`, *optional*, defaults to 200):
            Number of shapes in the split `validation`.
        num_test (`int`, *optional*, defaults to 0):
            Number of shapes in the split `test`.
        num_points (`int`, *optional*, defaults to 2048):
            Number of points of each shape.
        seed (`int`, *optional*, defaults to 0):
            Seed of all splits, not negative.
    """

    num_train: int = 20000
    num_validation: int = 200
    num_test: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        CompositionOptions.__post_init__(self)


class PrimitiveShapes(GeneratedShapesBuilder):
    """Builder of random compositions of primitives without classes; see `compose_shapes` for what they are.

    Options are those of `PrimitiveShapesConfig`, which has those of [`CompositionOptions`]. [`PrimitiveShapeDataset`] generates the same shapes on the fly and
    stores nothing.
    """

    BUILDER_CONFIG_CLASS = PrimitiveShapesConfig
    SOURCES = (*BUILDER_SOURCES, "data/counter_rng.py", "data/synthetic")

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description=DESCRIPTION,
            license=LICENSE,
            features=point_cloud_features(self.config.num_points),
        )

    def _generate_table(self, split: str, numbers: range) -> pa.Table:
        num_threads = torch.get_num_threads()
        torch.set_num_threads(1)  # a forked process of `num_proc` must not use the threads of its parent
        try:
            index = torch.tensor(numbers) + FIRST_INDEX_OF_SPLIT[split]
            shapes = compose_shapes(self.config.seed, index, self.config.num_points, self.config)
        finally:
            torch.set_num_threads(num_threads)
        ids = [f"{split}-{number:09d}" for number in numbers]
        return point_cloud_table(self.info.features, points=list(shapes.numpy()), ids=ids)
