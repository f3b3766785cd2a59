import inspect

import numpy as np
import pytest

from jointmae_hf.data.synthetic import household_families


BUILDERS = [build for name, build in inspect.getmembers(household_families) if name.startswith("build_")]


@pytest.mark.parametrize("build", BUILDERS)
def test_household_is_made_of_finite_triangles_in_every_style(build):
    for seed in range(60):
        for pieces in build(np.random.default_rng(seed)).values():
            for soup in pieces:
                assert soup.ndim == 3
                assert soup.shape[1:] == (3, 3)
                assert np.isfinite(soup).all()


@pytest.mark.parametrize("build", BUILDERS)
def test_household_repeats_for_the_same_generator(build):
    first, second = (build(np.random.default_rng(5)) for _ in range(2))
    assert list(first) == list(second)
    for part, pieces in first.items():
        np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate(second[part]))
