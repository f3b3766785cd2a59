"""Pooling: values computed by hand, and the class token that is left out."""

from types import SimpleNamespace

import pytest
import torch

from jointmae_hf import JointMAEModel
from jointmae_hf.model.pooling import POOLINGS, check_pooling, pool_outputs, pool_tokens, select_3d_tokens


@pytest.fixture
def outputs(encoder, unit_sphere_cloud):
    with torch.no_grad():
        return encoder(unit_sphere_cloud)


@pytest.fixture
def outputs_with_class_token(build_tiny_config, settle, unit_sphere_cloud):
    model = settle(JointMAEModel(build_tiny_config(), add_2d_branch=False, add_class_token=True))
    with torch.no_grad():
        return model(unit_sphere_cloud)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [("sum", [5.0, -1.0]), ("concat", [2.0, -1.0, 3.0, 0.0]), ("mean", [2.0, -1.0]), ("max", [3.0, 0.0])],
)
def test_tokens_are_pooled_as_named(pooling, expected):
    tokens = torch.tensor([[[1.0, 0.0], [3.0, -2.0]]])
    assert pool_tokens(tokens, pooling).tolist() == [expected]


def test_the_papers_pooling_is_the_first_and_the_pooler_output(outputs):
    assert POOLINGS[0] == "sum"
    assert torch.equal(pool_outputs(outputs, "sum"), outputs.pooler_output)
    assert torch.equal(pool_tokens(outputs.last_hidden_state, "sum"), outputs.pooler_output)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_class_token_is_left_out(outputs_with_class_token, pooling):
    outputs = outputs_with_class_token
    without = SimpleNamespace(
        last_hidden_state=outputs.last_hidden_state[:, :-1],
        pooler_output=pool_tokens(outputs.last_hidden_state[:, :-1], "sum"),
    )
    assert torch.equal(pool_outputs(outputs, pooling), pool_outputs(without, pooling))


def test_3d_tokens_are_all_of_an_encoder_without_centers():
    tokens = torch.rand(2, 5, 3)
    assert torch.equal(select_3d_tokens(SimpleNamespace(last_hidden_state=tokens)), tokens)


@pytest.mark.parametrize("pooling", ["pooler", "mean_max_sum", "class", None])
def test_unknown_pooling_is_refused_with_the_rule_and_the_value(outputs, pooling):
    message = f"^`pooling` must be one of sum, concat, mean, max, got {pooling!r}"
    for refuse in (check_pooling, lambda value: pool_outputs(outputs, value)):
        with pytest.raises(ValueError, match=message):
            refuse(pooling)
