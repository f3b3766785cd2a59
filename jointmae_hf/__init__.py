"""Joint-MAE for Hugging Face transformers: 2D-3D joint masked autoencoders for point cloud pre-training.

Importing the package registers its classes with the Auto classes and pipelines of transformers.
"""

from .auto import AutoModelForPointCloudClassification, AutoModelForPointCloudSegmentation
from .model import (
    JointMAEConfig,
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
    JointMAEPointCloudClassificationPipeline,
    JointMAEPointCloudFeatureExtractionPipeline,
    JointMAEPointCloudSegmentationPipeline,
    JointMAEPreTrainedModel,
)


__version__ = "0.2.0"

__all__ = [
    "AutoModelForPointCloudClassification",
    "AutoModelForPointCloudSegmentation",
    "JointMAEConfig",
    "JointMAEFeatureExtractor",
    "JointMAEForPointCloudClassification",
    "JointMAEForPointCloudSegmentation",
    "JointMAEForPreTraining",
    "JointMAEModel",
    "JointMAEPointCloudClassificationPipeline",
    "JointMAEPointCloudFeatureExtractionPipeline",
    "JointMAEPointCloudSegmentationPipeline",
    "JointMAEPreTrainedModel",
]
