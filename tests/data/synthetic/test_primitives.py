import numpy as np
import pytest

from jointmae_hf.data.synthetic.primitives import boxes, ellipsoid, fin, loft, revolve, shift, slab, unit_circle


def area_of(soup):
    return 0.5 * np.linalg.norm(np.cross(soup[:, 1] - soup[:, 0], soup[:, 2] - soup[:, 0]), axis=1).sum()


def test_boxes_have_the_area_of_their_faces():
    soup = boxes((0.0, 0.0, 0.0), (1.0, 2.0, 3.0))
    assert soup.shape == (12, 3, 3)
    assert area_of(soup) == pytest.approx(2 * (2 + 3 + 6))


def test_boxes_lie_around_their_centers():
    soup = boxes([(0.0, 0.0, 0.0), (5.0, 6.0, 7.0)], (2.0, 2.0, 2.0))
    np.testing.assert_allclose(soup[12:].reshape(-1, 3).min(axis=0), (4.0, 5.0, 6.0))
    np.testing.assert_allclose(soup[12:].reshape(-1, 3).max(axis=0), (6.0, 7.0, 8.0))


def test_revolve_has_the_area_of_a_cylinder():
    soup = revolve([0.5, 0.5], [0.0, 2.0])
    assert area_of(soup) == pytest.approx(2 * np.pi * 0.5 * 2 + 2 * np.pi * 0.25, rel=0.02)


def test_revolve_leaves_the_ends_open_when_not_capped():
    assert area_of(revolve([0.5, 0.5], [0.0, 2.0], capped=False)) == pytest.approx(2 * np.pi, rel=0.01)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_revolve_turns_around_its_axis(axis):
    extent = np.ptp(revolve([0.5, 0.5], [0.0, 3.0], axis=axis).reshape(-1, 3), axis=0)
    assert extent[axis] == pytest.approx(3.0)
    np.testing.assert_allclose(np.delete(extent, axis), 1.0)


def test_ellipsoid_has_the_area_of_a_sphere():
    assert area_of(ellipsoid((1.0, 2.0, 3.0), (2.0, 2.0, 2.0))) == pytest.approx(16 * np.pi, rel=0.04)


def test_loft_joins_a_batch_like_single_solids():
    rings = np.random.default_rng(0).normal(size=(2, 3, 5, 3))
    np.testing.assert_array_equal(loft(rings), np.concatenate([loft(rings[0]), loft(rings[1])]))


def test_slab_has_the_area_of_a_plate():
    assert area_of(slab([0.0, 1.0, 2.0], [0.5, 0.5, 0.5], 0.0, 0.1)) == pytest.approx(2 * (2.0 + 0.2 + 0.1))


def test_fin_has_the_chords_it_was_given():
    corners = fin((0.0, 0.0, 0.0), (2.0, 0.0, 0.0), 1.0, 0.5, 0.1).reshape(-1, 3)
    assert np.ptp(corners[corners[:, 0] == 0.0, 2]) == pytest.approx(1.0)
    assert np.ptp(corners[corners[:, 0] == 2.0, 2]) == pytest.approx(0.5)


def test_unit_circle_approaches_a_square_with_squareness():
    cosines, sines = unit_circle(24, 0.9)
    assert np.maximum(np.abs(cosines), np.abs(sines)).min() > 0.9


def test_shift_moves_a_copy():
    soup = np.zeros((1, 3, 3))
    assert shift(soup, (1.0, 2.0, 3.0)).sum() == 18.0
    assert soup.sum() == 0.0
