"""Code that is uploaded to the Hub: flat, and importing only torch, numpy, transformers and its own modules."""

from .configuration_jointmae import JointMAEConfig
from .feature_extraction_jointmae import JointMAEFeatureExtractor
from .modeling_jointmae import (
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
    JointMAEPreTrainedModel,
)
from .pipeline_jointmae import (
    JointMAEPointCloudClassificationPipeline,
    JointMAEPointCloudFeatureExtractionPipeline,
    JointMAEPointCloudSegmentationPipeline,
)
