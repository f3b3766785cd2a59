"""Pooling: how the 3D tokens of a cloud become one vector."""

from typing import Any

import torch
from torch import Tensor


POOLINGS = ("sum", "concat", "mean", "max")
"""Poolings of the classification head, of feature extraction and of every command that computes features.

`"sum"` is mean plus maximum of the normalized 3D tokens, as in the paper; `"concat"` both side by side; `"mean"` and `"max"` one
of the two. The classification head has `"class"` in addition.
"""


def check_pooling(pooling: Any) -> None:
    """Raise for a value that is not one of `POOLINGS`.

    Args:
        pooling (`Any`):
            Value to check.

    Raises:
        ValueError: If `pooling` is not one of [`POOLINGS`].
    """
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be one of {', '.join(POOLINGS)}, got {pooling!r}.")


def pool_tokens(tokens: Tensor, pooling: str) -> Tensor:
    """Pool tokens to one vector for each cloud.

    Args:
        tokens (`torch.Tensor` of shape `(batch_size, num_tokens, hidden_size)`):
            Tokens of each cloud.
        pooling (`str`):
            One of [`POOLINGS`].

    Returns:
        `torch.Tensor` of shape `(batch_size, hidden_size)`: One vector for each cloud, twice as wide with `"concat"`.

    Raises:
        ValueError: If `pooling` is another value.

    Example:
        >>> tokens = torch.tensor([[[1.0, 0.0], [3.0, -2.0]]])
        >>> pool_tokens(tokens, "sum").tolist(), pool_tokens(tokens, "concat").tolist()
        ([[5.0, -1.0]], [[2.0, -1.0, 3.0, 0.0]])
    """
    check_pooling(pooling)
    if pooling == "mean":
        return tokens.mean(dim=1)
    if pooling == "max":
        return tokens.amax(dim=1)
    mean, maximum = tokens.mean(dim=1), tokens.amax(dim=1)
    return mean + maximum if pooling == "sum" else torch.cat([mean, maximum], dim=-1)


def pool_outputs(outputs: Any, pooling: str) -> Tensor:
    """Pool the outputs of an encoder to one vector for each cloud; a class token is left out.

    Args:
        outputs ([`JointMAEModelOutput`]):
            Of a call without depth maps, with no token hidden. The outputs of other encoders need `pooler_output` for
            `"sum"` and `last_hidden_state` for the rest.
        pooling (`str`):
            One of [`POOLINGS`]; `"sum"` is `pooler_output`.

    Returns:
        `torch.Tensor` of shape `(batch_size, hidden_size)`: One vector for each cloud, twice as wide with `"concat"`.

    Raises:
        ValueError: If `pooling` is another value.
    """
    return outputs.pooler_output if pooling == "sum" else pool_tokens(select_3d_tokens(outputs), pooling)


def select_3d_tokens(outputs: Any) -> Tensor:
    """Return the 3D tokens, without the class token behind them.

    Args:
        outputs ([`JointMAEModelOutput`]):
            As in [`pool_outputs`]. Those of other encoders have no `centers`; then all tokens are returned.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_groups, hidden_size)`: Part of `last_hidden_state`.
    """
    centers = getattr(outputs, "centers", None)
    tokens = outputs.last_hidden_state
    return tokens if centers is None else tokens[:, : centers.shape[1]]
