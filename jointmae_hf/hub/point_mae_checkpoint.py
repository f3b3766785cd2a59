"""Checkpoint files of Point-MAE: reading without executing code, and recognizing which model they are of."""

import mmap
import os
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from jointmae_hf.data.readers.safe_pickle import torch_stand_ins
from jointmae_hf.data.readers.validation import check_expansion


SUPPORTED = "Point-MAE (pre-training, classifier with a head of three layers, part segmentation)"
MAX_REASON = 200
"""Characters of an error of torch that are repeated in ours."""

_REQUIRED_ENCODER = (
    "encoder.first_conv.0.weight",
    "encoder.first_conv.3.weight",
    "encoder.second_conv.0.weight",
    "pos_embed.0.weight",
    "pos_embed.2.weight",
    "blocks.blocks.0.mlp.fc1.weight",
    "norm.weight",
)
_REQUIRED = {
    "pre-training": ("increase_dim.0.weight", "mask_token", "MAE_decoder.blocks.0.mlp.fc1.weight"),
    "classification": (
        "cls_head_finetune.0.weight",
        "cls_head_finetune.4.weight",
        "cls_head_finetune.8.weight",
        "cls_head_finetune.1.running_mean",
        "cls_head_finetune.5.running_mean",
        "cls_token",
        "cls_pos",
    ),
    "segmentation": (
        "propagation_0.mlp_convs.0.weight",
        "propagation_0.mlp_convs.1.weight",
        "label_conv.0.weight",
        "convs1.weight",
        "convs2.weight",
        "convs3.weight",
    ),
}
"""Weights that determine the configuration of each kind; the first one tells the kind."""

_OTHER_MODELS = {
    r"jointmae\.": "a model of this package, which `from_pretrained` loads,",
    r"h_encoder\.": "Point-M2AE or I2P-MAE",
    r"(transformer_q\.|reduce_dim\.|dvae\.)": "Point-BERT or MaskPoint",
    r"(global_blocks\.|img_|text_|MAE_encoder\.global)": "ReCon",
    r"MAE_encoder\.": "a pre-trained Point-MAE or ACT",
}
"""Beginnings of the names of weights in other public checkpoints of point clouds."""


def read_point_mae(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights of a `.pth` file of Point-MAE without executing code.

    Args:
        path (`str` or `os.PathLike`):
            File with weights under `base_model`, or under `model_state_dict` for part segmentation.

    Returns:
        `dict[str, torch.Tensor]`: State dict without `module.` prefixes.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file holds anything except tensors, numbers and strings, or no weights.
    """
    path = Path(path)
    try:
        content = _load_tensors(path)
    except OSError:
        raise
    except Exception as error:  # torch raises errors of many types for corrupted files.
        reason = _torch_reason(error)
        raise ValueError(f"`path` must be a .pth file of tensors and numbers, got {path.name!r}: {reason}") from error
    for key in ("base_model", "model_state_dict"):
        if isinstance(content, dict) and key in content:
            return _check_state_dict(content[key], path)
    raise ValueError(
        f"`path` must hold `base_model` or `model_state_dict`, got {_describe_content(content)} in {path.name!r}."
    )


def _describe_content(content: Any) -> str:
    """Return a few words about the content of a file."""
    if not isinstance(content, dict):
        return type(content).__name__
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return f"a bare state dict ({looks_like(content)}), which you can save again under `base_model`,"
    return _first_names(content)


def _first_names(names: Iterable[Any]) -> str:
    """Return names in order, at most five of them."""
    ordered = sorted(names, key=str)
    return str(ordered) if len(ordered) <= 5 else f"{len(ordered)} names such as {ordered[:5]}"


def _torch_reason(error: Exception) -> str:
    """Return one line without torch's advice to load the file with code enabled."""
    text = str(error)
    if refused := re.search(r"GLOBAL (\S+)", text):
        return f"it contains code, which was not executed: {refused.group(1)} was not an allowed global."
    reason = text.rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0][:MAX_REASON]
    if not reason or "weights_only" in reason:
        return f"{type(error).__name__}."
    return reason if " " in reason else f"{type(error).__name__}: {reason}."


def _load_tensors(path: Path) -> Any:
    """Load a file of `torch.save` without executing code."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_expansion(sum(member.file_size for member in archive.infolist()), path.stat().st_size, path)
    # A memory map never reads more than the size of the file.
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        torch.serialization.safe_globals(torch_stand_ins()),
    ):
        return torch.load(cast(BinaryIO, content), map_location="cpu", weights_only=True)


def _check_state_dict(weights: Any, path: Path) -> dict[str, Tensor]:
    """Return the state dict without `module.` prefixes, and raise if it is none."""
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise ValueError(f"`path` must hold tensors by name, got something else in {path.name!r}.")
    return {name.replace("module.", ""): value for name, value in weights.items()}


def kind_of(weights: Mapping[str, Tensor]) -> str:
    """Return the kind of model that the weights belong to.

    Args:
        weights (`Mapping[str, torch.Tensor]`):
            State dict without `module.` prefixes.

    Returns:
        `str`: `"pre-training"`, `"classification"` or `"segmentation"`.

    Raises:
        ValueError: If the weights belong to no model of Point-MAE.
    """
    names = {name.removeprefix("MAE_encoder.") for name in weights}
    kind = next((kind for kind, head in _REQUIRED.items() if head[0] in weights), None)
    required = [head[0] for head in _REQUIRED.values()] if kind is None else [*_REQUIRED[kind], *_REQUIRED_ENCODER]
    missing = [name for name in required if name not in names]
    if kind is None or missing:
        raise ValueError(
            f"`weights` must be of {SUPPORTED}, got {looks_like(weights)} without {_first_names(missing)}."
        )
    return kind


def looks_like(weights: Mapping[str, Tensor]) -> str:
    """Return which model the names of weights look like."""
    for pattern, model in _OTHER_MODELS.items():
        if any(re.match(pattern, name) for name in weights):
            return model
    if any(name.startswith("cls_head_finetune.") for name in weights):
        return "a classifier with the encoder of Point-MAE and another head, as of ACT and ReCon"
    return f"{len(weights)} tensors such as {', '.join(sorted(weights)[:3]) or 'none'}"
