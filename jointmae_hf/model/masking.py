"""Masking: random masks of both modalities, visible and hidden tokens, and local-aligned attention."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from .point_ops import gather_points


def num_hidden_tokens(num_tokens: int, mask_ratio: float) -> int:
    """Return the number of tokens that a mask hides, `int(mask_ratio * num_tokens)` as in Point-MAE.

    Args:
        num_tokens (`int`):
            Number of tokens of one modality.
        mask_ratio (`float`):
            Share of hidden tokens.

    Returns:
        `int`: 48 of 64 and 147 of 196 at the paper's ratio of 0.75.

    Example:
        >>> num_hidden_tokens(64, 0.75), num_hidden_tokens(196, 0.75)
        (48, 147)
    """
    return int(mask_ratio * num_tokens)


class TokenMask(NamedTuple):
    """Which tokens of one modality are hidden from the encoder; each row hides the same number of them.

    Attributes:
        is_hidden (`torch.BoolTensor` of shape `(batch_size, num_tokens)`):
            True where a token is hidden.
        ids_visible (`torch.LongTensor` of shape `(batch_size, num_visible)`):
            Indices of the visible tokens in ascending order.
        ids_hidden (`torch.LongTensor` of shape `(batch_size, num_hidden)`):
            Indices of the hidden tokens in ascending order.
    """

    is_hidden: Tensor
    ids_visible: Tensor
    ids_hidden: Tensor

    @property
    def order(self) -> Tensor:
        """`torch.LongTensor`: Indices of all tokens `(batch_size, num_tokens)`, visible ones first."""
        return torch.cat([self.ids_visible, self.ids_hidden], dim=1)


def _argsort(values: Tensor) -> Tensor:
    """Indices that sort each row, equal values in order; exporters to ONNX, whose sort is stable, know no other."""
    if torch.compiler.is_exporting():
        return values.to(torch.promote_types(values.dtype, torch.int32)).argsort(dim=1)
    return values.argsort(dim=1, stable=True)


def split_tokens(is_hidden: Tensor, num_hidden: int) -> TokenMask:
    """Find the indices of the visible and of the hidden tokens.

    Args:
        is_hidden (`torch.BoolTensor` of shape `(batch_size, num_tokens)`):
            True where a token is hidden.
        num_hidden (`int`):
            Number of hidden tokens of each row.

    Returns:
        `TokenMask`: The mask with its indices.
    """
    order = _argsort(is_hidden.to(torch.uint8))
    num_visible = is_hidden.shape[1] - num_hidden
    return TokenMask(is_hidden, order[:, :num_visible], order[:, num_visible:])


def random_mask(noise: Tensor, mask_ratio: float) -> TokenMask:
    """Hide the tokens with the largest noise. Source: Joint-MAE Sec. 3.1, each modality on its own.

    Args:
        noise (`torch.Tensor` of shape `(batch_size, num_tokens)`):
            Random numbers; with uniform ones each set of hidden tokens is equally likely.
        mask_ratio (`float`):
            Share of hidden tokens.

    Returns:
        `TokenMask`: The hidden tokens, [`num_hidden_tokens`] in each row.
    """
    num_hidden = num_hidden_tokens(noise.shape[1], mask_ratio)
    rank = _argsort(noise).argsort(dim=1)
    return split_tokens(rank >= noise.shape[1] - num_hidden, num_hidden)


class _TakeVisible(torch.autograd.Function):
    """Gather of visible tokens whose gradient is a gather too."""

    @staticmethod
    def forward(tokens: Tensor, is_hidden: Tensor, ids_visible: Tensor) -> Tensor:
        return gather_points(tokens, ids_visible)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (is_hidden,) = ctx.saved_tensors
        slots = ((~is_hidden).cumsum(dim=1) - 1).clamp(min=0)
        return gather_points(gradient, slots).masked_fill(is_hidden[:, :, None], 0), None, None


def take_visible(tokens: Tensor, mask: TokenMask | None) -> Tensor:
    """Take the visible tokens, with a gradient that needs no scatter.

    Inductor of torch 2.13 loses the scatter in the gradient of a plain gather behind a convolution: compiled training
    would silently leave the 2D embedding untrained.

    Args:
        tokens (`torch.Tensor` of shape `(batch_size, num_tokens, num_features)`):
            Tokens of one modality, or their positions.
        mask (`TokenMask`, *optional*):
            Hidden tokens; with `None` all tokens are visible.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_visible, num_features)`: Rows of `tokens`.
    """
    return tokens if mask is None else _TakeVisible.apply(tokens, mask.is_hidden, mask.ids_visible)


def replace_tokens(tokens: Tensor, indices: Tensor, rows: Tensor) -> Tensor:
    """Replace some tokens, such as what was hidden by what was predicted; the others stay in their places.

    Args:
        tokens (`torch.Tensor` of shape `(batch_size, num_tokens, ...)`):
            Rows of all tokens.
        indices (`torch.LongTensor` of shape `(batch_size, num_indices)`):
            Which tokens to replace, each once.
        rows (`torch.Tensor` of shape `(batch_size, num_indices, ...)`):
            Their new rows.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_tokens, ...)`: Rows of all tokens.
    """
    index = indices.reshape(*indices.shape, *[1] * (rows.ndim - 2)).expand_as(rows)
    return tokens.scatter(1, index, rows)


def align_noise(noise_2d: Tensor, visible_patches: Tensor) -> Tensor:
    """Lower the noise of patches that visible 3D tokens project into, so that these patches stay visible.

    For the option `mask_alignment="aligned"`; the paper draws both masks independently.

    Args:
        noise_2d (`torch.Tensor` of shape `(batch_size, num_patches)`):
            Random numbers in [0, 1).
        visible_patches (`torch.LongTensor` of shape `(batch_size, num_visible)`):
            Patch of each visible 3D token, -1 outside the frame.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_patches)`: Noise that orders those patches first.
    """
    patches = torch.arange(noise_2d.shape[1], device=noise_2d.device)
    is_occupied = (visible_patches[:, :, None] == patches).any(dim=1)
    return noise_2d - is_occupied.to(noise_2d.dtype)


def correlated_pairs(patches_of_tokens: Tensor, patches: Tensor) -> Tensor:
    """Find the pairs of 3D and 2D tokens that are geometrically correlated.

    Source: Joint-MAE Sec. 3.3. With one point for each 3D token, its center, this is the paper's rule.

    Args:
        patches_of_tokens (`torch.LongTensor` of shape `(batch_size, num_tokens_3d, num_points_of_token)`):
            Patches that the points of each 3D token project into, -1 outside the frame.
        patches (`torch.LongTensor` of shape `(batch_size, num_tokens_2d)`):
            Patch of each 2D token.

    Returns:
        `torch.BoolTensor` of shape `(batch_size, num_tokens_3d, num_tokens_2d)`: True for correlated pairs.
    """
    return (patches_of_tokens[:, :, :, None] == patches[:, None, None, :]).any(dim=2)


def local_alignment_mask(is_correlated: Tensor, local_2d_to_3d: bool, local_3d_to_2d: bool) -> Tensor:
    """Return which pairs of tokens may attend to each other, 3D tokens first, then 2D.

    Within a modality all tokens attend to all. Across modalities only correlated pairs do, in each direction that is
    local (Table 6). A row always keeps its own modality, so no row is empty. Source: Joint-MAE Sec. 3.3, Fig. 3.

    Args:
        is_correlated (`torch.BoolTensor` of shape `(batch_size, num_tokens_3d, num_tokens_2d)`):
            See [`correlated_pairs`].
        local_2d_to_3d (`bool`):
            Restrict 2D queries on 3D keys.
        local_3d_to_2d (`bool`):
            Restrict 3D queries on 2D keys.

    Returns:
        `torch.BoolTensor` of shape `(batch_size, num_tokens, num_tokens)`: **True = may attend**, the opposite sense
        of `mask_3d` and `mask_2d`; queries are rows.

    Example:
        >>> local_alignment_mask(torch.tensor([[[True], [False]]]), True, True).int().tolist()
        [[[1, 1, 1], [1, 1, 0], [1, 0, 1]]]
    """
    batch_size, num_tokens_3d, num_tokens_2d = is_correlated.shape
    from_3d = is_correlated if local_3d_to_2d else torch.ones_like(is_correlated)
    from_2d = is_correlated if local_2d_to_3d else torch.ones_like(is_correlated)
    within_3d = is_correlated.new_ones(batch_size, num_tokens_3d, num_tokens_3d)
    within_2d = is_correlated.new_ones(batch_size, num_tokens_2d, num_tokens_2d)
    rows_3d = torch.cat([within_3d, from_3d], dim=2)
    rows_2d = torch.cat([from_2d.transpose(1, 2), within_2d], dim=2)
    return torch.cat([rows_3d, rows_2d], dim=1)
