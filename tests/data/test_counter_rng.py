import numpy as np
import pytest
import torch
from scipy import stats

from jointmae_hf.data import (
    RandomStream,
    UniformDraw,
    counter_normal,
    counter_permutation,
    counter_uniform,
    counter_uniforms,
)


INDEX = torch.arange(64)


def uniform(seed=0, epoch=0, index=INDEX, stream=RandomStream.MASK_3D, shape=(32,)):
    return counter_uniform(seed, epoch, index, stream, shape)


def reference_uniform(seed, epoch, index, stream, count):
    """The same definition in Python's unbounded integers."""
    modulus = 1 << 64

    def mix(bits):
        bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9 % modulus
        bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB % modulus
        return bits ^ (bits >> 31)

    state = seed % modulus
    for word in (epoch, stream, index):
        state = mix(((state ^ (word % modulus)) + 0x9E3779B97F4A7C15) % modulus)
    return [(mix((state + k * 0x9E3779B97F4A7C15) % modulus) >> 40) / 2**24 for k in range(1, count + 1)]


def test_streams_keep_their_numbers():
    assert [(stream.name, stream.value) for stream in RandomStream] == [
        ("MASK_3D", 0), ("MASK_2D", 1), ("VIEW", 2), ("SCALE", 3), ("TRANSLATE", 4), ("ROTATE", 5), ("JITTER", 6),
        ("SUBSAMPLE", 7), ("COMPOSITION", 101), ("PRIMITIVES", 102), ("ORDER", 103),
    ]  # fmt: skip


@pytest.mark.parametrize(("seed", "epoch", "index"), [(0, 0, 0), (-1, 3, 7), (2**64 + 5, 1, 2**40), (1 << 63, 0, -9)])
def test_uniform_equals_unsigned_arithmetic(seed, epoch, index):
    result = uniform(seed, epoch, torch.tensor([index]), RandomStream.JITTER, (50,))
    assert result[0].tolist() == reference_uniform(seed, epoch, index, 6, 50)


def test_uniform_is_uniform():
    values = uniform(index=torch.arange(500), shape=(200,)).flatten()
    assert values.min() >= 0.0
    assert values.max() < 1.0
    assert stats.kstest(values.double().numpy(), "uniform").pvalue > 0.01


def test_uniform_uses_24_bits():
    integers = (uniform(shape=(512,)) * 2**24).long().numpy().ravel()
    for bit in range(24):
        assert ((integers >> bit) & 1).mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"stream": 1}, {"index": INDEX + 64}])
def test_uniform_is_independent_between_seeds_epochs_streams_and_indices(other):
    first, second = uniform(shape=(1024,)).flatten(), uniform(**other, shape=(1024,)).flatten()
    counts = np.histogram2d(first.numpy(), second.numpy(), bins=8, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(counts.ravel()).pvalue > 0.01


def test_uniform_is_independent_between_neighbours_in_index_and_position():
    values = uniform(index=torch.arange(512), shape=(512,)).double() - 0.5
    for first, second in ((values[1:], values[:-1]), (values[:, 1:], values[:, :-1])):
        assert abs((first * second).mean() * 12) < 4 / 512


def test_uniform_does_not_depend_on_the_rest_of_the_batch():
    alone = torch.cat([uniform(index=INDEX[k : k + 1]) for k in (5, 3)])
    assert torch.equal(uniform()[[5, 3]], alone)


def test_uniform_of_a_shape_starts_like_a_larger_one():
    assert torch.equal(uniform(shape=(2, 4)).flatten(1), uniform(shape=(100,))[:, :8])


def test_uniforms_of_several_draws_are_those_of_each():
    draws = [UniformDraw(3, RandomStream.VIEW, (2,)), UniformDraw(4, RandomStream.VIEW, ()), UniformDraw(3, 0, (5, 7))]
    for draw, numbers in zip(draws, counter_uniforms(2, INDEX, draws), strict=True):
        assert torch.equal(numbers, counter_uniform(draw.seed, 2, INDEX, draw.stream, draw.shape))


def test_uniform_takes_an_empty_shape_and_an_empty_batch():
    assert uniform(shape=()).shape == (64,)
    assert uniform(index=torch.arange(0)).shape == (0, 32)


def test_uniform_is_the_same_for_every_integer_type():
    assert torch.equal(uniform(index=INDEX.to(torch.int32)), uniform())


@pytest.mark.gpu
def test_uniform_has_the_same_bits_on_cuda():
    assert torch.equal(uniform(index=INDEX.cuda(), shape=(4096,)).cpu(), uniform(shape=(4096,)))


def test_normal_is_normal():
    values = counter_normal(0, 0, torch.arange(500), RandomStream.JITTER, (200,)).flatten()
    assert torch.isfinite(values).all()
    assert stats.kstest(values.double().numpy(), "norm").pvalue > 0.01


def test_normal_is_finite_for_every_uniform_number(monkeypatch):
    edges = torch.tensor([[0.0, 0.0], [1.0 - 2.0**-24, 0.5]]).T[None]
    monkeypatch.setattr("jointmae_hf.data.counter_rng.counter_uniform", lambda *arguments: edges)
    assert torch.isfinite(counter_normal(0, 0, INDEX[:1], 0, (2,))).all()


@pytest.mark.parametrize("index", [torch.zeros(2), torch.zeros(2, dtype=torch.bool)])
def test_uniform_refuses_an_index_that_is_not_an_integer(index):
    with pytest.raises(TypeError, match="`index` must be of an integer type"):
        uniform(index=index)


def test_uniform_refuses_an_index_that_is_not_a_vector():
    with pytest.raises(ValueError, match=r"`index` must have the shape \(batch_size,\), got \(\)"):
        uniform(index=torch.tensor(3))


def test_uniform_refuses_a_fraction_of_an_epoch():
    with pytest.raises(TypeError, match=r"`epoch` must be an int, got 0\.5"):
        uniform(epoch=0.5)


def permutation(size, seed=0, epoch=0, stream=RandomStream.ORDER):
    return counter_permutation(seed, epoch, np.arange(size), size, stream).tolist()


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 1000, 4097])
def test_permutation_has_every_number_once(size):
    assert sorted(permutation(size)) == list(range(size))


def test_permutation_is_the_same_place_by_place():
    places = np.array([3, 2**40 - 1, 17])
    together = counter_permutation(5, 1, places, 2**40, RandomStream.ORDER)
    alone = [int(counter_permutation(5, 1, place[None], 2**40, RandomStream.ORDER)[0]) for place in places]
    assert together.tolist() == alone
    assert together.dtype == np.int64


@pytest.mark.parametrize("other", [{"seed": 1}, {"epoch": 1}, {"stream": 1}])
def test_permutation_changes_with_seed_epoch_and_stream(other):
    same = np.array(permutation(1000)) == np.array(permutation(1000, **other))
    assert same.sum() < 10  # one place in 1,000 is expected


def test_permutation_spreads_every_number_over_all_places():
    counts = np.zeros((8, 8))
    for epoch in range(800):
        counts[np.arange(8), permutation(8, epoch=epoch)] += 1
    assert stats.chisquare(counts.ravel()).pvalue > 0.001


def test_permutation_refuses_places_outside():
    with pytest.raises(ValueError, match="`index` must be from 0 to 4, got 2 to 5"):
        counter_permutation(0, 0, np.array([2, 5]), 5, 0)
