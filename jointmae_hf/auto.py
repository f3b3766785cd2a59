"""Auto classes: registration with transformers' own, and two more for tasks that transformers does not know."""

from collections import OrderedDict

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining
from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping, auto_class_update
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from .model import (
    JointMAEConfig,
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)


class AutoModelForPointCloudClassification(_BaseAutoModelClass):
    """Auto class for models with a point cloud classification head."""

    _model_mapping = _LazyAutoMapping(CONFIG_MAPPING_NAMES, OrderedDict())  # type: ignore[assignment]


class AutoModelForPointCloudSegmentation(_BaseAutoModelClass):
    """Auto class for models with a point cloud segmentation head."""

    _model_mapping = _LazyAutoMapping(CONFIG_MAPPING_NAMES, OrderedDict())  # type: ignore[assignment]


auto_class_update(AutoModelForPointCloudClassification, head_doc="point cloud classification")
auto_class_update(AutoModelForPointCloudSegmentation, head_doc="point cloud segmentation")

AutoConfig.register("jointmae", JointMAEConfig, exist_ok=True)
AutoFeatureExtractor.register(JointMAEConfig, JointMAEFeatureExtractor, exist_ok=True)
AutoModel.register(JointMAEConfig, JointMAEModel, exist_ok=True)
AutoModelForPreTraining.register(JointMAEConfig, JointMAEForPreTraining, exist_ok=True)
AutoModelForPointCloudClassification.register(JointMAEConfig, JointMAEForPointCloudClassification, exist_ok=True)
AutoModelForPointCloudSegmentation.register(JointMAEConfig, JointMAEForPointCloudSegmentation, exist_ok=True)
