"""Datasets of point clouds, augmentation and collation."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .builders.dataset_source import DatasetError
    from .builders.folder import PointCloudFolder
    from .builders.modelnet40 import ModelNet40
    from .builders.modelnet40_names import MODELNET10_CLASSES, MODELNET40_CLASSES
    from .builders.modelnet_few_shot import ModelNetFewShot
    from .builders.scanobjectnn import ScanObjectNN
    from .builders.scanobjectnn_files import SCANOBJECTNN_CLASSES
    from .builders.shapenet55 import ShapeNet55
    from .builders.shapenet55_files import SHAPENET55_SYNSETS
    from .builders.shapenet_part import ShapeNetPart
    from .builders.shapenet_part_names import SHAPENET_PART_PARTS, SHAPENET_PART_SYNSETS
    from .builders.synthetic_shapes import SyntheticShapes, SyntheticShapesConfig
    from .collator import PointCloudCollator
    from .counter_rng import RandomStream, counter_normal, counter_uniform
    from .loading import load_point_clouds
    from .point_cloud_dataset import PointCloudDataset
    from .point_cloud_tensors import PointCloudTensors, as_clouds, hold_out_clouds, read_point_cloud_tensors
    from .readers.formats import POINT_CLOUD_SUFFIXES, read_point_cloud
    from .schema import point_cloud_features, point_cloud_table
    from .splits import hold_out, load_splits
    from .streaming import stream_batches
    from .subsampling import FarthestPointSubsample, RandomSubsample
    from .synthetic.families import SHAPE_CLASS_PARTS, SHAPE_CLASSES, SHAPE_PARTS, SyntheticShape, generate_shape
    from .transforms import Compose, Jitter, Normalize, RandomRotate, RandomRotateY, ScaleAndTranslate, Transform
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
    "DatasetError",
    "FarthestPointSubsample",
    "Jitter",
    "ModelNet40",
    "ModelNetFewShot",
    "Normalize",
    "PointCloudCollator",
    "PointCloudDataset",
    "PointCloudFolder",
    "PointCloudTensors",
    "RandomRotate",
    "RandomRotateY",
    "RandomStream",
    "RandomSubsample",
    "ScaleAndTranslate",
    "ScanObjectNN",
    "ShapeNet55",
    "ShapeNetPart",
    "SyntheticShape",
    "SyntheticShapes",
    "SyntheticShapesConfig",
    "Transform",
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
    "read_point_cloud_tensors",
    "stream_batches",
]
