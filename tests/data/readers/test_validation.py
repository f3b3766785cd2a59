from pathlib import Path

import numpy as np
import pytest

from jointmae_hf.data.readers.validation import check_points


def test_check_points_returns_rows_in_order_and_in_memory():
    points = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    result = check_points(points, Path("a.npy"))
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, points)
    np.testing.assert_array_equal(result, points)


def test_check_points_refuses_map_coordinates_that_float32_would_blur():
    points = np.random.default_rng(0).random((100, 3)) + np.array([300_000.0, 5_000_000.0, 0.0])
    with pytest.raises(
        ValueError, match=r"`a\.xyz` must hold coordinates that float32 keeps, got .*Subtract an origin"
    ):
        check_points(points, Path("a.xyz"))
    check_points(points - points[0], Path("a.xyz"))


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64])
def test_check_points_refuses_integers_that_float32_would_blur(dtype):
    points = np.arange(300).reshape(100, 3) + np.array([450_000_000, 450_000_000, 0])
    with pytest.raises(ValueError, match=r"`a\.npy` must hold coordinates that float32 keeps, got rounding errors of"):
        check_points(points.astype(dtype), Path("a.npy"))
    check_points((points - points[0]).astype(dtype), Path("a.npy"))


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no float here keeps 64 bits")
def test_check_points_refuses_integers_that_float64_would_blur():
    points = np.arange(6).reshape(2, 3) + 2**60
    with pytest.raises(ValueError, match=r"must hold coordinates that float32 keeps"):
        check_points(points, Path("a.npy"))


@pytest.mark.parametrize(
    "points",
    [
        np.array([[-(2**31), 0, 0], [2**31 - 1, 7, 0]], np.int32),
        [[0.1, 5_000_000.3, 0.2]],
        [[0.1, 5_000_000.3, 0.2], [900.1, 5_000_900.3, 0.2]],
        np.full((2, 3), 0.1),
    ],
    ids=["integers", "one point", "a town", "equal points"],
)
def test_check_points_takes_what_float32_does_not_blur(points):
    check_points(np.array(points), Path("a.xyz"))
