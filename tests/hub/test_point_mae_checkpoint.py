"""Tests of reading files of Point-MAE: no code in them is executed, and what they hold is named."""

import os
import pickle
import re

import numpy as np
import pytest
import torch
from point_mae_weights import pretrained_weights, save

from jointmae_hf.hub.point_mae_checkpoint import read_point_mae


@pytest.fixture
def pretrained():
    return pretrained_weights()


@pytest.fixture
def write(tmp_path):
    return lambda state, **content: save(tmp_path / "published.pth", state, **content)


class Malicious:
    def __init__(self, function=print):
        self.function = function

    def __reduce__(self):
        return self.function, ("executed",)


def test_code_in_a_file_is_rejected(pretrained, write, tmp_path, capsys):
    rule = r"`path` must be a \.pth file of tensors and numbers, got"
    with pytest.raises(ValueError, match=rf"{rule} 'published\.pth': .* print was not an allowed global") as refusal:
        read_point_mae(write(pretrained, metrics=Malicious()))
    assert not re.search("weights_only|safe_globals", str(refusal.value))
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"base_model": Malicious()}))
    with pytest.raises(ValueError, match=rf"{rule} 'plain\.pth'"):
        read_point_mae(tmp_path / "plain.pth")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("function", [print, os.system, os.remove, eval], ids=str)
def test_refusal_never_advises_to_execute_code(tmp_path, function, is_zip):
    path = tmp_path / "malicious.pth"
    torch.save({"base_model": Malicious(function)}, path, _use_new_zipfile_serialization=is_zip)
    name = rf"{function.__module__}\.{function.__qualname__}".removeprefix(r"builtins\.")
    with pytest.raises(ValueError, match=rf"contains code, which was not executed: .*{name} was not") as refusal:
        read_point_mae(path)
    assert not re.search("weights_only|safe_globals|trusted|\n", str(refusal.value))


@pytest.mark.parametrize("content", [b"", b"hello" * 100, b"PK\3\4" + bytes(50), pickle.dumps({"a": 1})], ids=range(4))
def test_file_that_is_no_checkpoint_is_rejected_in_one_line(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"`path` must be a \.pth file of tensors and numbers, got 'other\.pth'"
    ) as refusal:
        read_point_mae(path)
    assert not re.search("weights_only|\n", str(refusal.value))


def test_number_with_a_corrupted_type_is_rejected(pretrained, tmp_path):
    """Found by the fuzzer: numpy aborts the process when it gets this state."""
    path = tmp_path / "corrupted.pth"
    content = {"base_model": pretrained, "acc": np.float64(0.5)}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    assert whole.count(b"NNNJ") == 1
    path.write_bytes(whole.replace(b"NNNJ", b"NJ"))
    with pytest.raises(ValueError, match="a type other than plain numbers"):
        read_point_mae(path)


def test_file_without_weights_is_rejected(tmp_path):
    torch.save({"model": {}, 1: 1}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"must hold `base_model` or `model_state_dict`, got \[1, 'model'\]"):
        read_point_mae(tmp_path / "other.pth")


@pytest.mark.parametrize("weights", [3, [1], {"a": "text"}, {1: torch.zeros(2)}], ids=repr)
def test_weights_that_are_no_state_dict_are_rejected(tmp_path, weights):
    torch.save({"base_model": weights}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"`path` must hold tensors by name, got something else in 'other\.pth'"):
        read_point_mae(tmp_path / "other.pth")


def test_bare_state_dict_is_rejected_in_one_line(pretrained, tmp_path):
    path = tmp_path / "bare.pth"
    torch.save(pretrained, path)
    with pytest.raises(
        ValueError, match=r"must hold `base_model` .*a bare state dict \(a pre-trained Point-MAE"
    ) as refused:
        read_point_mae(path)
    assert len(str(refused.value)) < 250
    torch.save({f"entry_{number}": number for number in range(1000)}, path)
    with pytest.raises(ValueError, match=r"got 1000 names such as \['entry_0', ") as refused:
        read_point_mae(path)
    assert len(str(refused.value)) < 250
