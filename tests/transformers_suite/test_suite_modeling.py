"""Common tests of transformers for models, on every class and on both modalities."""

import unittest
from unittest import mock

import pytest
import torch
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES
from transformers_common_tests.test_modeling_common import ModelTesterMixin, floats_tensor

from jointmae_hf import (
    JointMAEConfig,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEModel,
)
from jointmae_hf.model.depth_projection import sample_views


pytestmark = pytest.mark.suite


class JointMAEModelTester:
    """Model tester in the sense of transformers: a tiny configuration and inputs for it."""

    is_training = True
    batch_size = 2
    num_points = 64
    num_hidden_layers = 2
    num_attention_heads = 4
    hidden_size = 32

    def __init__(self, seq_length, input_names, use_2d_branch):
        self.seq_length = seq_length
        self.input_names = input_names
        self.use_2d_branch = use_2d_branch

    def get_config(self):
        return JointMAEConfig(
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=37,
            num_points=self.num_points,
            num_groups=[32, 16],
            group_size=[4, 4],
            image_size=32,
            target_group_size=4,
            classifier_hidden_sizes=[16, 16],
            use_2d_branch=self.use_2d_branch,
        )

    def prepare_config_and_inputs_for_common(self):
        inputs = {
            "points": floats_tensor([self.batch_size, self.num_points, 3]),
            "pixel_values": floats_tensor([self.batch_size, 1, 32, 32]),
            "view": sample_views(torch.rand(self.batch_size, 2), 2.0, 45.0),
            "noise_3d": torch.rand(self.batch_size, 16),
            "noise_2d": torch.rand(self.batch_size, 4),
        }
        return self.get_config(), {name: inputs[name] for name in self.input_names}


class JointMAEModelTests(ModelTesterMixin):
    """The common tests, adapted to a model of points."""

    test_resize_embeddings = False
    input_names = ("points",)
    seq_length = 16
    labels_shape = None
    use_2d_branch = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        names = mock.patch.dict(MODEL_MAPPING_NAMES, {"jointmae": "JointMAEModel"})
        names.start()
        cls.addClassCleanup(names.stop)

    def setUp(self):
        self.model_tester = JointMAEModelTester(self.seq_length, self.input_names, self.use_2d_branch)

    @property
    def additional_model_inputs(self):
        return list(self.input_names[1:])

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels)
        if return_labels and self.labels_shape:
            inputs["labels"] = torch.zeros(self.labels_shape, dtype=torch.long)
        return inputs

    def test_model_get_set_embeddings(self):
        """Test the first layer, which as in vision models is not an `nn.Embedding`."""
        for model_class in self.all_model_classes:
            model, layer = model_class(self.model_tester.get_config()), torch.nn.Linear(3, 8)
            assert isinstance(model.get_input_embeddings(), torch.nn.Module)
            model.set_input_embeddings(layer)
            assert model.get_input_embeddings() is layer
            assert model.get_output_embeddings() is None


class PointModelTest(JointMAEModelTests, unittest.TestCase):
    all_model_classes = (JointMAEModel,)


class JointModelTest(JointMAEModelTests, unittest.TestCase):
    all_model_classes = (JointMAEModel,)
    input_names = ("points", "pixel_values", "view")
    seq_length = 16 + 4


class MaskedJointModelTest(JointMAEModelTests, unittest.TestCase):
    all_model_classes = (JointMAEModel,)
    input_names = ("points", "pixel_values", "view", "noise_3d", "noise_2d")
    seq_length = 4 + 1


class PreTrainingTest(JointMAEModelTests, unittest.TestCase):
    all_model_classes = (JointMAEForPreTraining,)
    input_names = ("points", "view", "noise_3d", "noise_2d")
    seq_length = 4 + 1


class PointPreTrainingTest(JointMAEModelTests, unittest.TestCase):
    all_model_classes = (JointMAEForPreTraining,)
    input_names = ("points", "noise_3d")
    seq_length = 4
    use_2d_branch = False


class ClassificationTest(JointMAEModelTests, unittest.TestCase):
    all_model_classes = (JointMAEForPointCloudClassification,)
    labels_shape = (2,)


class SegmentationTest(JointMAEModelTests, unittest.TestCase):
    all_model_classes = (JointMAEForPointCloudSegmentation,)
    labels_shape = (2, 64)
