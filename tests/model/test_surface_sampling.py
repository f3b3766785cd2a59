import numpy as np
import pytest

from jointmae_hf.model.surface_sampling import clip_ears, sample_polygons, sample_surface, triangulate


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


CONVEX = [[0, 0], [2, 0], [3, 1], [2, 2], [0, 2]]
NOTCHED_SQUARE = [[0, 0], [4, 0], [4, 4], [2, 0.5], [0, 4]]
ARROW = [[0, 0], [2, 2], [0, 1], [-2, 2]]
COMB = [[0, 0], [9, 0], [9, 4], [8, 1], [7, 4], [6, 1], [5, 4], [4, 1], [3, 4], [2, 1], [1, 4]]
SPIRAL = [[0, 0], [5, 0], [5, 5], [1, 5], [1, 2], [3, 2], [3, 3], [2, 3], [2, 4], [4, 4], [4, 1], [0, 1]]
WITH_HOLE = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0], [1, 1], [1, 3], [3, 3], [3, 1], [1, 1]]  # by a bridge of no width
EXTRA_CORNERS = [[0, 0], [1, 0], [2, 0], [2, 1], [2, 2], [1, 1], [0, 2], [0, 1]]  # some on straight edges


def area_of(outline):
    x, y = np.asarray(outline, dtype=float).T
    return (x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2


def in_space(outline, turn):
    """Corners of an outline in a plane that stands askew, or in one of two axes."""
    first, second = {
        "askew": ([0.6, 0.8, 0.0], [0.0, 0.6, 0.8]),
        "xz": ([1.0, 0, 0], [0, 0, 1.0]),
        "yx": ([0, 1.0, 0], [1.0, 0, 0]),
    }[turn]
    return np.asarray(outline, dtype=float) @ np.array([first, second]) + 100


@pytest.mark.parametrize("turn", ["askew", "xz", "yx"])
@pytest.mark.parametrize("start", range(5))
@pytest.mark.parametrize(
    "outline", [CONVEX, NOTCHED_SQUARE, ARROW, COMB, SPIRAL, WITH_HOLE, EXTRA_CORNERS],
    ids=["convex", "notch", "arrow", "comb", "spiral", "hole", "extra"],
)  # fmt: skip
def test_triangulate_covers_a_polygon_and_nothing_else(outline, start, turn):
    vertices = in_space(outline, turn)
    size = len(outline)
    triangles = triangulate(vertices, np.roll(np.arange(size), start), np.array([size]))
    flat = np.asarray(outline, dtype=float)[triangles]
    areas = [area_of(triangle) for triangle in flat]
    # All turn the same way as the polygon, and together they have its area: none lies outside, none on another.
    assert min(areas) > -1e-9
    assert sum(areas) == pytest.approx(area_of(outline))
    assert len(triangles) == size - 2


def test_triangulate_keeps_the_order_of_the_polygons():
    vertices = in_space(NOTCHED_SQUARE, "xz")
    triangles = triangulate(vertices, np.array([0, 1, 2, 0, 1, 2, 3, 4, 4, 1, 2, 4, 0]), np.array([3, 5, 3, 2]))
    assert triangles[[0, 4]].tolist() == [[0, 1, 2], [4, 1, 2]]
    assert triangles[1:4, 0].tolist() == [3, 3, 3]


def test_triangulate_gives_every_corner_of_a_crossing_polygon_a_triangle():
    bow_tie = [[0, 0], [3, 3], [3, 0], [0, 3], [1, 1.2], [1, 2]]
    assert len(triangulate(in_space(bow_tie, "xz"), np.arange(6), np.array([6]))) == 4


@pytest.mark.timeout(20)
def test_triangulate_ends_for_a_star_of_many_corners():
    angle = np.linspace(0, 2 * np.pi, 1000, endpoint=False)
    star = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.where(np.arange(1000) % 2, 1.0, 0.5)[:, None]
    triangles = triangulate(in_space(star, "xz"), np.arange(1000), np.array([1000]))
    assert sum(area_of(star[triangle]) for triangle in triangles) == pytest.approx(area_of(star))


def test_triangulate_refuses_a_concave_polygon_of_too_many_corners():
    comb = np.array([[place, 3 * (place % 2)] for place in range(3000)] + [[3000, -1], [0, -1]])
    with pytest.raises(ValueError, match=r"a concave face of it has 3002 corners\. Cut it into triangles first"):
        triangulate(in_space(comb[::-1], "xz"), np.arange(3002), np.array([3002]))


def test_clip_ears_cuts_off_a_corner_that_holds_no_other():
    assert clip_ears(np.array(ARROW, dtype=float)) == [[0, 1, 2], [2, 3, 0]]


def test_sample_polygons_puts_no_points_where_a_concave_polygon_has_no_surface():
    vertices = np.array([[x, y, 0.0] for x, y in NOTCHED_SQUARE])
    points = sample_polygons(vertices, np.arange(5), np.array([5]), 5000, np.random.default_rng(0))
    is_in_notch = points[:, 1] > 0.5 + 1.75 * np.abs(points[:, 0] - 2) + 1e-9
    assert not is_in_notch.any()
    assert (points[:, 0] < 2).mean() == pytest.approx(0.5, abs=0.02)
