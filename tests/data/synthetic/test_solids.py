import numpy as np
import pytest

from jointmae_hf.data.synthetic.solids import arc, rods, tube


def distances_to_line(soup, start, end):
    direction = (end - start) / np.linalg.norm(end - start)
    offsets = soup.reshape(-1, 3) - start
    return np.linalg.norm(offsets - (offsets @ direction)[:, None] * direction, axis=1)


def test_rods_stay_within_their_radius():
    start, end = np.array([0.1, 0.2, 0.3]), np.array([1.0, -1.0, 2.0])
    assert distances_to_line(rods(start, end, 0.2), start, end).max() == pytest.approx(0.2)


def test_rods_taper_to_the_end_radius():
    soup = rods((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), 0.3, 0.1).reshape(-1, 3)
    assert np.linalg.norm(soup[soup[:, 1] > 0.99][:, [0, 2]], axis=1).max() == pytest.approx(0.1)


def test_rods_share_one_start():
    soup = rods((0.0, 0.0, 0.0), [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)], 0.1)
    np.testing.assert_allclose(soup[: len(soup) // 2], rods((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 0.1))


def test_tube_keeps_its_radius_around_a_straight_path():
    path = np.linspace([0.0, 0.0, 0.0], [2.0, 1.0, 0.0], 5)
    assert distances_to_line(tube(path, 0.1, (0.0, 0.0, 1.0)), path[0], path[-1]).max() == pytest.approx(0.1)


def test_arc_starts_and_ends_at_its_angles():
    path = arc((1.0, 2.0), (0.5, 0.25), 0.0, np.pi / 2)
    np.testing.assert_allclose(path[[0, -1]], [(1.5, 2.0, 0.0), (1.0, 2.25, 0.0)], atol=1e-12)
