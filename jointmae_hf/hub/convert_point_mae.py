"""Conversion of Point-MAE's public checkpoints: pre-trained, fine-tuned for classification, and for part segmentation.

    jointmae convert-point-mae pretrain.pth outputs/point-mae

Point-MAE (Pang et al., ECCV 2022; code and checkpoints under the MIT license) is the flat 3D-only configuration of this
package: one FPS and kNN, a mini-PointNet, 12 blocks with positions added before each. The three kinds of checkpoints
differ in prefix and head.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jointmae_hf.model import (
    JointMAEConfig,
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEPreTrainedModel,
)

from .point_mae_checkpoint import MAX_REASON, SUPPORTED, kind_of, looks_like, read_point_mae


_CLASSES: dict[str, type[JointMAEPreTrainedModel]] = {
    "pre-training": JointMAEForPreTraining,
    "classification": JointMAEForPointCloudClassification,
    "segmentation": JointMAEForPointCloudSegmentation,
}
_DATASETS = {40: (1024, 64), 15: (2048, 128)}
"""Number of points and groups that Point-MAE uses for as many classes: ModelNet40 and ScanObjectNN."""

_TOKENIZER = {
    "first_conv.0": "fc1",
    "first_conv.1": "norm1",
    "first_conv.3": "fc2",
    "second_conv.0": "fc3",
    "second_conv.1": "norm2",
    "second_conv.3": "fc4",
}
_BLOCK = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_POSITION = {"0": "fc1", "2": "fc2"}
_CLASSIFIER = {"0": "hidden1.fc", "1": "hidden1.norm", "4": "hidden2.fc", "5": "hidden2.norm", "8": "out_proj"}
_SEGMENTER = {
    "label_conv.0": "category_embedding.fc",
    "label_conv.1": "category_embedding.norm",
    "propagation_0.mlp_convs.0": "propagation1.fc",
    "propagation_0.mlp_bns.0": "propagation1.norm",
    "propagation_0.mlp_convs.1": "propagation2.fc",
    "propagation_0.mlp_bns.1": "propagation2.norm",
    "convs1": "hidden1.fc",
    "bns1": "hidden1.norm",
    "convs2": "hidden2.fc",
    "bns2": "hidden2.norm",
    "convs3": "out_proj",
}


def config_of(weights: Mapping[str, Tensor], **overrides: Any) -> JointMAEConfig:
    """Build the configuration from the shapes of the weights.

    Args:
        weights (`Mapping[str, torch.Tensor]`):
            State dict without `module.` prefixes.
        overrides (`dict[str, Any]`, *optional*):
            Fields that shapes do not determine: `num_attention_heads` (6), `num_points` (1,024; 2,048 for part
            segmentation and ScanObjectNN), `num_groups` (64; 128 for part segmentation and ScanObjectNN), `group_size`
            (32), `mask_ratio` (0.6). A classifier of 15 classes is one of ScanObjectNN, of 40 of ModelNet40; for another
            number of classes `num_points` and `num_groups` must be given.

    Returns:
        `JointMAEConfig`: Flat and 3D only.

    Raises:
        ValueError: If the weights belong to no model of Point-MAE, or a field must be given.
    """
    kind = kind_of(weights)
    if kind == "classification":
        _check_sizes(weights, overrides)
    fields = _encoder_fields(weights, "MAE_encoder." if kind == "pre-training" else "")
    return JointMAEConfig(**{**fields, **_HEAD_FIELDS[kind](weights), **overrides})


def _check_sizes(weights: Mapping[str, Tensor], overrides: Mapping[str, Any]) -> None:
    """Raise if neither the number of classes nor an option tells the number of groups: outputs would silently differ."""
    num_labels = len(weights["cls_head_finetune.8.weight"])
    missing = [name for name in ("num_points", "num_groups") if name not in overrides]
    if num_labels not in _DATASETS and missing:
        raise ValueError(
            f"`{missing[0]}` must be given for a classifier of {num_labels} classes, got none: the weights do not tell it. "
            "Pass `num_points` and `num_groups` as the classifier was trained: 1024 and 64 on ModelNet40, 2048 and 128 on "
            "ScanObjectNN."
        )


def _encoder_fields(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Any]:
    """Return the fields that the three kinds share."""
    intermediate_size, hidden_size = weights[f"{prefix}blocks.blocks.0.mlp.fc1.weight"].shape
    tokenizer = [f"{prefix}encoder.{name}" for name in ("first_conv.0", "first_conv.3", "second_conv.0")]
    return {
        "hidden_size": hidden_size,
        "num_hidden_layers": _num_blocks(weights, f"{prefix}blocks.blocks."),
        "num_attention_heads": 6,
        "intermediate_size": intermediate_size,
        "embedding_3d": "flat",
        "embedding_sizes_3d": _output_sizes(weights, tokenizer),
        "position_hidden_size": weights[f"{prefix}pos_embed.0.weight"].shape[0],
        "num_points": 1024,
        "num_groups": [64],
        "group_size": [32],
        "fps_start": "first",
        "neighborhood": "all",
        "use_2d_branch": False,
        "mask_ratio": 0.6,
        "decoder_num_hidden_layers": 4,
        "specific_decoder_num_hidden_layers": 0,
        "target_group_size": 32,
        "qkv_bias": f"{prefix}blocks.blocks.0.attn.qkv.bias" in weights,
    }


def _pretraining_fields(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the fields of the decoder."""
    return {
        "decoder_num_hidden_layers": _num_blocks(weights, "MAE_decoder.blocks."),
        "target_group_size": weights["increase_dim.0.weight"].shape[0] // 3,
    }


def _classification_fields(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the fields of the classification head, and of the dataset that the number of classes tells."""
    num_labels = len(weights["cls_head_finetune.8.weight"])
    num_points, num_groups = _DATASETS.get(num_labels, _DATASETS[40])
    return {
        "num_points": num_points,
        "num_groups": [num_groups],
        "pooling": "class",
        "classifier_hidden_sizes": _output_sizes(weights, ["cls_head_finetune.0", "cls_head_finetune.4"]),
        "num_labels": num_labels,
    }


def _segmentation_fields(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the fields of the segmentation head, and of its inputs."""
    category_embedding_size, num_categories = weights["label_conv.0.weight"].shape[:2]
    return {
        "num_points": 2048,
        "num_groups": [128],
        "num_labels": weights["convs3.weight"].shape[0],
        "num_categories": num_categories,
        "category_embedding_size": category_embedding_size,
        "propagation_hidden_sizes": _output_sizes(weights, ["propagation_0.mlp_convs.0", "propagation_0.mlp_convs.1"]),
        "segmentation_hidden_sizes": _output_sizes(weights, ["convs1", "convs2"]),
    }


_HEAD_FIELDS = {
    "pre-training": _pretraining_fields,
    "classification": _classification_fields,
    "segmentation": _segmentation_fields,
}


def _output_sizes(weights: Mapping[str, Tensor], layers: Sequence[str]) -> list[int]:
    """Return the number of outputs of each layer."""
    return [weights[f"{layer}.weight"].shape[0] for layer in layers]


def convert_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of Point-MAE to those of the model of the same kind.

    The modality token, which Point-MAE does not have, is zero. A bias before a batch norm, which the heads of this package
    do not have, is subtracted from the running mean, so outputs stay the same.

    Args:
        weights (`Mapping[str, torch.Tensor]`):
            State dict without `module.` prefixes.

    Returns:
        `dict[str, torch.Tensor]`: State dict of `JointMAEForPreTraining`, `JointMAEForPointCloudClassification` or
        `JointMAEForPointCloudSegmentation`.

    Raises:
        ValueError: If the weights belong to no model of Point-MAE, or one of them is unknown.
    """
    kind = kind_of(weights)
    rest = dict(weights)
    converted: dict[str, Tensor] = {}
    prefix = "MAE_encoder." if kind == "pre-training" else ""
    _move(rest, converted, _TOKENIZER, f"{prefix}encoder.", "jointmae.embeddings_3d.coarse_grouping.", _squeeze)
    _move(rest, converted, _POSITION, f"{prefix}pos_embed.", "jointmae.position_embeddings_3d.")
    _move_blocks(rest, converted, f"{prefix}blocks.blocks.", "jointmae.layers.")
    _move(rest, converted, {"norm": "layernorm"}, prefix, "jointmae.")
    converted["jointmae.modality_token_3d"] = torch.zeros(1, 1, converted["jointmae.layernorm.weight"].shape[0])
    if kind == "pre-training":
        _move_decoder(rest, converted)
    elif kind == "classification":
        _move_classifier(rest, converted)
    else:
        _move_segmenter(rest, converted)
    if rest:
        raise ValueError(
            f"`weights` must hold only weights of Point-MAE, got {len(rest)} unknown: {', '.join(sorted(rest)[:5])}. They "
            f"look like {looks_like(weights)}."
        )
    return converted


def _move_decoder(rest: dict[str, Tensor], converted: dict[str, Tensor]) -> None:
    """Move the decoder and the reconstruction head."""
    converted["decoder.mask_token_3d"] = rest.pop("mask_token")
    _move(rest, converted, _POSITION, "decoder_pos_embed.", "decoder.position_embeddings_3d.")
    _move_blocks(rest, converted, "MAE_decoder.blocks.", "decoder.layers.")
    _move(rest, converted, {"norm": "layernorm_3d"}, "MAE_decoder.", "decoder.")
    _move(rest, converted, {"increase_dim.0": "reconstruction_head_3d"}, "", "", _squeeze)


def _move_classifier(rest: dict[str, Tensor], converted: dict[str, Tensor]) -> None:
    """Move the class token and the classification head."""
    converted["jointmae.class_token"] = rest.pop("cls_token")
    converted["jointmae.class_position"] = rest.pop("cls_pos")
    _move(rest, converted, _CLASSIFIER, "cls_head_finetune.", "classifier.")
    _fold_biases_into_norms(converted, "classifier.")


def _move_segmenter(rest: dict[str, Tensor], converted: dict[str, Tensor]) -> None:
    """Move the segmentation head."""
    _move(rest, converted, _SEGMENTER, "", "segmenter.", _squeeze)
    # Inputs of the propagation: Point-MAE puts coordinates before the interpolated features, we put them after.
    first = converted["segmenter.propagation1.fc.weight"]
    converted["segmenter.propagation1.fc.weight"] = torch.cat([first[:, 3:], first[:, :3]], dim=1)
    _fold_biases_into_norms(converted, "segmenter.")


def _num_blocks(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of transformer blocks below a prefix."""
    return 1 + max(int(name[len(prefix) :].split(".")[0]) for name in weights if name.startswith(prefix))


def _squeeze(value: Tensor) -> Tensor:
    """Return the weight of a convolution of kernel size 1 as that of a linear layer."""
    return value[..., 0] if value.ndim == 3 else value


def _move(
    rest: dict[str, Tensor],
    converted: dict[str, Tensor],
    modules: Mapping[str, str],
    old_prefix: str,
    new_prefix: str,
    change: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Move the weights of some modules from `rest` to `converted`."""
    for old, new in modules.items():
        names = [name for name in rest if name.startswith(f"{old_prefix}{old}.")]
        for name in names:
            value = rest.pop(name)
            converted[f"{new_prefix}{new}.{name.rsplit('.', 1)[1]}"] = value if change is None else change(value)


def _move_blocks(rest: dict[str, Tensor], converted: dict[str, Tensor], old_prefix: str, new_prefix: str) -> None:
    """Move transformer blocks, with separate layers for queries, keys and values."""
    for block in range(_num_blocks(rest, old_prefix)):
        _move(rest, converted, _BLOCK, f"{old_prefix}{block}.", f"{new_prefix}{block}.")
        for kind in ("weight", "bias"):
            joint = rest.pop(f"{old_prefix}{block}.attn.qkv.{kind}", None)
            if joint is not None:
                for name, part in zip("qkv", joint.chunk(3), strict=True):
                    converted[f"{new_prefix}{block}.attention.{name}_proj.{kind}"] = part.clone()


def _fold_biases_into_norms(converted: dict[str, Tensor], prefix: str) -> None:
    """Remove the biases of layers before a batch norm, and subtract them from its running mean."""
    names = [name for name in converted if name.startswith(prefix) and name.endswith(".fc.bias")]
    for name in names:
        norm = name.replace(".fc.bias", ".norm.running_mean")
        converted[norm] = converted[norm] - converted.pop(name)


def convert_point_mae(
    path: str | os.PathLike[str], output_dir: str | os.PathLike[str], **overrides: Any
) -> JointMAEPreTrainedModel:
    """Convert a checkpoint of Point-MAE and save it with a feature extractor.

    Outputs agree with those of Point-MAE's code to 1e-4 in float32, with one exception: its CUDA operator for farthest
    point sampling never selects a point within 0.032 of the origin, ours does.

    Args:
        path (`str` or `os.PathLike`):
            `.pth` file, see [`read_point_mae`].
        output_dir (`str` or `os.PathLike`):
            New or empty folder.
        overrides (`dict[str, Any]`, *optional*):
            Fields of `JointMAEConfig` that the weights do not determine, see [`config_of`].

    Returns:
        `JointMAEPreTrainedModel`: The model, in evaluation mode.

    Raises:
        FileExistsError: If `output_dir` is not empty.
        ValueError: If the file is not a checkpoint of Point-MAE, or does not determine a field.
    """
    output_dir = Path(output_dir)
    if output_dir.exists() and any(output_dir.iterdir()):
        raise FileExistsError(f"`output_dir` must be new or empty, got {os.fspath(output_dir)!r}.")
    weights = read_point_mae(path)
    model = _CLASSES[kind_of(weights)](config_of(weights, **overrides)).eval()
    try:
        model.load_state_dict(convert_weights(weights))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()[:MAX_REASON]
        raise ValueError(f"`path` must hold all weights of {SUPPORTED}, got {path!s}: {reason}") from error
    model.save_pretrained(output_dir)
    # Paper: Point-MAE takes the clouds of ScanObjectNN as in the files, as our recipe does.
    is_scanobjectnn = model.config.pooling == "class" and model.config.num_labels == 15
    extractor = JointMAEFeatureExtractor(num_points=model.config.num_points, do_normalize=not is_scanobjectnn)
    extractor.save_pretrained(output_dir)
    return model
