"""Floor of a training step: its matrix products and convolutions alone, with the same shapes and order."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry


aten = torch.ops.aten
MATRIX_PRODUCTS = frozenset(
    {
        aten.mm.default,
        aten.addmm.default,
        aten.bmm.default,
        aten.baddbmm.default,
        aten.convolution.default,
        aten.convolution_backward.default,
    }
)
"""Operators of the floor; eager attention consists of `bmm`."""


class MatrixProducts(TorchDispatchMode):
    """Record the matrix products and convolutions inside a `with` block, and replay them alone.

    Example:
        >>> with MatrixProducts() as products:
        ...     _ = torch.rand(4, 8) @ torch.rand(8, 2)
        >>> products.num_flops, products.run()
        (128, 1)
    """

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self._tensors: dict[tuple[Any, ...], Tensor] = {}
        self.num_flops = 0
        self.num_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator; record its layout if it is a matrix product."""
        result = func(*args, **(kwargs or {}))
        if func in MATRIX_PRODUCTS:
            self._calls.append((func, tree_map_only(Tensor, self._like, args), dict(kwargs or {})))
            self.num_flops += _num_flops(func, args, result)
            self.num_bytes += _num_bytes((args, result))
        return result

    def run(self) -> int:
        """Run the recorded calls on random data; return their number."""
        with torch.no_grad():
            for func, args, kwargs in self._calls:
                func(*args, **kwargs)
        return len(self._calls)

    def _like(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the same layout; calls share it, so that the replay needs little memory."""
        key = (tuple(tensor.shape), tensor.stride(), tensor.dtype, tensor.device)
        if key not in self._tensors:
            size = 1 + sum((length - 1) * stride for length, stride in zip(tensor.shape, tensor.stride(), strict=True))
            memory = torch.zeros(size, dtype=tensor.dtype, device=tensor.device)
            memory = memory.normal_(std=0.02) if tensor.is_floating_point() else memory
            self._tensors[key] = memory.as_strided(tensor.shape, tensor.stride())
        return self._tensors[key]


def _num_flops(func: Any, args: tuple[Any, ...], result: Any) -> int:
    """Return the floating-point operations of one call, by the formulas of torch's own counter."""
    formula = flop_registry[func.overloadpacket]
    return int(formula(*args, out_val=result))


def _num_bytes(values: Any) -> int:
    """Return the bytes of all tensors, the least that a call reads and writes."""
    return sum(value.numel() * value.element_size() for value in tree_leaves(values) if isinstance(value, Tensor))
