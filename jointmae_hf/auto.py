"""Registration with the Auto classes and pipelines of transformers, and Auto classes for two tasks of our own."""

import contextlib
import importlib
from collections import OrderedDict
from typing import Any

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining, AutoProcessor
from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping, auto_class_update
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.pipelines import PIPELINE_REGISTRY

from .model import (
    JointMAEConfig,
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)
from .model.pipeline_jointmae import POINT_CLOUD_PIPELINES


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
# Otherwise `AutoProcessor` would look for an image processor first and ask to trust remote code.
AutoProcessor.register(JointMAEConfig, JointMAEFeatureExtractor, exist_ok=True)
AutoModel.register(JointMAEConfig, JointMAEModel, exist_ok=True)
AutoModelForPreTraining.register(JointMAEConfig, JointMAEForPreTraining, exist_ok=True)
AutoModelForPointCloudClassification.register(JointMAEConfig, JointMAEForPointCloudClassification, exist_ok=True)
AutoModelForPointCloudSegmentation.register(JointMAEConfig, JointMAEForPointCloudSegmentation, exist_ok=True)

_PIPELINE_MODELS = {
    "point-cloud-classification": AutoModelForPointCloudClassification,
    "point-cloud-feature-extraction": AutoModel,
    "point-cloud-segmentation": AutoModelForPointCloudSegmentation,
}

for _task, _pipeline_class in POINT_CLOUD_PIPELINES.items():
    if _task not in PIPELINE_REGISTRY.supported_tasks:  # registering a task again would log a warning
        PIPELINE_REGISTRY.register_pipeline(_task, _pipeline_class, pt_model=_PIPELINE_MODELS[_task])


def _with_onnx_functions(table: dict[Any, Any]) -> dict[Any, Any]:
    """Translations of `transformers.exporters.OnnxExporter` and those of our operators, loaded when it exports."""
    operators = importlib.import_module("jointmae_hf.export.onnx_operators")  # requires onnxscript
    return {**table, torch.ops.jointmae.farthest_point_sample.default: operators.farthest_point_sample}


with contextlib.suppress(ImportError):  # a version of transformers without exporters
    from transformers.exporters.utils import register_patch

    register_patch("onnx", "transformers.exporters.exporter_onnx._ONNX_TRANSLATION_TABLE")(_with_onnx_functions)
