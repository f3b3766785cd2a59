"""Common tests of transformers for feature extractors."""

import unittest
from typing import ClassVar

import pytest
from transformers_common_tests.test_feature_extraction_common import FeatureExtractionSavingTestMixin

from jointmae_hf import JointMAEFeatureExtractor


pytestmark = pytest.mark.suite


class FeatureExtractionTest(FeatureExtractionSavingTestMixin, unittest.TestCase):
    feature_extraction_class = JointMAEFeatureExtractor
    feat_extract_dict: ClassVar = {"num_points": 64, "sampling": "random", "seed": 3, "up_axis": "z"}
