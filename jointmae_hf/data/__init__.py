"""Corpora of point clouds, augmentation and collation."""

from .collator import PointCloudCollator
from .counter_random import RandomStream, counter_normal, counter_uniform
from .folder import PointCloudFolder
from .loading import load_point_clouds
from .point_cloud_dataset import PointCloudDataset
from .readers import POINT_CLOUD_SUFFIXES, read_point_cloud
from .schema import point_cloud_features, point_cloud_table
from .shape_families import SHAPE_CLASS_PARTS, SHAPE_CLASSES, SHAPE_PARTS, SyntheticShape, generate_shape
from .synthetic_shapes import SyntheticShapes, SyntheticShapesConfig
from .transforms import (
    Compose,
    Jitter,
    Normalize,
    RandomRotate,
    RandomSubsample,
    RotateUp,
    ScaleAndTranslate,
    Transform,
)


__all__ = [
    "POINT_CLOUD_SUFFIXES",
    "SHAPE_CLASSES",
    "SHAPE_CLASS_PARTS",
    "SHAPE_PARTS",
    "Compose",
    "Jitter",
    "Normalize",
    "PointCloudCollator",
    "PointCloudDataset",
    "PointCloudFolder",
    "RandomRotate",
    "RandomStream",
    "RandomSubsample",
    "RotateUp",
    "ScaleAndTranslate",
    "SyntheticShape",
    "SyntheticShapes",
    "SyntheticShapesConfig",
    "Transform",
    "counter_normal",
    "counter_uniform",
    "generate_shape",
    "load_point_clouds",
    "point_cloud_features",
    "point_cloud_table",
    "read_point_cloud",
]
