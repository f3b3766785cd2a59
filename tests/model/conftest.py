"""Inputs and models for several tests of the models."""

import logging

import pytest
import torch

from jointmae_hf import JointMAEForPreTraining, JointMAEModel
from jointmae_hf.model.depth_projection import sample_views


@pytest.fixture
def random_arguments():
    """Pose and noise for a batch of two with the tiny configuration: all randomness of pre-training."""
    generator = torch.Generator().manual_seed(0)
    return {
        "view": sample_views(torch.rand(2, 2, generator=generator), 2.0, 45.0),
        "noise_3d": torch.rand(2, 16, generator=generator),
        "noise_2d": torch.rand(2, 4, generator=generator),
    }


@pytest.fixture
def joint_inputs(unit_sphere_cloud, random_arguments):
    """Points, a depth map and its pose."""
    pixel_values = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    return {"points": unit_sphere_cloud, "pixel_values": pixel_values, "view": random_arguments["view"]}


@pytest.fixture
def encoder(tiny_config, settle):
    return settle(JointMAEModel(tiny_config))


@pytest.fixture
def pretrainer(tiny_config, settle):
    return settle(JointMAEForPreTraining(tiny_config))


@pytest.fixture
def record_calls():
    """Record positional arguments, keyword arguments and output of each call of a module."""

    def record(module):
        calls = []
        module.register_forward_hook(
            lambda _, args, kwargs, output: calls.append((args, kwargs, output)), with_kwargs=True
        )
        return calls

    return record


@pytest.fixture
def transformers_log(caplog, monkeypatch):
    """Warnings of transformers, whose logger hides them from pytest by default."""
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with caplog.at_level(logging.WARNING):
        yield caplog
