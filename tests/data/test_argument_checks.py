"""The check of whole numbers."""

import pytest

from jointmae_hf.data.argument_checks import check_integer


@pytest.mark.parametrize("value", [1, 5, 9])
def test_check_integer_accepts_both_bounds(value):
    check_integer("size", value, 1, 9)


@pytest.mark.parametrize(
    ("value", "most", "error", "rule"),
    [
        (2.0, None, TypeError, r"an int, got 2\.0"),
        (True, None, TypeError, "an int, got True"),
        (0, None, ValueError, "at least 1, got 0"),
        (10, 9, ValueError, "between 1 and 9, got 10"),
    ],
)
def test_check_integer_names_the_argument_and_the_rule(value, most, error, rule):
    with pytest.raises(error, match=f"`size` must be {rule}"):
        check_integer("size", value, 1, most)
