import numpy as np
import pytest

from jointmae_hf.data.readers.surface_sampling import sample_surface


def test_sample_surface_draws_triangles_in_proportion_to_their_area():
    small = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    soup = np.concatenate([small, small * np.sqrt(3.0)])
    _, face = sample_surface(soup, 20_000, np.random.default_rng(0))
    assert face.mean() == pytest.approx(0.75, abs=0.01)


def test_sample_surface_is_uniform_inside_a_triangle():
    triangle = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    points, _ = sample_surface(triangle, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(points.mean(axis=0), (1 / 3, 1 / 3, 0.0), atol=0.01)
    # The quarter nearest to a corner holds a quarter of the area.
    assert ((points[:, 0] + points[:, 1]) < 0.5).mean() == pytest.approx(0.25, abs=0.01)


def test_sample_surface_never_draws_triangles_without_area():
    soup = np.zeros((3, 3, 3))
    soup[1] = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    _, face = sample_surface(soup, 1_000, np.random.default_rng(0))
    assert set(face) == {1}
