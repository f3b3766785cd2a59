import math

import numpy as np
import pytest
import torch

from jointmae_hf.model.depth_projection import (
    patch_index,
    project_points,
    render_colors,
    render_depth_maps,
    rotate_views,
    sample_views,
    view_from_angles,
)


CAMERA = {"image_size": 32, "focal_length": 1.6, "camera_distance": 2.0}
MODES = ["soft", "zbuffer", "simpleview"]


@pytest.fixture
def views():
    generator = torch.Generator().manual_seed(0)
    return sample_views(torch.rand(2, 2, generator=generator, dtype=torch.float64), 2.0, 45.0)


def front_view(dtype=torch.float32):
    return view_from_angles(torch.zeros(1, dtype=dtype), torch.zeros(1, dtype=dtype), 2.0)


def camera_coordinates(point, view):
    return [sum(view[axis][i] * point[i] for i in range(3)) + view[axis][3] for axis in range(3)]


def naive_soft_map(points, view, size, focal, distance, radius):
    """One soft depth map in float64, pixel by pixel and point by point."""
    near, far = distance - 1, distance + 1
    in_camera = [camera_coordinates(point, view) for point in points]
    drawn = [(x, y, z) for x, y, z in in_camera if z > near / 2]
    image = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            coverage = weight = total = 0.0
            for x, y, z in drawn:
                u, v = (focal * x / z + 1) * size / 2 - 0.5, (focal * y / z + 1) * size / 2 - 0.5
                kernel = max(0.0, 1 - ((column - u) ** 2 + (row - v) ** 2) / radius**2) ** 2
                closeness = min(max((far - z) / (far - near), 0.0), 1.0)
                coverage += kernel
                weight += kernel * (near / z) ** 12
                total += kernel * (near / z) ** 12 * closeness
            image[row, column] = coverage / (coverage + 0.05) * total / weight if weight > 0 else 0.0
    return image


def naive_zbuffer_map(points, view, size, focal, distance):
    image = np.zeros((size, size))
    for x, y, z in (camera_coordinates(point, view) for point in points):
        column, row = (math.floor((focal * c / z + 1) * size / 2) for c in (x, y))
        if 0 <= column < size and 0 <= row < size:
            image[row, column] = max(image[row, column], (distance + 1 - z) / 2)
    return image


def naive_simpleview_map(points, view, size, focal):
    """Harmonic mean of raw depths in the pixel `ceil(u - 0.5)`, zero in empty pixels."""
    depths, inverse = np.zeros((size, size)), np.zeros((size, size))
    for x, y, z in (camera_coordinates(point, view) for point in points):
        column, row = (math.ceil((focal * c / z + 1) * size / 2 - 0.5) for c in (x, y))
        if 0 <= column < size and 0 <= row < size:
            depths[row, column] += z * (1 / z)
            inverse[row, column] += 1 / z
    return np.divide(depths, inverse, out=np.zeros_like(depths), where=inverse > 0)


def test_view_from_angles_is_a_rotation():
    view = view_from_angles(torch.tensor([0.3, 4.0]).double(), torch.tensor([-1.0, 0.6]).double(), 2.0)
    rotation = view[:, :, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).double().expand(2, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(2).double())


@pytest.mark.parametrize(("azimuth", "axis"), [(0.0, 2), (math.pi / 2, 0)])
def test_view_from_angles_looks_from_the_documented_axis(azimuth, axis):
    view = view_from_angles(torch.tensor([azimuth]), torch.zeros(1), 2.0)
    _, depths = project_points(torch.eye(3)[None, [axis]], view)
    assert depths.item() == pytest.approx(1.0)


def test_view_from_angles_shows_the_up_axis_upwards(views):
    coordinates, _ = project_points(torch.tensor([[[0.0, 0.5, 0.0]]]).double().expand(2, 1, 3), views)
    assert (coordinates[..., 1] < 0).all()  # rows count downwards
    torch.testing.assert_close(coordinates[..., 0], torch.zeros(2, 1).double())


def test_view_from_angles_shows_no_mirror_image():
    coordinates, _ = project_points(torch.tensor([[[0.5, 0.0, 0.0]]]), front_view())
    assert coordinates[0, 0, 0] > 0  # seen from +z with y up, +x is to the right


def test_view_from_above_looks_down():
    view = view_from_angles(torch.zeros(1), torch.tensor([math.pi / 2]), 2.0)
    _, depths = project_points(torch.tensor([[[0.0, 1.0, 0.0]]]), view)
    assert depths.item() == pytest.approx(1.0)


def test_sample_views_covers_the_circle_and_stays_in_the_band():
    view = sample_views(torch.rand(2000, 2), 2.0, 30.0)
    position = -(view[:, :, :3].mT @ view[:, :, 3:])[..., 0] / 2
    elevation, azimuth = torch.rad2deg(position[:, 1].asin()), torch.atan2(position[:, 0], position[:, 2])
    assert 29 < elevation.max() <= 30.01
    assert -30.01 <= elevation.min() < -29
    assert torch.histc(azimuth, 8, -math.pi, math.pi).min() > 150


def test_turn_views_adds_to_the_azimuth(tolerance):
    azimuth, elevation = torch.tensor([0.3, 2.0]).double(), torch.tensor([0.5, -0.2]).double()
    turned = rotate_views(view_from_angles(azimuth, elevation, 2.0), 4)
    expected = [view_from_angles(azimuth + turn * math.pi / 2, elevation, 2.0) for turn in range(4)]
    torch.testing.assert_close(turned, torch.stack(expected, dim=1), **tolerance[torch.float64])


def test_turn_views_begins_with_the_view_itself(views):
    assert torch.equal(rotate_views(views, 4)[:, 0], views)


def test_project_points_keeps_points_behind_the_camera_apart():
    _, depths = project_points(torch.tensor([[[0.0, 0.0, 3.0]]]), front_view())
    assert depths.item() == pytest.approx(-1.0)


def test_project_points_refuses_points_of_two_coordinates():
    with pytest.raises(ValueError, match=r"`points` must end in a dimension of size 3, got shape \(1, 4, 2\)"):
        project_points(torch.zeros(1, 4, 2), front_view())


@pytest.mark.parametrize("radius", [1.5, 2.5, 4.0])
def test_soft_map_equals_naive_loop(make_cloud, views, tolerance, radius):
    points = make_cloud(2, 40, dtype=torch.float64)
    maps = render_depth_maps(points, views[:, None], 24, 1.6, 2.0, "soft", radius)
    expected = [
        naive_soft_map(cloud, view, 24, 1.6, 2.0, radius)
        for cloud, view in zip(points.tolist(), views.tolist(), strict=True)
    ]
    torch.testing.assert_close(maps[:, 0], torch.tensor(np.stack(expected)), **tolerance[torch.float64])


def test_zbuffer_map_equals_naive_loop(make_cloud, views, tolerance):
    points = make_cloud(2, 200, dtype=torch.float64)
    maps = render_depth_maps(points, views[:, None], **CAMERA, mode="zbuffer")
    pairs = zip(points.tolist(), views.tolist(), strict=True)
    expected = torch.tensor(np.stack([naive_zbuffer_map(*pair, 32, 1.6, 2.0) for pair in pairs]))
    torch.testing.assert_close(maps[:, 0], expected, **tolerance[torch.float64])


def test_simpleview_map_equals_the_formula_it_cites(make_cloud, views, tolerance):
    points = make_cloud(2, 200, dtype=torch.float64)
    maps = render_depth_maps(points, views[:, None], **CAMERA, mode="simpleview")
    pairs = zip(points.tolist(), views.tolist(), strict=True)
    expected = torch.tensor(np.stack([naive_simpleview_map(*pair, 32, 1.6) for pair in pairs]))
    torch.testing.assert_close(maps[:, 0], expected, **tolerance[torch.float64])


@pytest.mark.parametrize("mode", ["soft", "zbuffer"])
def test_maps_are_closeness_on_an_empty_background(make_cloud, views, mode):
    maps = render_depth_maps(make_cloud(2, 500).double(), views[:, None], 64, 1.6, 2.0, mode)
    assert maps.min() == 0
    assert 0.5 < maps.max() <= 1


@pytest.mark.parametrize("mode", MODES)
def test_maps_of_several_views_equal_those_of_each(make_cloud, views, mode):
    points, turned = make_cloud(dtype=torch.float64), rotate_views(views, 3)
    together = render_depth_maps(points, turned, **CAMERA, mode=mode)
    alone = [render_depth_maps(points, turned[:, [i]], **CAMERA, mode=mode) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone, dim=1))


@pytest.mark.parametrize("mode", MODES)
def test_maps_do_not_depend_on_the_order_of_points(make_cloud, views, mode):
    points = make_cloud(dtype=torch.float64)
    maps = render_depth_maps(points, views[:, None], **CAMERA, mode=mode)
    shuffled = render_depth_maps(points[:, torch.randperm(64)], views[:, None], **CAMERA, mode=mode)
    torch.testing.assert_close(shuffled, maps)


@pytest.mark.parametrize("mode", MODES)
def test_maps_are_the_same_under_autocast(make_cloud, views, mode):
    points, poses = make_cloud(), views[:, None].float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps = render_depth_maps(points, poses, **CAMERA, mode=mode)
    assert torch.equal(maps, render_depth_maps(points, poses, **CAMERA, mode=mode))


def test_soft_map_passes_gradcheck(make_cloud, views):
    points = (0.9 * make_cloud(2, 6, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: render_depth_maps(p, views[:, None], 12, 1.6, 2.0), (points,))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_soft_map_has_a_gradient_along_each_axis(make_cloud, axis):
    points = make_cloud(1).requires_grad_()
    target = render_depth_maps(make_cloud(1, seed=1), front_view()[:, None], **CAMERA)
    (render_depth_maps(points, front_view()[:, None], **CAMERA) - target).square().sum().backward()
    assert (points.grad[..., axis].abs() > 1e-6).float().mean() > 0.5


def test_simpleview_map_has_no_gradient_across_the_image():
    points = torch.tensor([[[0.1, 0.2, 0.3]]], requires_grad=True)
    render_depth_maps(points, front_view()[:, None], **CAMERA, mode="simpleview").sum().backward()
    assert points.grad[0, 0, :2].abs().max() == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("z", [2.0, 1.9, 5.0, 1e4, 1e20, -1e4, -1e20])
def test_maps_and_gradients_are_finite_when_a_point_strays_along_the_axis(make_cloud, mode, z):
    stray = torch.tensor([[[0.3, -0.2, z]]], requires_grad=True)
    points = torch.cat([make_cloud(1), stray], dim=1)
    maps = render_depth_maps(points, front_view()[:, None], **CAMERA, mode=mode)
    maps.square().sum().backward()
    assert maps.isfinite().all()
    assert stray.grad.isfinite().all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("x", [3.0, 1e4, 1e10, 1e20, 1e37, -1e37])
def test_maps_and_gradients_are_finite_when_a_point_strays_sideways(make_cloud, mode, x):
    stray = torch.tensor([[[x, x, 0.0]]], requires_grad=True)
    points = torch.cat([make_cloud(1), stray], dim=1)
    maps = render_depth_maps(points, front_view()[:, None], **CAMERA, mode=mode)
    maps.square().sum().backward()
    assert torch.equal(maps, render_depth_maps(make_cloud(1), front_view()[:, None], **CAMERA, mode=mode))
    assert stray.grad.isfinite().all()


@pytest.mark.parametrize("mode", MODES)
def test_maps_are_drawn_when_a_diverged_model_returns_nan(mode):
    points = torch.full((1, 4, 3), torch.nan)
    assert render_depth_maps(points, front_view()[:, None], **CAMERA, mode=mode).shape == (1, 1, 32, 32)


def test_maps_refuse_an_unknown_mode(unit_sphere_cloud, views):
    with pytest.raises(ValueError, match=r"`mode` must be .* got 'raytraced'"):
        render_depth_maps(unit_sphere_cloud, views[:, None], **CAMERA, mode="raytraced")


def test_patch_index_is_the_patch_of_the_pixel_that_is_drawn(make_cloud, views):
    points = make_cloud(2, dtype=torch.float64)[:, :1]
    maps = render_depth_maps(points, views[:, None], **CAMERA, mode="zbuffer")
    pixel = maps.flatten(2).argmax(dim=2)[:, 0]
    expected = pixel // 32 // 8 * 4 + pixel % 32 // 8
    assert torch.equal(patch_index(points, views, 1.6, 32, 8)[:, 0], expected)


@pytest.mark.parametrize("point", [[2.0, 0, 0], [0, -2.0, 0], [0, 0, 2.5], [0, 0, 2.0], [1e20, 0, 0], [0, 0, 1e20]])
def test_patch_index_is_minus_one_outside_the_frame(point):
    assert patch_index(torch.tensor([[point]]), front_view(), 1.6, 32, 8).item() == -1


def test_patch_index_counts_rows_from_the_top_left():
    corners = torch.tensor([[[-0.9, 0.9, 0], [0.9, 0.9, 0], [-0.9, -0.9, 0], [0.9, -0.9, 0]]])
    assert patch_index(corners, front_view(), 1.6, 32, 8).tolist() == [[0, 3, 12, 15]]


def test_patch_index_is_the_same_under_autocast(make_cloud, views):
    points, poses = make_cloud(2, 200), views.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        indices = patch_index(points, poses, 1.6, 32, 8)
    assert torch.equal(indices, patch_index(points, poses, 1.6, 32, 8))


def test_render_colors_keeps_the_background_black():
    assert render_colors(torch.zeros(1, 2, 4, 4)).shape == (1, 2, 3, 4, 4)
    assert render_colors(torch.zeros(1, 2, 4, 4)).abs().max() == 0


def test_render_colors_passes_gradcheck():
    depth_maps = torch.rand(1, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(render_colors, (depth_maps,))
