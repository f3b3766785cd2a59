from pathlib import Path

import numpy as np
import pytest

from jointmae_hf.data.point_checks import check_points, naming_file


def test_naming_file_turns_any_error_into_one_that_names_the_file():
    with (
        pytest.raises(ValueError, match=r"`a\.ply` must be whole, got: KeyError: 'x'"),
        naming_file(Path("a.ply"), "be whole"),
    ):
        raise KeyError("x")


def test_naming_file_leaves_a_missing_package_alone():
    with pytest.raises(ImportError, match="install it"), naming_file(Path("a.ply"), "be whole"):
        raise ImportError("install it")


def test_check_points_returns_rows_in_order_and_in_memory():
    points = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    result = check_points(points, Path("a.npy"))
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, points)
    np.testing.assert_array_equal(result, points)
