# Copyright 2026 The jointmae_hf authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Configuration of Joint-MAE: the paper's shapes as defaults, every ablation as a field."""

import difflib
import itertools
import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import GenerationConfig, PreTrainedConfig
from transformers.utils import auto_docstring, logging

from .remote_code import without_own_code


logger = logging.get_logger(__name__)


PRESETS: dict[str, dict[str, Any]] = {
    "jointmae-base": {},
    "jointmae-small": {
        "hidden_size": 192,
        "num_hidden_layers": 8,
        "num_attention_heads": 6,
        "intermediate_size": 768,
    },
}
"""Published sizes: fields that differ from the defaults, which are those of the paper."""

PASSED_THROUGH_KEYS = frozenset(
    {
        "attn_implementation",
        "auto_map",
        "custom_pipelines",
        "experts_implementation",
        "per_layer_config",
        "quantization_config",
        "tie_last_hidden_states",
        "torch_dtype",
    }
)
"""Keys that transformers puts into a configuration without declaring them as fields, in addition to private ones."""


@auto_docstring(
    checkpoint="jointmae-base",
    custom_intro="""
    This is the configuration class to store the configuration of a Joint-MAE model. Its defaults are the shapes of
    the paper (Sec. 3 and 4.1); where the paper is silent, `docs/paper_to_code.md` gives the source of the value.
    """,
)
@strict
class JointMAEConfig(PreTrainedConfig):
    r"""
    num_points (`int`, *optional*, defaults to 2048):
        Number of points N of a cloud, as returned by the feature extractor. The models accept any number of at least
        `num_groups[0]`.
    embedding_3d (`str`, *optional*, defaults to `"hierarchical"`):
        `"hierarchical"` for the two grouping blocks of Sec. 3.1, `"flat"` for the tokenizer of Point-MAE (Table 7).
    num_groups (`list[int]`, *optional*, defaults to `[256, 64]`):
        Number of centers of each scale, fine to coarse; the last one is the number of 3D tokens. `[64]` if flat.
    group_size (`list[int]`, *optional*, defaults to `[16, 8]`):
        Number of neighbors of a center in each scale. `[32]` if flat.
    embedding_sizes_3d (`list[int]`, *optional*):
        Widths of the 3D embedding before `hidden_size`; by default a quarter and a half of it, 96 and 192. If flat,
        the three widths of Point-MAE's tokenizer, 128, 256 and 512.
    position_hidden_size (`int`, *optional*):
        Hidden width of the position embedding of 3D centers; by default `hidden_size` (Point-M2AE), 128 if flat
        (Point-MAE).
    fps_start (`str`, *optional*, defaults to `"farthest"`):
        First center: the point `"farthest"` from the centroid, the `"first"` point of the cloud (Point-MAE), or a
        `"random"` one in pre-training, as an augmentation.
    neighborhood (`str`, *optional*, defaults to `"visible"`):
        What visible tokens are made of in pre-training: only points and pixels that belong to visible tokens
        (`"visible"`), or `"all"`, as published, which shows the encoder about half of what it has to reconstruct.
        Downstream every token sees all of them.
    use_2d_branch (`bool`, *optional*, defaults to `True`):
        Whether to pre-train with depth maps. `False` is the 3D-only baseline.
    image_size (`int`, *optional*, defaults to 224):
        Side of the depth map in pixels.
    patch_size (`int`, *optional*, defaults to 4):
        Side of a patch in pixels before the two convolutions; the side of a 2D token is `4 * patch_size`.
    embedding_2d (`str`, *optional*, defaults to `"hierarchical"`):
        `"hierarchical"` for patches and two convolution blocks (Sec. 3.1), `"flat"` for patches of the size of a token
        (Table 7).
    embedding_sizes_2d (`list[int]`, *optional*):
        Widths of the 2D embedding before `hidden_size`; by default a quarter and a half of it. Empty if flat.
    position_embedding_2d (`str`, *optional*, defaults to `"sincos"`):
        `"sincos"` (fixed), `"learned"` or `"none"`.
    projection_mode (`str`, *optional*, defaults to `"soft"`):
        Depth projection: `"soft"`, `"zbuffer"`, `"simpleview"` (the one the paper cites, without gradient in x and y)
        or `"rendered"`, soft with colors in the cross loss (last row of Table 8).
    camera_distance (`float`, *optional*, defaults to 2.0):
        Distance from the camera to the center of the cloud, in radii of the cloud.
    focal_length (`float`, *optional*, defaults to 1.6):
        In half image widths.
    splat_radius (`float`, *optional*, defaults to 2.5):
        Radius in pixels over which the soft projection spreads a point.
    max_view_elevation (`float`, *optional*, defaults to 45.0):
        Largest elevation of a random view above and below the horizon, in degrees; the azimuth covers the full circle.
    mask_ratio (`float`, *optional*, defaults to 0.75):
        Share of hidden tokens of each modality.
    mask_ratio_2d (`float`, *optional*):
        Share of hidden 2D tokens; by default `mask_ratio`.
    mask_alignment (`str`, *optional*, defaults to `"independent"`):
        `"independent"` masks (the paper), or `"aligned"`: patches that visible centers project into stay visible.
    correlation (`str`, *optional*, defaults to `"center"`):
        A 3D and a 2D token are correlated if the token's `"center"` is projected into the patch (the paper), or any
        point of its `"group"`.
    local_2d_to_3d (`bool`, *optional*, defaults to `True`):
        Whether 2D queries attend only to correlated 3D keys (Table 6).
    local_3d_to_2d (`bool`, *optional*, defaults to `True`):
        Whether 3D queries attend only to correlated 2D keys (Table 6).
    decoder_num_hidden_layers (`int`, *optional*, defaults to 2):
        Number of blocks of the modal-shared decoder; 0 removes it (Table 7).
    specific_decoder_num_hidden_layers (`int`, *optional*, defaults to 1):
        Number of blocks of each modal-specific decoder.
    target_group_size (`int`, *optional*, defaults to 32):
        Number of points that a 3D token reconstructs.
    loss_3d_target (`str`, *optional*, defaults to `"groups"`):
        `"groups"`: each hidden token against its nearest raw points (Point-MAE). `"cloud"`: the points of all tokens
        against the whole cloud, Eq. 5 as published.
    num_views (`int`, *optional*, defaults to 4):
        Number of projections of the cross loss (Table 8).
    loss_3d_weight (`float`, *optional*, defaults to 1.0):
        Weight of L_3D in Eq. 7.
    loss_2d_weight (`float`, *optional*, defaults to 1.0):
        Weight of L_2D in Eq. 7.
    loss_3d_2d_weight (`float`, *optional*, defaults to 1.0):
        Weight of L_3D-2D in Eq. 7; 0 removes the loss (Table 8).
    pooling (`str`, *optional*, defaults to `"sum"`):
        Input of the classification head: `"sum"`, mean plus maximum of the tokens; `"concat"`, both side by side, the
        ScanObjectNN recipe of Point-M2AE; `"mean"` or `"max"` alone; or `"class"`, a class token and the maximum,
        Point-MAE's fine-tuning.
    classifier_hidden_sizes (`list[int]`, *optional*, defaults to `[256, 256]`):
        Widths of the classification head.
    classifier_dropout (`float`, *optional*, defaults to 0.5):
        Dropout of the classification and segmentation heads.
    out_indices (`list[int]`, *optional*):
        Blocks, counted from 1, whose outputs the segmentation head reads; by default those at a third, two thirds and
        the end of the encoder, 4, 8 and 12.
    propagation_hidden_sizes (`list[int]`, *optional*):
        Widths of the feature propagation to points; by default 1536 and 1024, scaled with `hidden_size`.
    segmentation_hidden_sizes (`list[int]`, *optional*):
        Widths of the segmentation head; by default 512 and 256, scaled with `hidden_size`.
    num_categories (`int`, *optional*, defaults to 16):
        Number of object categories that condition the segmentation.
    category_embedding_size (`int`, *optional*, defaults to 64):
        Width of the embedding of the object category.
    category_labels (`list[list[int]]`, *optional*):
        Part labels of each object category; `post_process` of the segmentation model returns no others.

    Example:

    ```python
    >>> from jointmae_hf import JointMAEConfig, JointMAEForPreTraining

    >>> configuration = JointMAEConfig()  # the paper
    >>> configuration.num_groups, configuration.num_patches
    ([256, 64], 196)

    >>> configuration = JointMAEConfig.from_preset("jointmae-small", local_2d_to_3d=False)
    >>> model = JointMAEForPreTraining(configuration)

    ```"""

    model_type = "jointmae"

    hidden_size: int = 384
    num_hidden_layers: int = 12
    num_attention_heads: int = 6
    intermediate_size: int = 1536
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.0
    attention_probs_dropout_prob: float | int = 0.0
    drop_path_rate: float | int = 0.1
    qkv_bias: bool = False
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5

    num_points: int = 2048
    embedding_3d: Literal["hierarchical", "flat"] = "hierarchical"
    num_groups: list[int] | tuple[int, ...] | None = None
    group_size: list[int] | tuple[int, ...] | None = None
    embedding_sizes_3d: list[int] | tuple[int, ...] | None = None
    position_hidden_size: int | None = None
    fps_start: Literal["farthest", "first", "random"] = "farthest"
    neighborhood: Literal["visible", "all"] = "visible"

    use_2d_branch: bool = True
    image_size: int = 224
    patch_size: int = 4
    num_channels: int = 1
    embedding_2d: Literal["hierarchical", "flat"] = "hierarchical"
    embedding_sizes_2d: list[int] | tuple[int, ...] | None = None
    position_embedding_2d: Literal["sincos", "learned", "none"] = "sincos"

    projection_mode: Literal["soft", "zbuffer", "simpleview", "rendered"] = "soft"
    camera_distance: float | int = 2.0
    focal_length: float | int = 1.6
    splat_radius: float | int = 2.5
    max_view_elevation: float | int = 45.0

    mask_ratio: float | int = 0.75
    mask_ratio_2d: float | int | None = None
    mask_alignment: Literal["independent", "aligned"] = "independent"
    correlation: Literal["center", "group"] = "center"
    local_2d_to_3d: bool = True
    local_3d_to_2d: bool = True

    decoder_num_hidden_layers: int = 2
    specific_decoder_num_hidden_layers: int = 1
    target_group_size: int = 32
    loss_3d_target: Literal["groups", "cloud"] = "groups"
    num_views: int = 4
    loss_3d_weight: float | int = 1.0
    loss_2d_weight: float | int = 1.0
    loss_3d_2d_weight: float | int = 1.0

    pooling: Literal["sum", "concat", "mean", "max", "class"] = "sum"
    classifier_hidden_sizes: list[int] | tuple[int, ...] = (256, 256)
    classifier_dropout: float | int = 0.5
    out_indices: list[int] | tuple[int, ...] | None = None
    propagation_hidden_sizes: list[int] | tuple[int, ...] | None = None
    segmentation_hidden_sizes: list[int] | tuple[int, ...] | None = None
    num_categories: int = 16
    category_embedding_size: int = 64
    category_labels: list[list[int]] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Derive missing fields, convert tuples to lists as JSON does, and warn about unknown fields."""
        width, is_flat = self.hidden_size, self.embedding_3d == "flat"
        derived = {
            "num_groups": [64] if is_flat else [256, 64],
            "group_size": [32] if is_flat else [16, 8],
            "embedding_sizes_3d": [128, 256, 512] if is_flat else [width // 4, width // 2],
            "embedding_sizes_2d": [] if self.embedding_2d == "flat" else [width // 4, width // 2],
            "classifier_hidden_sizes": self.classifier_hidden_sizes,
            "out_indices": _thirds(self.num_hidden_layers),
            "propagation_hidden_sizes": [4 * width, 8 * width // 3],
            "segmentation_hidden_sizes": [4 * width // 3, 2 * width // 3],
        }
        for name, default in derived.items():
            value = getattr(self, name)
            setattr(self, name, list(default if value is None else value))
        if self.position_hidden_size is None:
            self.position_hidden_size = 128 if is_flat else width
        if self.mask_ratio_2d is None:
            self.mask_ratio_2d = self.mask_ratio
        self._warn_about_unknown_fields(kwargs)
        super().__post_init__(**without_own_code(self, self._without_own_pipelines(kwargs)))

    @classmethod
    def from_preset(cls, name: str, **overrides: Any) -> "JointMAEConfig":
        """Build one of the published sizes.

        Args:
            name (`str`):
                `"jointmae-base"`, the model of the paper, or `"jointmae-small"`, which stays below 16 MiB in bfloat16.
            overrides (`dict[str, Any]`, *optional*):
                Fields that override those of the preset.

        Returns:
            `JointMAEConfig`: The configuration.

        Raises:
            ValueError: If there is no preset with that name.
        """
        if name not in PRESETS:
            raise ValueError(f"`name` must be one of {sorted(PRESETS)}, got {name!r}.")
        return cls(**{**PRESETS[name], **overrides})

    @property
    def token_patch_size(self) -> int:
        """`int`: Side of a 2D token in pixels, 16 in the paper."""
        return 4 * self.patch_size

    @property
    def num_patches(self) -> int:
        """`int`: Number of 2D tokens, HW / 256 in the paper."""
        return (self.image_size // self.token_patch_size) ** 2

    def validate_architecture(self) -> None:
        """Part of `@strict`-powered validation, runs first: every count is positive."""
        super().validate_architecture()
        encoder = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        inputs = ("num_points", "image_size", "patch_size", "num_channels", "position_hidden_size")
        heads = ("target_group_size", "num_views", "num_categories", "category_embedding_size")
        for name in encoder + inputs + heads:
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        lists = ("embedding_sizes_3d", "embedding_sizes_2d", "classifier_hidden_sizes", "propagation_hidden_sizes")
        for name in ("num_groups", "group_size", *lists, "segmentation_hidden_sizes"):
            smallest_of_none = 1 if name in lists else 0
            if min(getattr(self, name), default=smallest_of_none) < 1:
                raise ValueError(f"`{name}` must hold numbers of at least 1, got {getattr(self, name)}.")

    def validate_hidden_size(self) -> None:
        """Part of `@strict`-powered validation: the width is divisible by the heads and by 2D sin-cos positions."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"`hidden_size` must be divisible by `num_attention_heads`, got {self.hidden_size} and "
                f"{self.num_attention_heads}."
            )
        if self.hidden_size % 4:
            raise ValueError(f"`hidden_size` must be divisible by 4, got {self.hidden_size}.")

    def validate_num_groups(self) -> None:
        """Part of `@strict`-powered validation: scales are consistent with each other and with the cloud."""
        num_scales = 1 if self.embedding_3d == "flat" else 2
        for name in ("num_groups", "group_size"):
            if len(getattr(self, name)) != num_scales:
                raise ValueError(
                    f'`{name}` must have {num_scales} entries with `embedding_3d="{self.embedding_3d}"`, got '
                    f"{getattr(self, name)}."
                )
        scales = [self.num_points, *self.num_groups]
        if any(coarse > fine for fine, coarse in itertools.pairwise(scales)):
            raise ValueError(
                f"`num_groups` must not exceed `num_points` and must not grow from scale to scale, got "
                f"{self.num_groups} for {self.num_points} points. Sample more points or lower `num_groups`."
            )
        if any(size > count for size, count in zip(self.group_size, scales, strict=False)):
            raise ValueError(
                f"`group_size` must not exceed the number of points of the scale it groups, got {self.group_size} "
                f"for {scales[:-1]} points."
            )
        if self.target_group_size > self.num_points:
            raise ValueError(
                f"`target_group_size` must not exceed `num_points`, got {self.target_group_size} and "
                f"{self.num_points}."
            )

    def validate_embedding_sizes(self) -> None:
        """Part of `@strict`-powered validation: there is one width for each stage of the embeddings and heads."""
        stages = {
            "embedding_sizes_3d": 3 if self.embedding_3d == "flat" else 2,
            "embedding_sizes_2d": 0 if self.embedding_2d == "flat" else 2,
            "classifier_hidden_sizes": 2,
            "propagation_hidden_sizes": 2,
            "segmentation_hidden_sizes": 2,
        }
        for name, num_stages in stages.items():
            if len(getattr(self, name)) != num_stages:
                raise ValueError(f"`{name}` must have {num_stages} entries, got {getattr(self, name)}.")

    def validate_image_size(self) -> None:
        """Part of `@strict`-powered validation: 2D tokens are whole and have one channel."""
        if self.image_size % self.token_patch_size:
            raise ValueError(
                f"`image_size` must be divisible by 4 * `patch_size`, got {self.image_size} and {self.patch_size}."
            )
        if self.num_channels != 1:
            raise ValueError(f"`num_channels` must be 1, a depth map has one channel, got {self.num_channels}.")

    def validate_mask_ratio(self) -> None:
        """Part of `@strict`-powered validation: of each modality at least one token is visible and one hidden."""
        for name, num_tokens in (("mask_ratio", self.num_groups[-1]), ("mask_ratio_2d", self.num_patches)):
            ratio = getattr(self, name)
            if not 0 < ratio < 1 or not 0 < int(ratio * num_tokens) < num_tokens:
                raise ValueError(
                    f"`{name}` must be in (0, 1) and hide at least one of {num_tokens} tokens but not all, got {ratio}."
                )

    def validate_rates(self) -> None:
        """Part of `@strict`-powered validation: rates of dropout and drop path are in [0, 1)."""
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate", "classifier_dropout")
        for name in rates:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be in [0, 1), got {getattr(self, name)}.")

    def validate_projection(self) -> None:
        """Part of `@strict`-powered validation: the unit sphere lies in front of the camera."""
        if not 1 < self.camera_distance < math.inf:
            raise ValueError(f"`camera_distance` must exceed 1, the cloud's radius, got {self.camera_distance}.")
        for name in ("focal_length", "splat_radius"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be positive and finite, got {getattr(self, name)}.")
        if not 0 <= self.max_view_elevation <= 90:
            raise ValueError(f"`max_view_elevation` must be in [0, 90] degrees, got {self.max_view_elevation}.")

    def validate_decoder(self) -> None:
        """Part of `@strict`-powered validation: the decoder has a block."""
        for name in ("decoder_num_hidden_layers", "specific_decoder_num_hidden_layers"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must not be negative, got {getattr(self, name)}.")
        if self.decoder_num_hidden_layers + self.specific_decoder_num_hidden_layers == 0:
            raise ValueError(
                "`decoder_num_hidden_layers` and `specific_decoder_num_hidden_layers` must not both be 0, got 0 and 0."
            )

    def validate_loss_weights(self) -> None:
        """Part of `@strict`-powered validation: no weight of Eq. 7 is negative, and one is positive."""
        names = ("loss_3d_weight", "loss_2d_weight", "loss_3d_2d_weight")
        weights = [getattr(self, name) for name in names]
        if not all(0 <= weight < math.inf for weight in weights) or max(weights) == 0:
            raise ValueError(f"`{'`, `'.join(names)}` must be finite, not negative and not all 0, got {weights}.")

    def validate_out_indices(self) -> None:
        """Part of `@strict`-powered validation: segmentation reads existing blocks, each once and in order."""
        is_ascending = all(a < b for a, b in itertools.pairwise(self.out_indices))
        if not self.out_indices or not is_ascending or not self.out_indices[0] >= 1:
            raise ValueError(f"`out_indices` must hold ascending block numbers from 1, got {self.out_indices}.")
        if self.out_indices[-1] > self.num_hidden_layers:
            raise ValueError(
                f"`out_indices` must not exceed `num_hidden_layers`, got {self.out_indices} and "
                f"{self.num_hidden_layers}."
            )

    def validate_category_labels(self) -> None:
        """Part of `@strict`-powered validation: each category has a list of labels."""
        if self.category_labels is not None and len(self.category_labels) != self.num_categories:
            raise ValueError(
                f"`category_labels` must have one list for each of {self.num_categories} categories, got "
                f"{len(self.category_labels)} lists."
            )

    def validate_id2label(self) -> None:
        """Part of `@strict`-powered validation: labels are counted from 0, as the outputs of a head are."""
        keys = sorted(self.id2label or {}, key=str)
        if set(keys) != set(range(len(keys))):
            raise ValueError(f"`id2label` must have the keys 0 to {len(keys) - 1}, got {keys}. Count labels from 0.")

    def _without_own_pipelines(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Drop pipelines that this package registers itself, for which transformers would ask to trust remote code."""
        if "custom_pipelines" not in kwargs or type(self).__module__.startswith("transformers_modules."):
            return kwargs
        pipelines = {
            task: pipeline
            for task, pipeline in kwargs["custom_pipelines"].items()
            if not pipeline["impl"].startswith("pipeline_jointmae.")
        }
        others = {name: value for name, value in kwargs.items() if name != "custom_pipelines"}
        return {**others, "custom_pipelines": pipelines} if pipelines else others

    def _warn_about_unknown_fields(self, kwargs: dict[str, Any]) -> None:
        """Warn about misspelled fields, which the base class would silently accept."""
        fields = set(self.__dataclass_fields__)
        generation = GenerationConfig._get_default_generation_params()
        for name in kwargs:
            is_known = name in PASSED_THROUGH_KEYS or name in generation or hasattr(type(self), name)
            if is_known or name.startswith("_"):
                continue
            nearest = difflib.get_close_matches(name, fields, n=1, cutoff=0.0)[0]
            logger.warning(f"`{name}` is not a field of {type(self).__name__}. Did you mean `{nearest}`?")


def _thirds(num_layers: int) -> list[int]:
    """Block numbers at one third, two thirds and the end, without duplicates."""
    return sorted({max(1, num_layers * third // 3) for third in (1, 2, 3)})


__all__ = ["JointMAEConfig"]
