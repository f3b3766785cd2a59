"""The sphere renderer."""

import numpy as np
import pytest

from jointmae_hf.visualization.sphere_renderer import camera_axes, render_points


RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
FRONT = {"azimuth": 0.0, "elevation": 0.0}


@pytest.fixture
def cloud() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (200, 3))


def covered(picture: np.ndarray) -> np.ndarray:
    return (picture != 255).any(axis=2)


def test_render_points_returns_uint8_pixels(cloud):
    picture = render_points(cloud, RED, size=64)
    assert (picture.shape, picture.dtype) == ((64, 64, 3), np.uint8)


def test_render_points_is_deterministic(cloud):
    assert np.array_equal(render_points(cloud, RED, size=64), render_points(cloud, RED, size=64))


def test_render_points_ignores_the_order_of_points(cloud):
    colors = np.random.default_rng(1).random(cloud.shape)
    backwards = render_points(cloud[::-1], colors[::-1], size=64)
    assert np.array_equal(render_points(cloud, colors, size=64), backwards)


@pytest.mark.parametrize("camera_distance", [None, 6.0])
def test_render_points_shows_the_nearer_sphere(camera_distance):
    points = np.array([[0.0, 0.0, 0.5], [0.0, 0.0, -0.5]])
    picture = render_points(
        points, np.array([RED, BLUE]), size=33, radius=0.2, camera_distance=camera_distance, **FRONT
    )
    assert picture[16, 16, 0] > picture[16, 16, 2]


def test_render_points_draws_up_on_top_and_right_on_the_right():
    is_covered = covered(render_points(np.array([[0.6, 0.6, 0.0]]), RED, size=64, **FRONT))
    assert is_covered[:32, 32:].any()
    assert not is_covered[32:].any()
    assert not is_covered[:, :32].any()


def test_render_points_looks_from_x_when_azimuth_is_90():
    points = np.array([[0.5, 0.0, 0.0], [-0.5, 0.0, 0.0]])
    picture = render_points(points, np.array([RED, BLUE]), size=33, radius=0.2, azimuth=90.0, elevation=0.0)
    assert picture[16, 16, 0] > picture[16, 16, 2]


def test_render_points_covers_the_area_of_a_disk():
    picture = render_points(np.zeros((1, 3)), RED, size=210, radius=0.5, camera_distance=None, supersampling=1)
    assert covered(picture).sum() == pytest.approx(np.pi * 50.0**2, rel=0.01)


def test_render_points_makes_near_spheres_larger_when_camera_is_close():
    near, far = (covered(render_points(np.array([[0, 0, z]]), RED, radius=0.1, **FRONT)).sum() for z in (0.8, -0.8))
    assert near > 1.3 * far


def test_render_points_takes_one_radius_per_point():
    points = np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]])
    is_covered = covered(render_points(points, RED, size=64, radius=np.array([0.05, 0.2]), **FRONT))
    assert is_covered[:, 32:].sum() > 4 * is_covered[:, :32].sum()


def test_render_points_leaves_the_background_when_cloud_is_empty():
    picture = render_points(np.zeros((0, 3)), RED, size=8, background=(0.0, 1.0, 0.0))
    assert (picture == [0, 255, 0]).all()


def test_render_points_drops_points_behind_the_camera():
    assert not covered(render_points(np.array([[0.0, 0.0, 7.0]]), RED, size=16, **FRONT)).any()


def test_camera_axes_are_right_handed_and_orthonormal():
    axes = camera_axes(azimuth=37.0, elevation=21.0)
    assert np.allclose(axes @ axes.T, np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": np.zeros((4, 2))}, "`points` must have shape"),
        ({"points": np.full((4, 3), np.nan)}, "`points` must be finite"),
        ({"colors": np.zeros((3, 3))}, "`colors` must be one RGB triple"),
        ({"colors": (0.0, 0.0, 255.0)}, "`colors` must lie within"),
        ({"radius": 0.0}, "`radius` must be positive"),
        ({"size": 0}, "`size` and `supersampling`"),
        ({"camera_distance": 0.5}, "`camera_distance` must exceed"),
    ],
)
def test_render_points_names_the_argument_when_it_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        render_points(**({"points": np.zeros((4, 3)), "colors": RED, "size": 8} | arguments))
