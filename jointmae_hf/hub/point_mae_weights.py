"""Names and shapes of Point-MAE's weights, and what they are called here.

Point-MAE (Pang et al., ECCV 2022; code and checkpoints under the MIT licence) is the flat 3D-only configuration of this
package: one FPS and kNN, a mini-PointNet, 12 blocks with positions added before each. Its pre-trained, classification and
part segmentation checkpoints differ in prefix and head.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from jointmae_hf.model import JointMAEConfig


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


def kind_of(weights: Mapping[str, Tensor]) -> str:
    """Tell which of Point-MAE's three models the weights belong to.

    Args:
        weights (`Mapping[str, torch.Tensor]`):
            State dict without `module.` prefixes.

    Returns:
        `str`: `"pre-training"`, `"classification"` or `"segmentation"`.

    Raises:
        ValueError: If they belong to none.
    """
    markers = {
        "pre-training": "MAE_encoder.encoder.first_conv.0.weight",
        "classification": "cls_head_finetune.0.weight",
        "segmentation": "propagation_0.mlp_convs.0.weight",
    }
    for kind, marker in markers.items():
        if marker in weights:
            return kind
    raise ValueError(
        f"`weights` must hold one of {', '.join(markers.values())}, got {', '.join(sorted(weights)[:5]) or 'none'}."
    )


def config_of(weights: Mapping[str, Tensor], **overrides: Any) -> JointMAEConfig:
    """Build the configuration that the shapes of the weights tell.

    Args:
        weights (`Mapping[str, torch.Tensor]`):
            State dict without `module.` prefixes.
        overrides (`dict[str, Any]`, *optional*):
            Fields that shapes do not tell: `num_attention_heads` (6), `num_points` (1,024), `num_groups` (64; 128 in part
            segmentation and for ScanObjectNN), `group_size` (32), `mask_ratio` (0.6).

    Returns:
        `JointMAEConfig`: Flat and 3D only.

    Raises:
        ValueError: If the weights belong to none of Point-MAE's models.
    """
    kind = kind_of(weights)
    prefix = "MAE_encoder." if kind == "pre-training" else ""
    tokenizer = f"{prefix}encoder."
    blocks = _num_blocks(weights, f"{prefix}blocks.blocks.")
    intermediate_size, hidden_size = weights[f"{prefix}blocks.blocks.0.mlp.fc1.weight"].shape
    fields: dict[str, Any] = {
        "hidden_size": hidden_size,
        "num_hidden_layers": blocks,
        "num_attention_heads": 6,
        "intermediate_size": intermediate_size,
        "embedding_3d": "flat",
        "embedding_sizes_3d": [
            weights[f"{tokenizer}{name}.weight"].shape[0] for name in ("first_conv.0", "first_conv.3", "second_conv.0")
        ],
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
    if kind == "pre-training":
        fields["decoder_num_hidden_layers"] = _num_blocks(weights, "MAE_decoder.blocks.")
        fields["target_group_size"] = weights["increase_dim.0.weight"].shape[0] // 3
    elif kind == "classification":
        fields["pooling"] = "class"
        fields["classifier_hidden_sizes"] = [weights[f"cls_head_finetune.{row}.weight"].shape[0] for row in (0, 4)]
        fields["num_labels"] = weights["cls_head_finetune.8.weight"].shape[0]
    else:
        fields |= {"num_points": 2048, "num_groups": [128], "num_labels": weights["convs3.weight"].shape[0]}
        category_embedding_size, num_categories = weights["label_conv.0.weight"].shape[:2]
        fields |= {"num_categories": num_categories, "category_embedding_size": category_embedding_size}
        fields["propagation_hidden_sizes"] = [
            weights[f"propagation_0.mlp_convs.{row}.weight"].shape[0] for row in (0, 1)
        ]
        fields["segmentation_hidden_sizes"] = [weights[f"convs{row}.weight"].shape[0] for row in (1, 2)]
    return JointMAEConfig(**{**fields, **overrides})


def convert_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename Point-MAE's weights to those of the model of their kind.

    The modality token, which Point-MAE does not have, is zero. A bias before batch norm, which this package's heads leave
    out, is taken into the running mean: nothing changes in evaluation, nor, after it, in training.

    Args:
        weights (`Mapping[str, torch.Tensor]`):
            State dict without `module.` prefixes.

    Returns:
        `dict[str, torch.Tensor]`: State dict of `JointMAEForPreTraining`, `JointMAEForPointCloudClassification` or
        `JointMAEForPointCloudSegmentation`.

    Raises:
        ValueError: If the weights belong to none of Point-MAE's models, or one of them has no place here.
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
        converted["decoder.mask_token_3d"] = rest.pop("mask_token")
        _move(rest, converted, _POSITION, "decoder_pos_embed.", "decoder.position_embeddings_3d.")
        _move_blocks(rest, converted, "MAE_decoder.blocks.", "decoder.layers.")
        _move(rest, converted, {"norm": "layernorm_3d"}, "MAE_decoder.", "decoder.")
        _move(rest, converted, {"increase_dim.0": "reconstruction_head_3d"}, "", "", _squeeze)
    elif kind == "classification":
        converted["jointmae.class_token"] = rest.pop("cls_token")
        converted["jointmae.class_position"] = rest.pop("cls_pos")
        _move(rest, converted, _CLASSIFIER, "cls_head_finetune.", "classifier.")
        _take_biases_into_norms(converted, "classifier.")
    else:
        _move(rest, converted, _SEGMENTER, "", "segmenter.", _squeeze)
        # Point-MAE puts coordinates before the features that are carried to the points, we behind.
        first = converted["segmenter.propagation1.fc.weight"]
        converted["segmenter.propagation1.fc.weight"] = torch.cat([first[:, 3:], first[:, :3]], dim=1)
        _take_biases_into_norms(converted, "segmenter.")
    if rest:
        raise ValueError(
            f"`weights` must all have a place, got {len(rest)} unknown ones: {', '.join(sorted(rest)[:5])}."
        )
    return converted


def _num_blocks(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Number of transformer blocks below a prefix."""
    return 1 + max(int(name[len(prefix) :].split(".")[0]) for name in weights if name.startswith(prefix))


def _squeeze(value: Tensor) -> Tensor:
    """Weight of a convolution of kernel size 1 as that of a linear layer."""
    return value[..., 0] if value.ndim == 3 else value


def _move(
    rest: dict[str, Tensor],
    converted: dict[str, Tensor],
    modules: Mapping[str, str],
    old_prefix: str,
    new_prefix: str,
    change: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Move all weights of some modules from `rest` to `converted`."""
    for old, new in modules.items():
        names = [name for name in rest if name.startswith(f"{old_prefix}{old}.")]
        for name in names:
            value = rest.pop(name)
            converted[f"{new_prefix}{new}.{name.rsplit('.', 1)[1]}"] = value if change is None else change(value)


def _move_blocks(rest: dict[str, Tensor], converted: dict[str, Tensor], old_prefix: str, new_prefix: str) -> None:
    """Move transformer blocks; queries, keys and values get layers of their own."""
    for block in range(_num_blocks(rest, old_prefix)):
        _move(rest, converted, _BLOCK, f"{old_prefix}{block}.", f"{new_prefix}{block}.")
        for kind in ("weight", "bias"):
            joint = rest.pop(f"{old_prefix}{block}.attn.qkv.{kind}", None)
            if joint is not None:
                for name, part in zip("qkv", joint.chunk(3), strict=True):
                    converted[f"{new_prefix}{block}.attention.{name}_proj.{kind}"] = part.clone()


def _take_biases_into_norms(converted: dict[str, Tensor], prefix: str) -> None:
    """Remove biases of layers that batch norm follows, and lower the running mean by them."""
    names = [name for name in converted if name.startswith(prefix) and name.endswith(".fc.bias")]
    for name in names:
        norm = name.replace(".fc.bias", ".norm.running_mean")
        converted[norm] = converted[norm] - converted.pop(name)
