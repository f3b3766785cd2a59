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
"""Joint-MAE: 2D-3D joint masked autoencoders for point cloud pre-training (Guo et al., IJCAI 2023)."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import SequenceClassifierOutput, TokenClassifierOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, auto_docstring
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_jointmae import JointMAEConfig
from .depth_projection import patch_index, render_colors, render_depth_maps, rotate_views, sample_views
from .farthest_point_sampling import farthest_point_sample
from .input_checks import (
    check_category_labels,
    check_class_labels,
    check_encoder_inputs,
    check_part_labels,
    check_points,
    check_random_arguments,
)
from .losses import (
    Reconstruction,
    ReconstructionTargets,
    cross_reconstruction_loss,
    patchify,
    reconstruction_loss_2d,
    reconstruction_loss_3d,
    unpatchify,
)
from .masking import (
    TokenMask,
    align_noise,
    correlated_pairs,
    local_alignment_mask,
    num_hidden_tokens,
    random_mask,
    replace_tokens,
    split_tokens,
    take_visible,
)
from .point_ops import (
    bounding_sphere,
    gather_points,
    group_points,
    interpolate_features,
    k_nearest_neighbors,
    nearest_center_is_visible,
)
from .pooling import pool_outputs, pool_tokens
from .remote_code import AUTO_MAPS, build_auto_map, saving_code


class _TupleWithoutMasks:
    """Part of outputs with masks, which their tuple form leaves out: users of tuples compute with all items."""

    def to_tuple(self: Any) -> tuple[Any, ...]:
        """Return the outputs that are given, without `mask_3d` and `mask_2d`, which are boolean."""
        return tuple(value for name, value in self.items() if name not in ("mask_3d", "mask_2d"))


@auto_docstring(
    custom_intro="""
    Base class for outputs of the Joint-MAE encoder.
    """
)
@dataclass
class JointMAEModelOutput(_TupleWithoutMasks, ModelOutput):
    r"""
    last_hidden_state (`torch.FloatTensor` of shape `(batch_size, num_tokens, hidden_size)`):
        Normalized encoded tokens, 3D first, then 2D; with `noise_3d` or `noise_2d` only the visible ones.
    pooler_output (`torch.FloatTensor` of shape `(batch_size, hidden_size)`):
        Sum of the mean and the maximum of the normalized 3D tokens; `None` without `points`.
    centers (`torch.FloatTensor` of shape `(batch_size, num_groups, 3)`):
        Centers of all 3D tokens, in the coordinates of `points`.
    mask_3d (`torch.BoolTensor` of shape `(batch_size, num_groups)`):
        True where a 3D token was hidden; `None` without `noise_3d`.
    mask_2d (`torch.BoolTensor` of shape `(batch_size, num_patches)`):
        True where a 2D token was hidden; `None` without `noise_2d`.
    feature_maps (`tuple[torch.FloatTensor]`):
        Outputs of the blocks `config.out_indices`, each `(batch_size, num_tokens, hidden_size)`, before the norm.
    """

    last_hidden_state: torch.FloatTensor | None = None
    pooler_output: torch.FloatTensor | None = None
    centers: torch.FloatTensor | None = None
    mask_3d: torch.BoolTensor | None = None
    mask_2d: torch.BoolTensor | None = None
    feature_maps: tuple[torch.FloatTensor, ...] | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


@auto_docstring(
    custom_intro="""
    Class for outputs of [`JointMAEForPreTraining`]: the losses of Eq. 5 to 7 and everything that Fig. 5 shows.
    """
)
@dataclass
class JointMAEForPreTrainingOutput(_TupleWithoutMasks, ModelOutput):
    r"""
    loss (`torch.FloatTensor` of shape `()`):
        Weighted sum of the three losses (Eq. 7).
    loss_3d (`torch.FloatTensor` of shape `()`):
        Chamfer distance of the reconstructed groups (Eq. 5).
    loss_2d (`torch.FloatTensor` of shape `()`):
        Mean squared error of the reconstructed pixels (Eq. 5); `None` for the 3D-only model.
    loss_3d_2d (`torch.FloatTensor` of shape `()`):
        Cross-reconstruction loss (Eq. 6); `None` for the 3D-only model or with weight 0.
    reconstructed_points (`torch.FloatTensor` of shape `(batch_size, num_groups * target_group_size, 3)`):
        The cloud made of the given points of visible tokens and the predicted points of hidden tokens, group by group
        in token order, in the coordinates of `points`.
    reconstructed_pixels (`torch.FloatTensor` of shape `(batch_size, 1, image_size, image_size)`):
        The depth map made of given and predicted patches.
    depth_map (`torch.FloatTensor` of shape `(batch_size, 1, image_size, image_size)`):
        Input depth map I (Eq. 1).
    view (`torch.FloatTensor` of shape `(batch_size, 3, 4)`):
        World-to-camera pose of I.
    centers (`torch.FloatTensor` of shape `(batch_size, num_groups, 3)`):
        Centers of the 3D tokens, in the coordinates of `points`.
    mask_3d (`torch.BoolTensor` of shape `(batch_size, num_groups)`):
        True where a 3D token was hidden from the encoder.
    mask_2d (`torch.BoolTensor` of shape `(batch_size, num_patches)`):
        True where a 2D token was hidden from the encoder.
    target_points (`torch.FloatTensor` of shape `(batch_size, num_groups * target_group_size, 3)`):
        The same groups with all points given: a perfect reconstruction.
    last_hidden_state (`torch.FloatTensor` of shape `(batch_size, num_visible_tokens, hidden_size)`):
        Encoded visible tokens, 3D first, then 2D.
    """

    loss: torch.FloatTensor | None = None
    loss_3d: torch.FloatTensor | None = None
    loss_2d: torch.FloatTensor | None = None
    loss_3d_2d: torch.FloatTensor | None = None
    reconstructed_points: torch.FloatTensor | None = None
    reconstructed_pixels: torch.FloatTensor | None = None
    depth_map: torch.FloatTensor | None = None
    view: torch.FloatTensor | None = None
    centers: torch.FloatTensor | None = None
    mask_3d: torch.BoolTensor | None = None
    mask_2d: torch.BoolTensor | None = None
    target_points: torch.FloatTensor | None = None
    last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


COMPUTE_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Dtypes that layers compute in; weights in any other are quantized."""


def sincos_position_embedding(grid_size: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Fixed 2D sin-cos positions `(1, grid_size ** 2, width)`. Not a buffer: buffers do not survive the meta device."""
    exponents = torch.arange(width // 4, device=device, dtype=torch.float32) / (-width / 4)
    angles = torch.arange(grid_size, device=device, dtype=torch.float32)[:, None] * 1e4**exponents
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)  # (grid_size, width / 2)
    columns = waves[None, :].expand(grid_size, -1, -1)
    rows = waves[:, None].expand(-1, grid_size, -1)
    return torch.cat([columns, rows], dim=-1).reshape(1, grid_size**2, width).to(dtype)


def draw_drop_path(layers: nn.ModuleList, rate: float, hidden_states: Tensor) -> list[dict[str, Tensor]]:
    """Stochastic depth (Huang et al., 2016): the argument `residual_scales` of each block, if any branch is skipped.

    Factors `(2, batch_size, 1, 1)` of the two branches are 0 where a sample skips the branch, else 1 over the share that
    keeps it; rates increase in equal steps from 0 to `rate`, as in Point-MAE. As tensors of their own, they leave all
    compiled blocks the same graph.
    """
    if not layers.training or rate == 0 or len(layers) == 0:
        return [{} for _ in layers]
    shape = (2, hidden_states.shape[0], 1, 1)
    scales = [hidden_states.new_ones(shape)]  # the first block skips nothing, and draws nothing
    if (num_drawn := len(layers) - 1) > 0:
        noise = torch.rand(num_drawn, *shape, device=hidden_states.device)
        keep_rates = torch.linspace(1 - rate / num_drawn, 1 - rate, num_drawn, device=noise.device)
        keep_rates = keep_rates.reshape(-1, 1, 1, 1, 1)
        scales += ((noise < keep_rates) / keep_rates).to(hidden_states.dtype).unbind()
    return [{"residual_scales": scale} for scale in scales]


def compute_dtype(module: nn.Module) -> torch.dtype:
    """Dtype that a module computes in: that of its first parameter that no quantizer has packed, else float32."""
    for parameter in module.parameters():
        if parameter.dtype in COMPUTE_DTYPES:
            return parameter.dtype
    return torch.float32


class JointMAEPointLinear(nn.Linear):
    """Linear layer of the 3D embedding, a type of its own so that quantizers that go by type leave it alone.

    Its inputs are small, and the batch norm behind it amplifies what rounding to 8 bits makes of them.
    """


class JointMAEUnitScaleLinear(nn.Linear):
    """Linear layer whose outputs start at the scale of its inputs, for positions of centers and features of groups.

    With `initializer_range`, as in similar models, positions of 3D tokens are too small next to everything else, and
    the encoder collapses within the first few hundred steps (`docs/training.md`).
    """


class JointMAEMiniPointNet(nn.Module):
    """Mini-PointNet: one feature for each group, independent of the order of its points (Sec. 3.1, Point-MAE)."""

    def __init__(self, in_size: int, point_size: int, local_size: int, group_size: int, out_size: int):
        super().__init__()
        self.fc1 = JointMAEPointLinear(in_size, point_size)
        self.norm1 = nn.BatchNorm1d(point_size)
        self.fc2 = JointMAEUnitScaleLinear(point_size, local_size)
        self.fc3 = JointMAEPointLinear(2 * local_size, group_size)
        self.norm2 = nn.BatchNorm1d(group_size)
        self.fc4 = JointMAEUnitScaleLinear(group_size, out_size)

    def forward(self, features: Tensor) -> Tensor:
        batch_size, num_groups, num_neighbors, in_size = features.shape
        local = self.fc2(torch.relu(self.norm1(self.fc1(features.reshape(-1, in_size)))))
        local = local.reshape(batch_size * num_groups, num_neighbors, -1)
        pooled = local.amax(dim=1, keepdim=True).expand_as(local)
        joint = torch.cat([pooled, local], dim=-1).flatten(0, 1)
        joint = self.fc4(torch.relu(self.norm2(self.fc3(joint))))
        return joint.reshape(batch_size, num_groups, num_neighbors, -1).amax(dim=2)


class JointMAEPointEmbeddings(nn.Module):
    """Hierarchical 3D embedding of Sec. 3.1: N points, a linear projection, two grouping blocks, 3D tokens."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.config = config
        sizes = config.embedding_sizes_3d
        # `first_layer` is the path of the layer that `get_input_embeddings` returns.
        # CODEPATH: Table 7, "3D" without the hierarchical module: the tokenizer of Point-MAE.
        if config.embedding_3d == "flat":
            self.first_layer = "coarse_grouping.fc1"
            self.coarse_grouping = JointMAEMiniPointNet(3, *sizes, config.hidden_size)
        else:
            # Paper: "transforming the raw points via a linear projection layer". Points enter relative to their
            # center; the projection commutes with that, and its bias would cancel, so it has none.
            self.first_layer = "projection"
            self.projection = JointMAEPointLinear(3, sizes[0], bias=False)
            self.fine_grouping = JointMAEMiniPointNet(sizes[0], sizes[0], sizes[0], sizes[1], sizes[1])
            width = config.hidden_size
            self.coarse_grouping = JointMAEMiniPointNet(sizes[1], sizes[1], sizes[1], width, width)

    def forward(
        self,
        points: Tensor,
        fine_indices: Tensor,
        fine_centers: Tensor,
        centers: Tensor,
        mask: TokenMask | None = None,
    ) -> Tensor:
        """Embed the tokens of `centers`; with a `mask`, the visible ones, from points that belong to them."""
        all_centers = fine_centers[:, : self.config.num_groups[-1]]
        is_valid = None if mask is None else nearest_center_is_visible(points, all_centers, mask.is_hidden)
        group_size = self.config.group_size
        # CODEPATH: Table 7, "3D" without the hierarchical module.
        if self.config.embedding_3d == "flat":
            groups = group_points(points, centers, group_size[0], is_valid)
            return self.coarse_grouping(groups.to(compute_dtype(self)))

        # The neighbors of a coarse center are fine centers. Without a mask each fine center is embedded once; with one,
        # each neighbor of a visible coarse center embeds its own group of raw points.
        is_valid_center = None if is_valid is None else is_valid.gather(1, fine_indices)
        neighbors = k_nearest_neighbors(centers, fine_centers, group_size[1], is_valid_center)
        if mask is not None:
            fine_centers = gather_points(fine_centers, neighbors).flatten(1, 2)
        groups = group_points(points, fine_centers, group_size[0], is_valid)
        fine_features = self.fine_grouping(self.projection(groups.to(compute_dtype(self))))
        if mask is None:
            return self.coarse_grouping(gather_points(fine_features, neighbors))
        return self.coarse_grouping(fine_features.unflatten(1, neighbors.shape[1:]))


class JointMAEConvBlock(nn.Module):
    """3x3 convolution block that halves the resolution (Sec. 3.1); norm over channels as in ConvMAE."""

    def __init__(self, in_size: int, out_size: int, layer_norm_eps: float):
        super().__init__()
        self.conv = nn.Conv2d(in_size, out_size, kernel_size=3, stride=2, padding=1)
        # Paper: names neither norm nor activation of "3 x 3 convolution blocks".
        self.norm = nn.LayerNorm(out_size, eps=layer_norm_eps)

    def forward(self, features: Tensor) -> Tensor:
        features = self.norm(self.conv(features).permute(0, 2, 3, 1))
        return nn.functional.gelu(features).permute(0, 3, 1, 2)


class JointMAEImageEmbeddings(nn.Module):
    """Hierarchical 2D embedding of Sec. 3.1: 4x4 patches, a linear projection, two convolution blocks, 2D tokens."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.config = config
        # CODEPATH: Table 7, "2D" without the hierarchical module: patches of the size of a token, as in MAE.
        if config.embedding_2d == "flat":
            size = config.token_patch_size
            self.projection = nn.Conv2d(config.num_channels, config.hidden_size, kernel_size=size, stride=size)
        else:
            sizes, eps = config.embedding_sizes_2d, config.layer_norm_eps
            size = config.patch_size
            self.projection = nn.Conv2d(config.num_channels, sizes[0], kernel_size=size, stride=size)
            self.fine_block = JointMAEConvBlock(sizes[0], sizes[1], eps)
            self.coarse_block = JointMAEConvBlock(sizes[1], config.hidden_size, eps)

    def forward(self, pixel_values: Tensor, mask: TokenMask | None = None) -> Tensor:
        """Embed all tokens; with a `mask` and `neighborhood="visible"` no hidden pixel reaches a visible token."""
        features = self.projection(pixel_values.to(compute_dtype(self)))
        # CODEPATH: Table 7, "2D" without the hierarchical module.
        if self.config.embedding_2d == "hierarchical":
            features = self.fine_block(self._hide(features, mask))
            features = self.coarse_block(self._hide(features, mask))
        return features.flatten(2).transpose(1, 2)

    def _hide(self, features: Tensor, mask: TokenMask | None) -> Tensor:
        """Set features of hidden tokens to zero before a convolution, ConvMAE's masked convolution."""
        # CODEPATH: recipe `best` keeps hidden pixels out of visible tokens; recipe `paper` is as published.
        if mask is None or self.config.neighborhood == "all":
            return features
        num_rows = self.config.image_size // self.config.token_patch_size
        is_hidden = mask.is_hidden.reshape(-1, 1, num_rows, 1, num_rows, 1)
        by_token = features.unflatten(3, (num_rows, -1)).unflatten(2, (num_rows, -1))
        return by_token.masked_fill(is_hidden, 0).flatten(4, 5).flatten(2, 3)


class JointMAEPointPositionEmbeddings(nn.Module):
    """Position of a 3D token from the coordinates of its center (Point-MAE)."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.fc1 = JointMAEUnitScaleLinear(3, config.position_hidden_size)
        self.fc2 = JointMAEUnitScaleLinear(config.position_hidden_size, config.hidden_size)

    def forward(self, centers: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(centers.to(compute_dtype(self)))))


class JointMAEPatchPositionEmbeddings(nn.Module):
    """Position of a 2D token: fixed sin-cos of row and column (MAE), learned, or none (supplement)."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.config = config
        # CODEPATH: supplement, ablation of 2D position embeddings.
        if config.position_embedding_2d == "learned":
            self.weight = nn.Parameter(torch.empty(1, config.num_patches, config.hidden_size))

    def forward(self, tokens: Tensor, patches: Tensor) -> Tensor:
        """Positions `(batch_size, num_visible, hidden_size)` of some patches, given the tokens of all."""
        # CODEPATH: supplement, ablation of 2D position embeddings.
        if self.config.position_embedding_2d == "learned":
            positions = self.weight
        # CODEPATH: supplement, ablation of 2D position embeddings.
        elif self.config.position_embedding_2d == "none":
            positions = tokens.new_zeros(1, *tokens.shape[1:])
        else:
            num_rows = self.config.image_size // self.config.token_patch_size
            positions = sincos_position_embedding(num_rows, tokens.shape[-1], tokens.device, tokens.dtype)
        return nn.functional.embedding(patches, positions[0])


def eager_attention_forward(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[Tensor, Tensor]:
    attn_weights = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        attn_weights = attn_weights + attention_mask
    attn_weights = nn.functional.softmax(attn_weights, dim=-1, dtype=torch.float32).to(query.dtype)
    attn_weights = nn.functional.dropout(attn_weights, p=dropout, training=module.training)
    attn_output = torch.matmul(attn_weights, value)
    return attn_output.transpose(1, 2).contiguous(), attn_weights


class JointMAEAttention(nn.Module):
    """Multi-head attention within `hidden_states`, or on `key_value_states` (Eq. 4)."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.config = config
        self.num_attention_heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.attention_dropout = config.attention_probs_dropout_prob
        self.scaling = self.head_dim**-0.5
        self.is_causal = False

        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qkv_bias)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qkv_bias)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=config.qkv_bias)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        key_value_states: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[Tensor, Tensor | None]:
        key_value_states = hidden_states if key_value_states is None else key_value_states
        batch_size, num_tokens, _ = hidden_states.shape
        query = self.q_proj(hidden_states).view(batch_size, num_tokens, -1, self.head_dim).transpose(1, 2)
        key = self.k_proj(key_value_states).view(batch_size, -1, self.num_attention_heads, self.head_dim)
        value = self.v_proj(key_value_states).view(batch_size, -1, self.num_attention_heads, self.head_dim)

        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        with _backends_that_mask_correctly(attention_mask):
            attn_output, attn_weights = attention_interface(
                self,
                query,
                key.transpose(1, 2),
                value.transpose(1, 2),
                attention_mask,
                dropout=self.attention_dropout if self.training else 0.0,
                scaling=self.scaling,
                **kwargs,
            )
        return self.o_proj(attn_output.reshape(batch_size, num_tokens, -1)), attn_weights


def _backends_that_mask_correctly(attention_mask: Any) -> contextlib.AbstractContextManager:
    """Keep masked attention on CUDA away from cuDNN, whose gradients can be NaN (pytorch issue 196678)."""
    if isinstance(attention_mask, Tensor) and attention_mask.is_cuda:
        return sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    return contextlib.nullcontext()


class JointMAEMLP(nn.Module):
    """Feed-forward half of a block with both of its residual sums, which no block has in another form.

    `training.compile_regions` compiles it: a single graph serves all blocks, whatever they attend to.
    """

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.activation_fn = ACT2FN[config.hidden_act]
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, hidden_states: Tensor, attended: Tensor, layernorm: nn.LayerNorm, residual_scales: Tensor | None
    ) -> Tensor:
        hidden_states = _add_branch(hidden_states, self.dropout(attended), residual_scales, 0)
        transformed = self.fc2(self.activation_fn(self.fc1(layernorm(hidden_states))))
        return _add_branch(hidden_states, self.dropout(transformed), residual_scales, 1)


def _add_branch(hidden_states: Tensor, branch: Tensor, residual_scales: Tensor | None, number: int) -> Tensor:
    """Add a residual branch, times its factor of stochastic depth for each sample."""
    return hidden_states + (branch if residual_scales is None else branch * residual_scales[number])


class JointMAELayer(GradientCheckpointingLayer):
    """Pre-norm transformer block that adds positions to its input, as every block of Point-MAE does."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.layernorm_before = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = JointMAEAttention(config)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = JointMAEMLP(config)

    def forward(
        self,
        hidden_states: Tensor,
        position_embeddings: Tensor,
        attention_mask: Tensor | None = None,
        key_value_states: Tensor | None = None,
        residual_scales: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> Tensor:
        # Paper: silent on positions; added again before every block as in Point-MAE, for both modalities.
        hidden_states = hidden_states + position_embeddings
        attended, _ = self.attention(self.layernorm_before(hidden_states), attention_mask, key_value_states, **kwargs)
        return self.mlp(hidden_states, attended, self.layernorm_after, residual_scales)


def build_layers(config: JointMAEConfig, num_layers: int) -> nn.ModuleList:
    """Build equal blocks."""
    return nn.ModuleList([JointMAELayer(config) for _ in range(num_layers)])


def _append_mask_tokens(encoded: Tensor, mask_token: Tensor, mask: TokenMask) -> Tensor:
    """Tokens of one modality, visible first: encoded where visible, the mask token where hidden (Sec. 3.2)."""
    return torch.cat([encoded, mask_token.expand(*mask.ids_hidden.shape, -1)], dim=1)


class JointMAEDecoder(nn.Module):
    """Joint decoder of Sec. 3.2: modal-shared self-attention, then cross-attention for each modality."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.config = config
        self.layers = build_layers(config, config.decoder_num_hidden_layers)
        self.mask_token_3d = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        self.position_embeddings_3d = JointMAEPointPositionEmbeddings(config)
        self.layers_3d = build_layers(config, config.specific_decoder_num_hidden_layers)
        self.layernorm_3d = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        # CODEPATH: the 3D-only baseline has no 2D decoder.
        if config.use_2d_branch:
            self.mask_token_2d = nn.Parameter(torch.empty(1, 1, config.hidden_size))
            self.position_embeddings_2d = JointMAEPatchPositionEmbeddings(config)
            self.layers_2d = build_layers(config, config.specific_decoder_num_hidden_layers)
            self.layernorm_2d = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, encoded: Tensor, centers: Tensor, mask_3d: TokenMask, mask_2d: TokenMask | None
    ) -> tuple[Tensor, Tensor | None]:
        """Decode the hidden tokens of both modalities, or all 3D tokens when the loss is on the whole cloud."""
        num_tokens_3d, num_visible_3d = mask_3d.is_hidden.shape[1], mask_3d.ids_visible.shape[1]
        num_visible_2d = encoded.shape[1] - num_visible_3d
        encoded_3d, encoded_2d = (part.contiguous() for part in encoded.split([num_visible_3d, num_visible_2d], dim=1))
        tokens = [_append_mask_tokens(encoded_3d, self.mask_token_3d, mask_3d)]
        positions = [self.position_embeddings_3d(gather_points(centers, mask_3d.order)).to(self.mask_token_3d.dtype)]
        # CODEPATH: the 3D-only baseline has no 2D decoder.
        if mask_2d is not None:
            tokens.append(_append_mask_tokens(encoded_2d, self.mask_token_2d, mask_2d))
            positions.append(self.position_embeddings_2d(tokens[1], mask_2d.order))

        hidden_states, position_embeddings = torch.cat(tokens, dim=1), torch.cat(positions, dim=1)
        hidden_states = self._run_layers(self.layers, hidden_states, position_embeddings)  # Eq. 3

        # Eq. 4. Paper: keys and values are the encoded tokens; queries carry positions, keys do not.
        # Cross-attention treats each query independently, so queries of visible tokens can be left out.
        # CODEPATH: Eq. 5 as published reconstructs the points of all 3D tokens.
        first_3d = 0 if self.config.loss_3d_target == "cloud" else num_visible_3d
        num_hidden_2d = hidden_states.shape[1] - num_tokens_3d - num_visible_2d
        sizes = [first_3d, num_tokens_3d - first_3d, num_visible_2d, num_hidden_2d]
        _, decoded_3d, _, decoded_2d = hidden_states.split(sizes, dim=1)
        _, positions_3d, _, positions_2d = position_embeddings.split(sizes, dim=1)
        decoded_3d = self.layernorm_3d(self._run_layers(self.layers_3d, decoded_3d, positions_3d, None, encoded_3d))
        # CODEPATH: the 3D-only baseline has no 2D decoder.
        if mask_2d is None:
            return decoded_3d, None
        decoded_2d = self._run_layers(self.layers_2d, decoded_2d, positions_2d, None, encoded_2d)
        return decoded_3d, self.layernorm_2d(decoded_2d)

    def _run_layers(
        self,
        layers: nn.ModuleList,
        hidden_states: Tensor,
        position_embeddings: Tensor,
        *attention_arguments: Tensor | None,
    ) -> Tensor:
        """Run blocks that attend to all tokens, or to other key and value states."""
        drop_path = draw_drop_path(layers, self.config.drop_path_rate, hidden_states)
        for layer, drawn in zip(layers, drop_path, strict=True):
            hidden_states = layer(hidden_states, position_embeddings, *attention_arguments, **drawn)
        return hidden_states


LEARNED_TOKENS = frozenset(
    {"class_position", "class_token", "mask_token_2d", "mask_token_3d", "modality_token_2d", "modality_token_3d"}
)
"""Parameters of the models themselves, rather than of their layers."""


@auto_docstring
class JointMAEPreTrainedModel(PreTrainedModel):
    config: JointMAEConfig
    base_model_prefix = "jointmae"
    main_input_name = "points"
    input_modalities = ("points",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["JointMAEPointEmbeddings", "JointMAEImageEmbeddings", "JointMAELayer", "JointMAEDecoder"]
    _supports_sdpa = True
    _supports_flash_attn = False  # takes no mask of pairs: local-aligned attention would silently become global
    _supports_flex_attn = False  # no backward on CPU, and slower than SDPA on 65 tokens
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {"hidden_states": JointMAELayer, "attentions": JointMAEAttention}
    # Coordinates do not survive 8 bits: the quantizers of transformers skip these modules.
    _keep_in_fp32_modules = [r"(?:.*\.)?(?:position_)?embeddings_3d"]
    # A pre-training checkpoint loads into every model, which may silently ignore the parts that it does not have.
    _keys_to_ignore_on_load_unexpected = [
        r"embeddings_2d\.",
        r"modality_token_2d",
        r"^decoder\.",
        r"^reconstruction_head_",
    ]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Initialize the weights"""
        super()._init_weights(module)
        std = self.config.initializer_range
        if isinstance(module, JointMAEUnitScaleLinear):
            init.normal_(module.weight, std=module.in_features**-0.5)
        is_position_table = isinstance(module, JointMAEPatchPositionEmbeddings)
        for name, parameter in module.named_parameters(recurse=False):
            if is_position_table or name in LEARNED_TOKENS:
                init.trunc_normal_(parameter, std=std)

    def push_to_hub(self, *args: Any, **kwargs: Any) -> str:  # type: ignore[override]
        """Upload the weights together with the code, for users without this package."""
        architecture = type(self).__name__
        if architecture not in AUTO_MAPS:  # a subclass: its author knows which code it needs
            return super().push_to_hub(*args, **kwargs)
        auto_classes = {type(self.config): "AutoConfig", type(self): list(AUTO_MAPS[architecture])[-1]}
        with saving_code(auto_classes, self.config, build_auto_map(architecture)):
            return super().push_to_hub(*args, **kwargs)


class JointMAEEmbeddedTokens(NamedTuple):
    """Visible tokens of one modality, the input of the encoder; all fields are `None` without that modality."""

    tokens: Tensor | None = None  # (batch_size, num_visible, hidden_size)
    positions: Tensor | None = None  # (batch_size, num_visible, hidden_size)
    mask: TokenMask | None = None  # None when no token is hidden
    points: Tensor | None = None  # 3D only, (batch_size, num_points, 3)
    frame: tuple[Tensor, Tensor] | None = None  # 3D only, center and radius of the points where they are known
    centers: Tensor | None = None  # 3D only, of all tokens, (batch_size, num_groups, 3)
    visible_centers: Tensor | None = None  # 3D only, (batch_size, num_visible, 3)
    patches: Tensor | None = None  # 2D only, patch indices (batch_size, num_visible)

    @property
    def is_hidden(self) -> Tensor | None:
        return None if self.mask is None else self.mask.is_hidden


def _draw_mask(noise: Tensor | None, mask_ratio: float) -> TokenMask | None:
    """Hide tokens in pre-training; downstream there is no noise and all tokens are visible."""
    return None if noise is None else random_mask(noise, mask_ratio)


@auto_docstring(
    custom_intro="""
    The joint encoder of Joint-MAE with its 2D and 3D embeddings. Given only points it is the 3D encoder that the paper
    uses downstream; given a depth map and its view too, it encodes both modalities with local-aligned attention.
    """
)
class JointMAEModel(JointMAEPreTrainedModel):
    def __init__(self, config: JointMAEConfig, add_2d_branch: bool = True, add_class_token: bool = False):
        r"""
        add_2d_branch (`bool`, *optional*, defaults to `True`):
            Whether to build the 2D embedding. The heads do not need it.
        add_class_token (`bool`, *optional*, defaults to `False`):
            Whether to append a learned token to the others, as Point-MAE does in fine-tuning.
        """
        super().__init__(config)
        self.embeddings_3d = JointMAEPointEmbeddings(config)
        self.position_embeddings_3d = JointMAEPointPositionEmbeddings(config)
        self.modality_token_3d = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        # CODEPATH: the 3D-only baseline and all downstream models have no 2D branch.
        self.has_2d_branch = add_2d_branch and config.use_2d_branch
        if self.has_2d_branch:
            self.embeddings_2d = JointMAEImageEmbeddings(config)
            self.position_embeddings_2d = JointMAEPatchPositionEmbeddings(config)
            self.modality_token_2d = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        # CODEPATH: Point-MAE fine-tunes with a class token, the paper without.
        self.has_class_token = add_class_token
        if self.has_class_token:
            self.class_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))
            self.class_position = nn.Parameter(torch.empty(1, 1, config.hidden_size))

        self.layers = build_layers(config, config.num_hidden_layers)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings_3d.get_submodule(self.embeddings_3d.first_layer)

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings_3d.set_submodule(self.embeddings_3d.first_layer, value)

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    @auto_docstring
    def forward(
        self,
        points: Tensor | None = None,
        pixel_values: Tensor | None = None,
        view: Tensor | None = None,
        noise_3d: Tensor | None = None,
        noise_2d: Tensor | None = None,
        frame: tuple[Tensor, Tensor] | None = None,
        check_inputs: bool = True,
        **kwargs: Unpack[TransformersKwargs],
    ) -> JointMAEModelOutput:
        r"""
        points (`torch.FloatTensor` of shape `(batch_size, num_points, 3)`, *optional*):
            Point clouds, y up, in the unit sphere, as returned by [`JointMAEFeatureExtractor`].
        pixel_values (`torch.FloatTensor` of shape `(batch_size, 1, image_size, image_size)`, *optional*):
            Depth maps, as rendered by [`JointMAEForPreTraining.project`].
        view (`torch.FloatTensor` of shape `(batch_size, 3, 4)`, *optional*):
            World-to-camera poses of the depth maps; required if both modalities are given.
        noise_3d (`torch.FloatTensor` of shape `(batch_size, num_groups)`, *optional*):
            Random numbers; the 3D tokens with the largest ones are hidden. By default no token is hidden.
        noise_2d (`torch.FloatTensor` of shape `(batch_size, num_patches)`, *optional*):
            The same for 2D tokens.
        frame (`tuple[torch.Tensor, torch.Tensor]`, *optional*):
            Center and radius of `points`, see [`bounding_sphere`]; computed by default.
        check_inputs (`bool`, *optional*, defaults to `True`):
            Whether to check the inputs. [`JointMAEForPreTraining`] has checked them already and passes `False`.

        Example:

        ```python
        >>> import torch
        >>> from jointmae_hf import JointMAEConfig, JointMAEModel

        >>> model = JointMAEModel(JointMAEConfig.from_preset("jointmae-small")).eval()
        >>> outputs = model(torch.rand(2, 2048, 3))
        >>> outputs.last_hidden_state.shape, outputs.pooler_output.shape
        (torch.Size([2, 64, 192]), torch.Size([2, 192]))

        ```"""
        if check_inputs:
            check_encoder_inputs(self.config, self.has_2d_branch, points, pixel_values, view, noise_3d, noise_2d)
        # Embed both modalities and hide tokens of each (Sec. 3.1).
        embedded_3d = self._embed_3d(points, noise_3d, frame)
        embedded_2d = self._embed_2d(pixel_values, noise_2d, embedded_3d, view)
        # Encode the visible tokens jointly, with local-aligned attention (Sec. 3.2, 3.3).
        hidden_states, position_embeddings = self._join_modalities(embedded_3d, embedded_2d)
        attention_mask = self._local_attention_mask(hidden_states, embedded_3d, embedded_2d, view)
        hidden_states, position_embeddings = self._append_class_token(hidden_states, position_embeddings)
        hidden_states, feature_maps = self._run_layers(hidden_states, position_embeddings, attention_mask, **kwargs)
        last_hidden_state = self.layernorm(hidden_states)

        return JointMAEModelOutput(
            last_hidden_state=last_hidden_state,
            pooler_output=self._pool(last_hidden_state, embedded_3d),
            centers=embedded_3d.centers,
            mask_3d=embedded_3d.is_hidden,
            mask_2d=embedded_2d.is_hidden,
            feature_maps=feature_maps,
        )

    def _embed_3d(
        self, points: Tensor | None, noise_3d: Tensor | None, frame: tuple[Tensor, Tensor] | None
    ) -> JointMAEEmbeddedTokens:
        """Embed the visible 3D tokens (Sec. 3.1)."""
        if points is None:
            return JointMAEEmbeddedTokens()
        points = points.to(torch.promote_types(points.dtype, torch.float32))
        indices = farthest_point_sample(points, self.config.num_groups[0], self._fps_start_index(points, noise_3d))
        fine_centers = gather_points(points, indices)
        centers = fine_centers[:, : self.config.num_groups[-1]]
        mask = _draw_mask(noise_3d, self.config.mask_ratio)
        # Paper: embeds all tokens, then hides some, so that visible ones show parts of what has to be reconstructed.
        visible_centers = take_visible(centers, mask)
        # CODEPATH: recipe `best` keeps hidden points out of visible tokens; recipe `paper` is as published.
        if self.config.neighborhood == "visible":
            tokens = self.embeddings_3d(points, indices, fine_centers, visible_centers, mask)
        else:
            tokens = take_visible(self.embeddings_3d(points, indices, fine_centers, centers), mask)
        dtype = self.modality_token_3d.dtype  # the embeddings may be in float32, see `_keep_in_fp32_modules`
        positions = self.position_embeddings_3d(visible_centers).to(dtype)
        tokens = tokens.to(dtype) + self.modality_token_3d
        return JointMAEEmbeddedTokens(tokens, positions, mask, points, frame, centers, visible_centers)

    def _embed_2d(
        self,
        pixel_values: Tensor | None,
        noise_2d: Tensor | None,
        embedded_3d: JointMAEEmbeddedTokens,
        view: Tensor | None,
    ) -> JointMAEEmbeddedTokens:
        """Embed the visible 2D tokens (Sec. 3.1)."""
        if pixel_values is None:
            return JointMAEEmbeddedTokens()
        # CODEPATH: option of ours, patches of visible centers stay visible.
        if self.config.mask_alignment == "aligned" and noise_2d is not None and embedded_3d.tokens is not None:
            noise_2d = align_noise(noise_2d, self._patches_of_tokens(embedded_3d, view)[:, :, 0])
        mask = _draw_mask(noise_2d, self.config.mask_ratio_2d)
        tokens = self.embeddings_2d(pixel_values, mask)
        patches = torch.arange(tokens.shape[1], device=tokens.device).expand(tokens.shape[0], -1)
        patches = patches if mask is None else mask.ids_visible
        positions = self.position_embeddings_2d(tokens, patches)
        tokens = take_visible(tokens, mask) + self.modality_token_2d
        return JointMAEEmbeddedTokens(tokens, positions, mask, patches=patches)

    def _fps_start_index(self, points: Tensor, noise_3d: Tensor | None) -> Tensor | None:
        """First pick of farthest point sampling; `None` for the point farthest from the centroid."""
        # CODEPATH: Point-MAE's checkpoints were trained with the first point.
        if self.config.fps_start == "first":
            return torch.zeros(points.shape[0], dtype=torch.long, device=points.device)
        # CODEPATH: augmentation of recipes that ask for it, in pre-training only.
        if self.config.fps_start == "random" and self.training and noise_3d is not None:
            # Paper: silent on the first center. A sum does not depend on the order of its terms, so the start is
            # independent of the mask.
            fraction = noise_3d.to(torch.float64).sum(dim=1).frac().abs()
            return (fraction * points.shape[1]).to(torch.long).clamp(max=points.shape[1] - 1)
        return None

    def _join_modalities(
        self, embedded_3d: JointMAEEmbeddedTokens, embedded_2d: JointMAEEmbeddedTokens
    ) -> tuple[Tensor, Tensor]:
        """Tokens and positions of the modalities that are given, 3D first."""
        given = [embedded for embedded in (embedded_3d, embedded_2d) if embedded.tokens is not None]
        tokens = torch.cat([embedded.tokens for embedded in given], dim=1)
        return tokens, torch.cat([embedded.positions for embedded in given], dim=1)

    def _patches_of_tokens(self, embedded_3d: JointMAEEmbeddedTokens, view: Tensor) -> Tensor:
        """Patches `(batch_size, num_visible, num_points_of_token)` that visible 3D tokens project into (Sec. 3.3)."""
        points, centers = embedded_3d.points, embedded_3d.visible_centers
        center, radius = bounding_sphere(points) if embedded_3d.frame is None else embedded_3d.frame
        # CODEPATH: option of ours, a token is correlated through any of its points.
        if self.config.correlation == "group":
            groups = group_points(points, centers, self.config.target_group_size) + centers[:, :, None]
        else:
            groups = centers[:, :, None]
        flat = (groups.flatten(1, 2) - center) / radius
        image_size, patch_size = self.config.image_size, self.config.token_patch_size
        indices = patch_index(flat, view.to(flat.dtype), self.config.focal_length, image_size, patch_size)
        return indices.reshape(groups.shape[:3])

    def _local_attention_mask(
        self,
        hidden_states: Tensor,
        embedded_3d: JointMAEEmbeddedTokens,
        embedded_2d: JointMAEEmbeddedTokens,
        view: Tensor | None,
    ) -> Tensor | None:
        """Mask of local-aligned attention (Sec. 3.3), built once for all blocks."""
        # CODEPATH: Table 6, first row, attends globally.
        is_local = self.config.local_2d_to_3d or self.config.local_3d_to_2d
        if embedded_3d.tokens is None or embedded_2d.tokens is None or not is_local:
            return None
        is_correlated = correlated_pairs(self._patches_of_tokens(embedded_3d, view), embedded_2d.patches)
        may_attend = local_alignment_mask(is_correlated, self.config.local_2d_to_3d, self.config.local_3d_to_2d)

        def and_mask_function(batch_idx: Tensor, head_idx: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
            # Indexing by brackets would trace to a node that `torch.export.save` has no format for.
            return torch.ops.aten.index(may_attend, [batch_idx, q_idx, kv_idx])

        return create_bidirectional_mask(
            config=self.config,
            inputs_embeds=hidden_states,
            attention_mask=None,
            and_mask_function=and_mask_function,
        )

    def _append_class_token(self, hidden_states: Tensor, position_embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """Append the class token and its position to those of a model that has one."""
        # CODEPATH: Point-MAE fine-tunes with a class token, the paper without.
        if not self.has_class_token:
            return hidden_states, position_embeddings
        class_token = self.class_token.expand(hidden_states.shape[0], -1, -1)
        class_position = self.class_position.expand(hidden_states.shape[0], -1, -1)
        hidden_states = torch.cat([hidden_states, class_token], dim=1)
        return hidden_states, torch.cat([position_embeddings, class_position], dim=1)

    def _run_layers(
        self, hidden_states: Tensor, position_embeddings: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run all blocks, and keep the outputs of those that the segmentation head reads."""
        feature_maps = ()
        drop_path = draw_drop_path(self.layers, self.config.drop_path_rate, hidden_states)
        for block, (layer, drawn) in enumerate(zip(self.layers, drop_path, strict=True), start=1):
            hidden_states = layer(hidden_states, position_embeddings, attention_mask, **drawn, **kwargs)
            if block in self.config.out_indices:  # CODEPATH: read by the segmentation head.
                feature_maps += (hidden_states,)
        return hidden_states, feature_maps

    def _pool(self, last_hidden_state: Tensor, embedded_3d: JointMAEEmbeddedTokens) -> Tensor | None:
        """Sum of the mean and the maximum of the 3D tokens."""
        if embedded_3d.tokens is None:
            return None
        tokens_3d = last_hidden_state[:, : embedded_3d.tokens.shape[1]]
        return pool_tokens(tokens_3d, "sum")


def _draw_unless_given(noise: Tensor | None, batch_size: int, num_tokens: int, device: torch.device) -> Tensor:
    """Uniform random numbers `(batch_size, num_tokens)` that decide which tokens are hidden."""
    return torch.rand(batch_size, num_tokens, device=device) if noise is None else noise


@auto_docstring(
    custom_intro="""
    Joint-MAE for self-supervised pre-training: the joint encoder and decoder, both reconstruction heads and the three
    losses.
    """
)
class JointMAEForPreTraining(JointMAEPreTrainedModel):
    def __init__(self, config: JointMAEConfig):
        super().__init__(config)
        self.jointmae = JointMAEModel(config)
        self.decoder = JointMAEDecoder(config)
        self.reconstruction_head_3d = nn.Linear(config.hidden_size, 3 * config.target_group_size)
        # CODEPATH: the 3D-only baseline reconstructs no pixels.
        if config.use_2d_branch:
            self.reconstruction_head_2d = nn.Linear(config.hidden_size, config.token_patch_size**2)

        self.post_init()

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        points: Tensor,
        view: Tensor | None = None,
        noise_3d: Tensor | None = None,
        noise_2d: Tensor | None = None,
        return_loss: bool = True,
        **kwargs: Unpack[TransformersKwargs],
    ) -> JointMAEForPreTrainingOutput:
        r"""
        points (`torch.FloatTensor` of shape `(batch_size, num_points, 3)`):
            Point clouds, y up.
        view (`torch.FloatTensor` of shape `(batch_size, 3, 4)`, *optional*):
            World-to-camera poses of the depth maps, for clouds scaled to the unit sphere; random by default. The other
            views of the cross loss rotate them about the up axis.
        noise_3d (`torch.FloatTensor` of shape `(batch_size, num_groups)`, *optional*):
            Uniform random numbers; the 3D tokens with the largest ones are hidden. Drawn by default.
        noise_2d (`torch.FloatTensor` of shape `(batch_size, num_patches)`, *optional*):
            The same for 2D tokens.
        return_loss (`bool`, *optional*, defaults to `True`):
            Whether to compute the losses. `Trainer` evaluates models without labels that return a loss by default.

        Example:

        ```python
        >>> import torch
        >>> from jointmae_hf import JointMAEConfig, JointMAEForPreTraining

        >>> model = JointMAEForPreTraining(JointMAEConfig.from_preset("jointmae-small"))
        >>> outputs = model(torch.rand(2, 2048, 3))
        >>> outputs.reconstructed_points.shape, outputs.depth_map.shape
        (torch.Size([2, 2048, 3]), torch.Size([2, 1, 224, 224]))
        >>> outputs.loss.backward()

        ```"""
        check_points(points, self.config.num_groups[0])
        check_random_arguments(self.config, points.shape[0], view, noise_3d, noise_2d)
        points = points.to(torch.promote_types(points.dtype, torch.float32))
        view, noise_3d, noise_2d = self._sample_missing(points, view, noise_3d, noise_2d)
        frame, views = bounding_sphere(points), self._views(points, view)
        depth_map, patches, depth_maps = self._project_input(points, views, frame)  # Eq. 1
        # Embed both modalities, mask both, encode the visible tokens (Eq. 2, Sec. 3.2).
        encoded = self.jointmae(points, depth_map, view, noise_3d, noise_2d, frame, check_inputs=False, **kwargs)
        # Decode jointly (Eq. 3, 4), then reconstruct by linear heads (Sec. 3.4).
        masks = self._token_masks(encoded)
        decoded_3d, decoded_2d = self.decoder(encoded.last_hidden_state, encoded.centers, *masks)
        with torch.no_grad():
            groups = group_points(points, encoded.centers, self.config.target_group_size)
        targets = ReconstructionTargets(points, groups, *masks, patches, depth_maps, views, frame)
        reconstruction = self._reconstruct(decoded_3d, decoded_2d, targets, encoded)
        # Compare with the input (Eq. 5, 6) and sum (Eq. 7).
        losses = self.compute_losses(reconstruction, targets) if return_loss else {}

        return JointMAEForPreTrainingOutput(
            loss=self._weighted_sum(losses) if return_loss else None,
            **losses,
            reconstructed_points=reconstruction.points,
            reconstructed_pixels=reconstruction.pixels,
            depth_map=depth_map,
            view=view,
            centers=encoded.centers,
            mask_3d=encoded.mask_3d,
            mask_2d=encoded.mask_2d,
            target_points=(targets.groups + encoded.centers[:, :, None]).flatten(1, 2),
            last_hidden_state=encoded.last_hidden_state,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    def project(self, points: Tensor, views: Tensor, frame: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Render depth maps: Project() of Eq. 1 and Eq. 6.

        Args:
            points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
                Point clouds, y up.
            views (`torch.Tensor` of shape `(batch_size, num_views, 3, 4)`):
                World-to-camera poses, in units of the cloud's radius.
            frame (`tuple[torch.Tensor, torch.Tensor]`, *optional*):
                Center and radius of the sphere that becomes the unit sphere, by default those of `points`. A
                reconstruction is projected in the frame of its input, so that a stray point does not move the image.

        Returns:
            `torch.Tensor` of shape `(batch_size, num_views, image_size, image_size)`: Depth maps.
        """
        center, radius = bounding_sphere(points) if frame is None else frame
        return render_depth_maps(
            (points - center) / radius,
            views.to(points.dtype),
            self.config.image_size,
            self.config.focal_length,
            self.config.camera_distance,
            self.config.projection_mode,
            self.config.splat_radius,
        )

    def compute_losses(self, reconstruction: Reconstruction, targets: ReconstructionTargets) -> dict[str, Tensor]:
        """Compute the losses of Eq. 5 and 6.

        Args:
            reconstruction (`Reconstruction`):
                What the heads predict.
            targets (`ReconstructionTargets`):
                What it is compared with, and the masks.

        Returns:
            `dict[str, torch.Tensor]`: `loss_3d`, `loss_2d` and `loss_3d_2d`, as far as the configuration has them.
        """
        # Paper: Eq. 5 compares with P; "following Point-MAE" compares groups of hidden tokens.
        # CODEPATH: Eq. 5 as published compares with the whole cloud.
        if self.config.loss_3d_target == "cloud":
            loss_3d = reconstruction_loss_3d(reconstruction.points[:, None], targets.points[:, None])
        else:
            hidden_groups = _gather_groups(targets.groups, targets.mask_3d.ids_hidden)
            loss_3d = reconstruction_loss_3d(reconstruction.predicted_groups, hidden_groups)
        # CODEPATH: the 3D-only baseline has no other loss.
        if not self.config.use_2d_branch:
            return {"loss_3d": loss_3d}
        hidden_patches = gather_points(targets.patches, targets.mask_2d.ids_hidden)
        loss_2d = reconstruction_loss_2d(reconstruction.predicted_patches, hidden_patches)
        # CODEPATH: Table 8, first row, has no cross-reconstruction loss.
        if self.config.loss_3d_2d_weight == 0:
            return {"loss_3d": loss_3d, "loss_2d": loss_2d}
        predicted_maps = self.project(reconstruction.points, targets.views, targets.frame)
        target_maps = targets.depth_maps
        # CODEPATH: Table 8, last row, compares colored maps.
        if self.config.projection_mode == "rendered":
            predicted_maps, target_maps = render_colors(predicted_maps), render_colors(target_maps)
        loss_3d_2d = cross_reconstruction_loss(predicted_maps, target_maps)
        return {"loss_3d": loss_3d, "loss_2d": loss_2d, "loss_3d_2d": loss_3d_2d}

    def _sample_missing(
        self, points: Tensor, view: Tensor | None, noise_3d: Tensor | None, noise_2d: Tensor | None
    ) -> tuple[Tensor | None, Tensor, Tensor | None]:
        """Draw the random arguments that were not given."""
        batch_size, config = points.shape[0], self.config
        noise_3d = _draw_unless_given(noise_3d, batch_size, config.num_groups[-1], points.device)
        # CODEPATH: the 3D-only baseline has no view and no 2D mask.
        if not config.use_2d_branch:
            return None, noise_3d, None
        if view is None:
            noise = torch.rand(batch_size, 2, device=points.device)
            view = sample_views(noise, config.camera_distance, config.max_view_elevation)
        return view, noise_3d, _draw_unless_given(noise_2d, batch_size, config.num_patches, points.device)

    def _views(self, points: Tensor, view: Tensor | None) -> Tensor | None:
        """Views of the cross loss `(batch_size, num_views, 3, 4)`, that of I first."""
        # CODEPATH: the 3D-only baseline has no depth maps.
        if view is None:
            return None
        # CODEPATH: Table 8, first row, needs no view but that of I.
        # Paper: "the same view of I" in Eq. 6, four in Table 8 without saying which; ours rotate about the up axis.
        num_views = 1 if self.config.loss_3d_2d_weight == 0 else self.config.num_views
        return rotate_views(view.to(points.dtype), num_views)

    @torch.no_grad()
    def _project_input(
        self, points: Tensor, views: Tensor | None, frame: tuple[Tensor, Tensor]
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Depth map I, its patches, and the depth maps by all views of the cross loss (I first), without gradient."""
        # CODEPATH: the 3D-only baseline has no depth maps.
        if views is None:
            return None, None, None
        depth_maps = self.project(points, views, frame)
        depth_map = depth_maps[:, :1]
        return depth_map, patchify(depth_map, self.config.token_patch_size), depth_maps

    def _token_masks(self, encoded: JointMAEModelOutput) -> tuple[TokenMask, TokenMask | None]:
        """Masks of the encoder with the indices of visible and hidden tokens, which its output does not hold."""
        num_hidden_3d = num_hidden_tokens(encoded.mask_3d.shape[1], self.config.mask_ratio)
        mask_3d = split_tokens(encoded.mask_3d, num_hidden_3d)
        # CODEPATH: the 3D-only baseline has no 2D mask.
        if encoded.mask_2d is None:
            return mask_3d, None
        num_hidden_2d = num_hidden_tokens(encoded.mask_2d.shape[1], self.config.mask_ratio_2d)
        return mask_3d, split_tokens(encoded.mask_2d, num_hidden_2d)

    def _reconstruct(
        self,
        decoded_3d: Tensor,
        decoded_2d: Tensor | None,
        targets: ReconstructionTargets,
        encoded: JointMAEModelOutput,
    ) -> Reconstruction:
        """Predict what is hidden, and fill in what was given."""
        dtype = targets.points.dtype
        predicted_groups = self.reconstruction_head_3d(decoded_3d).unflatten(-1, (-1, 3)).to(dtype)
        points = self._assemble_points(predicted_groups, targets, encoded)
        # CODEPATH: the 3D-only baseline reconstructs no pixels.
        if decoded_2d is None:
            return Reconstruction(predicted_groups, points)
        predicted_patches = self.reconstruction_head_2d(decoded_2d).to(dtype)
        pixels = self._assemble_pixels(predicted_patches, targets)
        return Reconstruction(predicted_groups, points, predicted_patches, pixels)

    def _assemble_points(
        self, predicted_groups: Tensor, targets: ReconstructionTargets, encoded: JointMAEModelOutput
    ) -> Tensor:
        """Reconstructed cloud: given points of visible tokens, predicted points of hidden ones, in token order."""
        mask = targets.mask_3d
        # Paper: projects RecHead(D'), which is silent on visible tokens; they keep the points that were given.
        # CODEPATH: Eq. 5 as published predicts the points of visible tokens too.
        predicted_tokens = mask.order if self.config.loss_3d_target == "cloud" else mask.ids_hidden
        groups = replace_tokens(targets.groups, predicted_tokens, predicted_groups)
        return (groups + encoded.centers[:, :, None]).flatten(1, 2)

    def _assemble_pixels(self, predicted_patches: Tensor, targets: ReconstructionTargets) -> Tensor:
        """Reconstructed depth map: given pixels of visible patches, predicted pixels of hidden ones."""
        patches = replace_tokens(targets.patches, targets.mask_2d.ids_hidden, predicted_patches)
        return unpatchify(patches, self.config.token_patch_size, self.config.image_size)

    def _weighted_sum(self, losses: dict[str, Tensor]) -> Tensor:
        """Overall loss of Eq. 7."""
        weights = {
            "loss_3d": self.config.loss_3d_weight,
            "loss_2d": self.config.loss_2d_weight,
            "loss_3d_2d": self.config.loss_3d_2d_weight,
        }
        first, *others = losses
        total = weights[first] * losses[first]
        for name in others:
            total = torch.add(total, losses[name], alpha=weights[name])
        return total


def _gather_groups(groups: Tensor, indices: Tensor) -> Tensor:
    """Groups of some tokens, `(batch_size, num_indices, group_size, 3)`."""
    return gather_points(groups.flatten(2), indices).unflatten(-1, (-1, 3))


class JointMAEPointwiseLayer(nn.Module):
    """Linear layer, batch norm and ReLU on the last dimension of features of any rank."""

    def __init__(self, in_size: int, out_size: int):
        super().__init__()
        self.fc = nn.Linear(in_size, out_size, bias=False)
        self.norm = nn.BatchNorm1d(out_size)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.norm(self.fc(features.reshape(-1, features.shape[-1])))
        return torch.relu(hidden).reshape(*features.shape[:-1], -1)


class JointMAEClassificationHead(nn.Module):
    """Classification head of Point-MAE: two hidden layers with batch norm and dropout, then the logits."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        # CODEPATH: the ScanObjectNN recipe of Point-M2AE and Point-MAE's head concatenate two features.
        in_size = config.hidden_size * (2 if config.pooling in ("concat", "class") else 1)
        self.hidden1 = JointMAEPointwiseLayer(in_size, config.classifier_hidden_sizes[0])
        self.hidden2 = JointMAEPointwiseLayer(*config.classifier_hidden_sizes)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.out_proj = nn.Linear(config.classifier_hidden_sizes[1], config.num_labels)

    def forward(self, features: Tensor) -> Tensor:
        hidden = self.dropout(self.hidden1(features))
        return self.out_proj(self.dropout(self.hidden2(hidden)))


@auto_docstring(
    custom_intro="""
    Joint-MAE with a classification head on the pooled 3D tokens, e.g. for ModelNet40 and ScanObjectNN.
    """
)
class JointMAEForPointCloudClassification(JointMAEPreTrainedModel):
    def __init__(self, config: JointMAEConfig):
        super().__init__(config)
        self.loss_type = "ForSequenceClassification"
        self.num_labels = config.num_labels
        has_class_token = config.pooling == "class"
        self.jointmae = JointMAEModel(config, add_2d_branch=False, add_class_token=has_class_token)
        self.classifier = JointMAEClassificationHead(config)

        self.post_init()

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        points: Tensor,
        labels: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> SequenceClassifierOutput:
        r"""
        points (`torch.FloatTensor` of shape `(batch_size, num_points, 3)`):
            Point clouds, y up, in the unit sphere, as returned by [`JointMAEFeatureExtractor`].
        labels (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
            Class of each cloud, in `[0, num_labels)`.

        Example:

        ```python
        >>> import torch
        >>> from jointmae_hf import JointMAEConfig, JointMAEForPointCloudClassification

        >>> config = JointMAEConfig.from_preset("jointmae-small", num_labels=40)
        >>> model = JointMAEForPointCloudClassification(config).eval()
        >>> model(torch.rand(2, 1024, 3)).logits.shape
        torch.Size([2, 40])

        ```"""
        check_class_labels(labels, points)
        outputs = self.jointmae(points, **kwargs)
        # CODEPATH: Point-MAE's head reads the class token and the maximum.
        if self.config.pooling == "class":
            tokens = outputs.last_hidden_state
            features = torch.cat([tokens[:, -1], pool_tokens(tokens[:, :-1], "max")], dim=-1)
        else:
            features = pool_outputs(outputs, self.config.pooling)
        logits = self.classifier(features)
        loss = None
        if labels is not None:
            loss = self.loss_function(labels, logits, self.config, **kwargs)

        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class JointMAECategoryEmbedding(nn.Module):
    """Embedding of the object category; zero without a category."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        self.num_categories = config.num_categories
        self.fc = nn.Linear(config.num_categories, config.category_embedding_size, bias=False)
        self.norm = nn.BatchNorm1d(config.category_embedding_size)

    def forward(self, category: Tensor | None, features: Tensor) -> Tensor:
        one_hot = features.new_zeros(features.shape[0], self.num_categories)
        if category is not None:
            one_hot = nn.functional.one_hot(category.to(torch.long), self.num_categories).to(features.dtype)
        embedding = nn.functional.leaky_relu(self.norm(self.fc(one_hot)), negative_slope=0.2)
        return embedding * one_hot.sum(dim=1, keepdim=True)


class JointMAESegmentationHead(nn.Module):
    """Segmentation head of Point-MAE: features of three blocks, interpolated to the points, and global features."""

    def __init__(self, config: JointMAEConfig):
        super().__init__()
        feature_size = len(config.out_indices) * config.hidden_size
        propagation_sizes, hidden_sizes = config.propagation_hidden_sizes, config.segmentation_hidden_sizes
        self.category_embedding = JointMAECategoryEmbedding(config)
        self.propagation1 = JointMAEPointwiseLayer(feature_size + 3, propagation_sizes[0])
        self.propagation2 = JointMAEPointwiseLayer(*propagation_sizes)
        joint_size = propagation_sizes[1] + 2 * feature_size + config.category_embedding_size
        self.hidden1 = JointMAEPointwiseLayer(joint_size, hidden_sizes[0])
        self.hidden2 = JointMAEPointwiseLayer(*hidden_sizes)
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.out_proj = nn.Linear(hidden_sizes[1], config.num_labels)

    def forward(self, features: Tensor, points: Tensor, centers: Tensor, category: Tensor | None) -> Tensor:
        category_features = self.category_embedding(category, features)
        global_features = torch.cat([features.amax(dim=1), features.mean(dim=1), category_features], dim=-1)
        interpolated = interpolate_features(points, centers, features)
        local = self.propagation2(self.propagation1(torch.cat([interpolated, points.to(features.dtype)], dim=-1)))
        joint = torch.cat([local, global_features[:, None].expand(-1, points.shape[1], -1)], dim=-1)
        return self.out_proj(self.hidden2(self.dropout(self.hidden1(joint))))


@auto_docstring(
    custom_intro="""
    Joint-MAE with the part segmentation head of Point-MAE, which labels each point, e.g. for ShapeNetPart.
    """
)
class JointMAEForPointCloudSegmentation(JointMAEPreTrainedModel):
    def __init__(self, config: JointMAEConfig):
        super().__init__(config)
        self.loss_type = "ForTokenClassification"
        self.num_labels = config.num_labels
        self.jointmae = JointMAEModel(config, add_2d_branch=False)
        self.segmenter = JointMAESegmentationHead(config)

        self.post_init()

    @can_return_tuple
    @auto_docstring
    def forward(
        self,
        points: Tensor,
        category: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> TokenClassifierOutput:
        r"""
        points (`torch.FloatTensor` of shape `(batch_size, num_points, 3)`):
            Point clouds, y up, in the unit sphere, as returned by [`JointMAEFeatureExtractor`].
        category (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
            Object category of each cloud, in `[0, num_categories)`; by default its embedding is zero.
        labels (`torch.LongTensor` of shape `(batch_size, num_points)`, *optional*):
            Part of each point, in `[0, num_labels)`; -100 is ignored by the loss.

        Example:

        ```python
        >>> import torch
        >>> from jointmae_hf import JointMAEConfig, JointMAEForPointCloudSegmentation

        >>> config = JointMAEConfig.from_preset("jointmae-small", num_labels=50)
        >>> model = JointMAEForPointCloudSegmentation(config).eval()
        >>> model(torch.rand(2, 2048, 3), category=torch.tensor([0, 3])).logits.shape
        torch.Size([2, 2048, 50])

        ```"""
        check_part_labels(category, labels, points)
        outputs = self.jointmae(points, **kwargs)
        points = points.to(torch.promote_types(points.dtype, torch.float32))
        features = torch.cat([self.jointmae.layernorm(feature_map) for feature_map in outputs.feature_maps], dim=-1)
        logits = self.segmenter(features, points, outputs.centers, category)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels.contiguous(), self.config, **kwargs)

        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def post_process(self, outputs: TokenClassifierOutput, category: Tensor | None = None) -> Tensor:
        """Convert logits to part labels; with a category only to labels that it has.

        Args:
            outputs (`TokenClassifierOutput`):
                Output of the model.
            category (`torch.LongTensor` of shape `(batch_size,)`, *optional*):
                Object category of each cloud; requires `config.category_labels`.

        Returns:
            `torch.LongTensor` of shape `(batch_size, num_points)`: Part of each point.

        Raises:
            ValueError: If a category is given but `config.category_labels` is not set.
        """
        logits = outputs.logits
        if category is None:
            return logits.argmax(dim=-1)
        check_category_labels(self.config)
        allowed = logits.new_zeros(self.config.num_categories, logits.shape[-1], dtype=torch.bool)
        for row, labels in enumerate(self.config.category_labels):
            allowed[row, labels] = True
        is_excluded = ~allowed[category][:, None]
        return logits.masked_fill(is_excluded, torch.finfo(logits.dtype).min).argmax(dim=-1)


__all__ = [
    "JointMAEForPointCloudClassification",
    "JointMAEForPointCloudSegmentation",
    "JointMAEForPreTraining",
    "JointMAEModel",
    "JointMAEPreTrainedModel",
]
