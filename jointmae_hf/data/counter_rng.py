"""Random numbers as a hash of (seed, epoch, index, stream), the same in any batch, order, process or device.

There is no state: the numbers of a sample depend on its own index, so a resumed run repeats them exactly. The hash is
the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). torch has no unsigned 64-bit arithmetic on every device,
so it runs in int64, where products wrap around and the logical shift is an arithmetic one with the sign bits cleared.
"""

import math
from enum import IntEnum

import torch
from torch import Tensor


class RandomStream(IntEnum):
    """Purpose of random numbers; two streams of one sample are independent. The values never change."""

    MASK_3D = 0
    MASK_2D = 1
    VIEW = 2
    SCALE = 3
    TRANSLATE = 4
    ROTATE = 5
    JITTER = 6
    SUBSAMPLE = 7
    COMPOSITION = 101
    PRIMITIVES = 102
    ORDER = 103


_GOLDEN_GAMMA = 0x9E3779B97F4A7C15
_FIRST_FACTOR = 0xBF58476D1CE4E5B9
_SECOND_FACTOR = 0x94D049BB133111EB


def _to_int64(value: int) -> int:
    """Return the signed 64-bit number with the bits of `value` modulo 2 ** 64."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift_right(bits: Tensor, count: int) -> Tensor:
    """Shift int64 right without its sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def _mix(bits: Tensor) -> Tensor:
    """Apply the finalizer of SplitMix64: every input bit changes half of the output bits."""
    bits = (bits ^ _shift_right(bits, 30)) * _to_int64(_FIRST_FACTOR)
    bits = (bits ^ _shift_right(bits, 27)) * _to_int64(_SECOND_FACTOR)
    return bits ^ _shift_right(bits, 31)


def counter_uniform(
    seed: int, epoch: int, index: Tensor, stream: int | RandomStream, shape: tuple[int, ...]
) -> Tensor:
    """Draw uniform numbers for each sample of a batch.

    Args:
        seed (`int`):
            Seed of the run; any integer, taken modulo 2 ** 64.
        epoch (`int`):
            Pass over the data.
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Position of each sample in its dataset. The numbers are drawn on its device.
        stream (`int` or `RandomStream`):
            Purpose of the numbers.
        shape (`tuple[int, ...]`):
            Shape of the numbers of one sample. A smaller shape gives the first numbers of a larger one.

    Returns:
        `torch.Tensor`: float32 of shape `(batch_size, *shape)` in [0, 1), multiples of 2 ** -24.

    Raises:
        TypeError: If `seed`, `epoch`, `stream` or `index` is not of an integer type.
        ValueError: If `index` is not one-dimensional.

    Example:
        >>> counter_uniform(seed=0, epoch=3, index=torch.tensor([7, 8]), stream=RandomStream.SCALE, shape=(3,)).shape
        torch.Size([2, 3])
    """
    for name, value in (("seed", seed), ("epoch", epoch), ("stream", stream)):
        if not isinstance(value, int):
            raise TypeError(f"`{name}` must be an int, got {value!r}.")
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise TypeError(f"`index` must be of an integer type, got {index.dtype}.")
    if index.ndim != 1:
        raise ValueError(f"`index` must have the shape (batch_size,), got {tuple(index.shape)}.")
    gamma = _to_int64(_GOLDEN_GAMMA)
    state = torch.full((1,), _to_int64(seed), dtype=torch.int64, device=index.device)
    for word in (_to_int64(epoch), _to_int64(stream), index.to(torch.int64)):
        state = _mix((state ^ word) + gamma)
    counter = torch.arange(1, math.prod(shape) + 1, dtype=torch.int64, device=index.device)
    bits = _shift_right(_mix(state[:, None] + counter * gamma), 40)
    return (bits.to(torch.float32) * 2.0**-24).reshape(index.shape[0], *shape)


def counter_normal(seed: int, epoch: int, index: Tensor, stream: int | RandomStream, shape: tuple[int, ...]) -> Tensor:
    """Draw standard normal numbers for each sample of a batch, by the Box-Muller formula.

    Args:
        seed (`int`):
            Seed of the run.
        epoch (`int`):
            Pass over the data.
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Position of each sample in its dataset. The numbers are drawn on its device.
        stream (`int` or `RandomStream`):
            Purpose of the numbers.
        shape (`tuple[int, ...]`):
            Shape of the numbers of one sample.

    Returns:
        `torch.Tensor`: float32 of shape `(batch_size, *shape)`, within [-5.77, 5.77]. Devices agree up to the rounding of
        their logarithm and cosine.

    Raises:
        TypeError: If `seed`, `epoch`, `stream` or `index` is not of an integer type.
        ValueError: If `index` is not one-dimensional.
    """
    radius, angle = counter_uniform(seed, epoch, index, stream, (2, *shape)).unbind(dim=1)
    return torch.sqrt(-2.0 * torch.log(1.0 - radius)) * torch.cos(2.0 * torch.pi * angle)


_NUM_ROUNDS = 8


def counter_permutation(seed: int, epoch: int, index: Tensor, size: int, stream: int | RandomStream) -> Tensor:
    """Permute the numbers below `size`, without a table: any place of a permutation of any length costs the same.

    A Feistel network permutes the next power of four, and a number outside `size` is permuted again until it is inside
    (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).

    Args:
        seed (`int`):
            Seed of the run.
        epoch (`int`):
            Number of the permutation.
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Places in the permutation, from 0 to `size - 1`.
        size (`int`):
            Length of the permutation, positive.
        stream (`int` or `RandomStream`):
            Purpose of the permutation.

    Returns:
        `torch.LongTensor`: Numbers of shape `(batch_size,)`, from 0 to `size - 1`.

    Raises:
        ValueError: If a place is outside the permutation.

    Example:
        >>> counter_permutation(
        ...     seed=0, epoch=0, index=torch.arange(5), size=5, stream=RandomStream.ORDER
        ... ).sort().values
        tensor([0, 1, 2, 3, 4])
    """
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < size:
        raise ValueError(f"`index` must be from 0 to {size - 1}, got {int(index.min())} to {int(index.max())}.")
    gamma = _to_int64(_GOLDEN_GAMMA)
    key = torch.full((1,), _to_int64(seed), dtype=torch.int64, device=index.device)
    for word in (_to_int64(epoch), _to_int64(stream), size):
        key = _mix((key ^ word) + gamma)
    keys = _mix(key + torch.arange(1, _NUM_ROUNDS + 1, device=index.device) * gamma)
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    permuted = _permute_bits(index, keys, half)
    while (outside := permuted >= size).any():
        permuted[outside] = _permute_bits(permuted[outside], keys, half)
    return permuted


def _permute_bits(numbers: Tensor, keys: Tensor, half: int) -> Tensor:
    """Permute the numbers of `2 * half` bits by a Feistel network with one round for each key."""
    low_bits = (1 << half) - 1
    left, right = numbers >> half, numbers & low_bits
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & low_bits)
    return (left << half) | right
