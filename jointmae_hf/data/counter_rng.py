"""Random numbers as a hash of (seed, epoch, index, stream), the same in any batch, order, process or device.

There is no state: the numbers of a sample depend on its own index, so a resumed run repeats them exactly. The hash is
the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). torch has no unsigned 64-bit arithmetic on every device,
so it runs in int64, where products wrap around and the logical shift is an arithmetic one with the sign bits cleared.
"""

import math
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
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
_ALL_BITS = (1 << 64) - 1


def _to_int64(value: int) -> int:
    """Return the signed 64-bit number with the bits of `value` modulo 2 ** 64."""
    value &= _ALL_BITS
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift_right(bits: Tensor, count: int) -> Tensor:
    """Shift int64 right without its sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def _mix_upper(bits: Tensor) -> Tensor:
    """Return the finalizer of SplitMix64 in its upper 31 bits, which its last step leaves as they are."""
    bits = (bits ^ _shift_right(bits, 30)) * _to_int64(_FIRST_FACTOR)
    return (bits ^ _shift_right(bits, 27)) * _to_int64(_SECOND_FACTOR)


def _mix(bits: Tensor) -> Tensor:
    """Apply the finalizer of SplitMix64: every input bit changes half of the output bits."""
    bits = _mix_upper(bits)
    return bits ^ _shift_right(bits, 31)


def _mix_int(bits: int) -> int:
    """Do on the host what `_mix` does, modulo 2 ** 64."""
    bits = (bits ^ (bits >> 30)) * _FIRST_FACTOR & _ALL_BITS
    bits = (bits ^ (bits >> 27)) * _SECOND_FACTOR & _ALL_BITS
    return bits ^ (bits >> 31)


def _stream_key(seed: int, epoch: int, stream: int) -> int:
    """Return the signed 64-bit number of a stream, to which the index of a sample is added."""
    state = seed & _ALL_BITS
    for word in (epoch, stream):
        state = _mix_int(((state ^ word) + _GOLDEN_GAMMA) & _ALL_BITS)
    return _to_int64(state)


class UniformDraw(NamedTuple):
    """Uniform numbers that somebody needs for each sample: arguments of [`counter_uniform`] but epoch and index.

    Attributes:
        seed (`int`):
            Seed of the run; any integer, taken modulo 2 ** 64.
        stream (`int` or `RandomStream`):
            Purpose of the numbers.
        shape (`tuple[int, ...]`):
            Shape of the numbers of one sample.
    """

    seed: int
    stream: int
    shape: tuple[int, ...]


def counter_uniforms(epoch: int, index: Tensor, draws: Sequence[UniformDraw]) -> list[Tensor]:
    """Draw uniform numbers of several streams for each sample of a batch, in a few operations for all of them.

    Args:
        epoch (`int`):
            Pass over the data.
        index (`torch.LongTensor` of shape `(batch_size,)`):
            Position of each sample in its dataset. The numbers are drawn on its device.
        draws (`Sequence[UniformDraw]`):
            At least one seed, stream and shape.

    Returns:
        `list[torch.Tensor]`: What [`counter_uniform`] returns for each of `draws`.

    Raises:
        TypeError: If a seed, `epoch`, a stream or `index` is not of an integer type.
        ValueError: If `index` is not one-dimensional.

    Example:
        >>> draws = [UniformDraw(0, RandomStream.SCALE, (3,)), UniformDraw(0, RandomStream.VIEW, ())]
        >>> scale, shift = counter_uniforms(3, torch.tensor([7]), draws)
        >>> scale.shape, shift.shape
        (torch.Size([1, 3]), torch.Size([1]))
    """
    given = [("epoch", epoch), *((name, getattr(draw, name)) for draw in draws for name in ("seed", "stream"))]
    for name, value in given:
        if not isinstance(value, int):
            raise TypeError(f"`{name}` must be an int, got {value!r}.")
    if index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise TypeError(f"`index` must be of an integer type, got {index.dtype}.")
    if index.ndim != 1:
        raise ValueError(f"`index` must have the shape (batch_size,), got {tuple(index.shape)}.")
    gamma, index = _to_int64(_GOLDEN_GAMMA), index.to(torch.int64)
    keys = [_stream_key(draw.seed, epoch, draw.stream) for draw in draws]
    states = _mix(torch.stack([index ^ key for key in keys]) + gamma)
    sizes = [math.prod(draw.shape) for draw in draws]
    steps = torch.arange(1, max(sizes) + 1, dtype=torch.int64, device=index.device) * gamma
    counters = [state[:, None] + steps[:size] for state, size in zip(states, sizes, strict=True)]
    bits = _shift_right(_mix_upper(torch.cat(counters, dim=1)), 40)
    numbers = (bits.to(torch.float32) * 2.0**-24).split(sizes, dim=1)
    return [part.reshape(len(index), *draw.shape) for part, draw in zip(numbers, draws, strict=True)]


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
    (numbers,) = counter_uniforms(epoch, index, [UniformDraw(seed, stream, shape)])
    return numbers


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


def counter_permutation(seed: int, epoch: int, index: np.ndarray, size: int, stream: int | RandomStream) -> np.ndarray:
    """Permute the numbers below `size`, without a table: any place of a permutation of any length costs the same.

    A Feistel network permutes the next power of four, and a number outside `size` is permuted again until it is inside
    (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). It works on numpy arrays, for workers of a loader.

    Args:
        seed (`int`):
            Seed of the run.
        epoch (`int`):
            Number of the permutation.
        index (`np.ndarray` of shape `(batch_size,)`):
            Places in the permutation, integers from 0 to `size - 1`.
        size (`int`):
            Length of the permutation, positive.
        stream (`int` or `RandomStream`):
            Purpose of the permutation.

    Returns:
        `np.ndarray`: int64 of shape `(batch_size,)`, from 0 to `size - 1`.

    Raises:
        ValueError: If a place is outside the permutation.

    Example:
        >>> sorted(counter_permutation(0, 0, np.arange(5), size=5, stream=RandomStream.ORDER).tolist())
        [0, 1, 2, 3, 4]
    """
    if len(index) and not 0 <= index.min() <= index.max() < size:
        raise ValueError(f"`index` must be from 0 to {size - 1}, got {index.min()} to {index.max()}.")
    gamma, modulus = np.uint64(_GOLDEN_GAMMA), 1 << 64
    key = np.array([seed % modulus], dtype=np.uint64)
    for word in (epoch, stream, size):
        key = _mix_unsigned((key ^ np.uint64(word % modulus)) + gamma)
    keys = _mix_unsigned(key + np.arange(1, _NUM_ROUNDS + 1, dtype=np.uint64) * gamma)
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    permuted = _permute_bits(index.astype(np.uint64), keys, half)
    while len(outside := np.flatnonzero(permuted >= size)):
        permuted[outside] = _permute_bits(permuted[outside], keys, half)
    return permuted.astype(np.int64)


def _mix_unsigned(bits: np.ndarray) -> np.ndarray:
    """Apply the finalizer of SplitMix64 to uint64."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_FIRST_FACTOR)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_SECOND_FACTOR)
    return bits ^ (bits >> np.uint64(31))


def _permute_bits(numbers: np.ndarray, keys: np.ndarray, half: int) -> np.ndarray:
    """Permute the numbers of `2 * half` bits by a Feistel network with one round for each key."""
    num_bits, low_bits = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = numbers >> num_bits, numbers & low_bits
    for key in keys:
        left, right = right, left ^ (_mix_unsigned(right ^ key) & low_bits)
    return (left << num_bits) | right
