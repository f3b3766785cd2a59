"""The `synthetic_shapes` dataset: procedural shapes as a `datasets` builder, made without a download."""

from dataclasses import dataclass

import datasets
import pyarrow as pa

from jointmae_hf.data.schema import point_cloud_features, point_cloud_table
from jointmae_hf.data.synthetic.families import SHAPE_CLASSES, generate_shape

from .generated_shapes import GeneratedShapesBuilder, GeneratedShapesConfig
from .source_files import BUILDER_SOURCES


@dataclass
class SyntheticShapesConfig(GeneratedShapesConfig):
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


class SyntheticShapes(GeneratedShapesBuilder):
    """Builder of procedural shapes with class and part labels; see `generate_shape` for what they are.

    Options are those of `SyntheticShapesConfig`. The cache also depends on the source of the families, so that an edited
    family is generated again.
    """

    BUILDER_CONFIG_CLASS = SyntheticShapesConfig
    SOURCES = (*BUILDER_SOURCES, "data/synthetic")

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Procedural shapes of twenty families with class and part labels.",
            license="apache-2.0",
            features=point_cloud_features(self.config.num_points, SHAPE_CLASSES, has_part_labels=True),
        )

    def _generate_table(self, split: str, numbers: range) -> pa.Table:
        shapes = [generate_shape(self.config.seed, split, number, self.config.num_points) for number in numbers]
        return point_cloud_table(
            self.info.features,
            points=[shape.points for shape in shapes],
            ids=[f"{split}-{number:06d}" for number in numbers],
            labels=[shape.label for shape in shapes],
            part_labels=[shape.part_labels for shape in shapes],
        )
