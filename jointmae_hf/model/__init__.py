"""The folder that travels to the Hub: flat, and importing nothing but torch, numpy, transformers and its siblings."""

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
