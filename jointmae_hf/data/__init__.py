"""Datasets of point clouds, augmentation and collation."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .builders.folder import PointCloudFolder
    from .builders.modelnet40 import ModelNet40
    from .builders.modelnet40_layouts import MODELNET10_CLASSES, MODELNET40_CLASSES
    from .builders.modelnet_few_shot import ModelNetFewShot
    from .builders.point_cloud_builder import DatasetError
    from .builders.primitive_shapes import PrimitiveShapes, PrimitiveShapesConfig
    from .builders.sample_shapes import SAMPLE_SHAPES_CLASSES, SampleShapes, SampleShapesConfig
    from .builders.scanobjectnn import SCANOBJECTNN_CLASSES, ScanObjectNN
    from .builders.shapenet55 import SHAPENET55_SYNSETS, ShapeNet55
    from .builders.shapenet_part import SHAPENET_PART_PARTS, SHAPENET_PART_SYNSETS, ShapeNetPart
    from .builders.synthetic_shapes import SyntheticShapes, SyntheticShapesConfig
    from .collator import PointCloudCollator
    from .counter_rng import (
        RandomStream,
        UniformDraw,
        counter_normal,
        counter_permutation,
        counter_uniform,
        counter_uniforms,
    )
    from .dataset import PointCloudDataset, PointCloudTensors, as_clouds, read_point_cloud_tensors
    from .holding_out import hold_out
    from .loading import load_point_clouds, load_splits
    from .mixtures import MixtureDataset
    from .parquet_clouds import ParquetPointClouds
    from .primitive_shape_dataset import PrimitiveShapeDataset
    from .readers.formats import POINT_CLOUD_SUFFIXES, read_point_cloud
    from .schema import point_cloud_features, point_cloud_table
    from .streaming import PointCloudStream, stream_batches
    from .synthetic.compositions import CompositionOptions, compose_shapes
    from .synthetic.families import SHAPE_CLASS_PARTS, SHAPE_CLASSES, SHAPE_PARTS, SyntheticShape, generate_shape
    from .transforms import (
        Compose,
        FarthestPointSubsample,
        Jitter,
        Normalize,
        RandomRotate,
        RandomRotateY,
        RandomSubsample,
        RandomTransform,
        ScaleAndTranslate,
        Transform,
    )
else:
    __getattr__, __dir__ = lazy_names(__name__, __file__)


__all__ = [
    "MODELNET10_CLASSES",
    "MODELNET40_CLASSES",
    "POINT_CLOUD_SUFFIXES",
    "SAMPLE_SHAPES_CLASSES",
    "SCANOBJECTNN_CLASSES",
    "SHAPENET55_SYNSETS",
    "SHAPENET_PART_PARTS",
    "SHAPENET_PART_SYNSETS",
    "SHAPE_CLASSES",
    "SHAPE_CLASS_PARTS",
    "SHAPE_PARTS",
    "Compose",
    "CompositionOptions",
    "DatasetError",
    "FarthestPointSubsample",
    "Jitter",
    "MixtureDataset",
    "ModelNet40",
    "ModelNetFewShot",
    "Normalize",
    "ParquetPointClouds",
    "PointCloudCollator",
    "PointCloudDataset",
    "PointCloudFolder",
    "PointCloudStream",
    "PointCloudTensors",
    "PrimitiveShapeDataset",
    "PrimitiveShapes",
    "PrimitiveShapesConfig",
    "RandomRotate",
    "RandomRotateY",
    "RandomStream",
    "RandomSubsample",
    "RandomTransform",
    "SampleShapes",
    "SampleShapesConfig",
    "ScaleAndTranslate",
    "ScanObjectNN",
    "ShapeNet55",
    "ShapeNetPart",
    "SyntheticShape",
    "SyntheticShapes",
    "SyntheticShapesConfig",
    "Transform",
    "UniformDraw",
    "as_clouds",
    "compose_shapes",
    "counter_normal",
    "counter_permutation",
    "counter_uniform",
    "counter_uniforms",
    "generate_shape",
    "hold_out",
    "load_point_clouds",
    "load_splits",
    "point_cloud_features",
    "point_cloud_table",
    "read_point_cloud",
    "read_point_cloud_tensors",
    "stream_batches",
]
