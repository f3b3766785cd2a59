from pathlib import Path

import numpy as np
import pytest

from jointmae_hf.data.readers.validation import check_points, reader_errors


def test_naming_file_turns_any_error_into_one_that_names_the_file():
    with (
        pytest.raises(ValueError, match=r"`a\.ply` must be whole, got: KeyError: 'x'"),
        reader_errors(Path("a.ply"), "be whole"),
    ):
        raise KeyError("x")


def test_naming_file_leaves_a_missing_package_alone():
    with pytest.raises(ImportError, match="install it"), reader_errors(Path("a.ply"), "be whole"):
        raise ImportError("install it")


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


@pytest.mark.parametrize(
    "points",
    [
        [[0.1, 5_000_000.3, 0.2]],
        [[0.1, 5_000_000.3, 0.2], [900.1, 5_000_900.3, 0.2]],
        np.full((2, 3), 0.1),
    ],
    ids=["one point", "a town", "equal points"],
)
def test_check_points_takes_what_float32_does_not_blur(points):
    check_points(np.array(points), Path("a.xyz"))
