"""Corpora of point clouds, augmentation and collation."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .collator import PointCloudCollator
    from .corpus_source import CorpusError
    from .counter_random import RandomStream, counter_normal, counter_uniform
    from .folder import PointCloudFolder
    from .loading import load_point_clouds
    from .modelnet40 import ModelNet40
    from .modelnet40_names import MODELNET10_CLASSES, MODELNET40_CLASSES
    from .modelnet_few_shot import ModelNetFewShot
    from .point_cloud_arrays import PointCloudArrays, as_clouds, hold_out_clouds, read_point_cloud_arrays
    from .point_cloud_dataset import PointCloudDataset
    from .readers import POINT_CLOUD_SUFFIXES, read_point_cloud
    from .scanobjectnn import ScanObjectNN
    from .scanobjectnn_files import SCANOBJECTNN_CLASSES
    from .schema import point_cloud_features, point_cloud_table
    from .shape_families import SHAPE_CLASS_PARTS, SHAPE_CLASSES, SHAPE_PARTS, SyntheticShape, generate_shape
    from .shapenet55 import ShapeNet55
    from .shapenet55_files import SHAPENET55_SYNSETS
    from .shapenet_part import ShapeNetPart
    from .shapenet_part_names import SHAPENET_PART_PARTS, SHAPENET_PART_SYNSETS
    from .splits import hold_out, load_splits
    from .streaming import stream_batches
    from .subsampling import FarthestPointSubsample, RandomSubsample
    from .synthetic_shapes import SyntheticShapes, SyntheticShapesConfig
    from .transforms import Compose, Jitter, Normalize, RandomRotate, RotateUp, ScaleAndTranslate, Transform
    from .watched_collator import WatchedCollator
else:
    __getattr__, __dir__ = lazy_names(__name__, __file__)


__all__ = [
    "MODELNET10_CLASSES",
    "MODELNET40_CLASSES",
    "POINT_CLOUD_SUFFIXES",
    "SCANOBJECTNN_CLASSES",
    "SHAPENET55_SYNSETS",
    "SHAPENET_PART_PARTS",
    "SHAPENET_PART_SYNSETS",
    "SHAPE_CLASSES",
    "SHAPE_CLASS_PARTS",
    "SHAPE_PARTS",
    "Compose",
    "CorpusError",
    "FarthestPointSubsample",
    "Jitter",
    "ModelNet40",
    "ModelNetFewShot",
    "Normalize",
    "PointCloudArrays",
    "PointCloudCollator",
    "PointCloudDataset",
    "PointCloudFolder",
    "RandomRotate",
    "RandomStream",
    "RandomSubsample",
    "RotateUp",
    "ScaleAndTranslate",
    "ScanObjectNN",
    "ShapeNet55",
    "ShapeNetPart",
    "SyntheticShape",
    "SyntheticShapes",
    "SyntheticShapesConfig",
    "Transform",
    "WatchedCollator",
    "as_clouds",
    "counter_normal",
    "counter_uniform",
    "generate_shape",
    "hold_out",
    "hold_out_clouds",
    "load_point_clouds",
    "load_splits",
    "point_cloud_features",
    "point_cloud_table",
    "read_point_cloud",
    "read_point_cloud_arrays",
    "stream_batches",
]
