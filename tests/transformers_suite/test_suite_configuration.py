"""Common tests of transformers for configurations."""

import unittest

import pytest
from transformers_common_tests.test_configuration_common import ConfigTester

from jointmae_hf import JointMAEConfig


pytestmark = pytest.mark.suite


class ConfigurationTest(unittest.TestCase):
    def test_config(self):
        sizes = {"hidden_size": 32, "num_attention_heads": 4}
        ConfigTester(self, config_class=JointMAEConfig, has_text_modality=False, **sizes).run_common_tests()
