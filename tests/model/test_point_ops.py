import resource

import pytest
import torch

from jointmae_hf.model import point_ops
from jointmae_hf.model.point_ops import (
    bounding_sphere,
    chamfer_distance,
    gather_points,
    group_points,
    interpolate_features,
    k_nearest_neighbors,
    nearest_center_is_visible,
    pairwise_squared_distance,
)


def naive_neighbors(query, points, num_neighbors):
    distances = [sum((float(a) - float(b)) ** 2 for a, b in zip(query, point, strict=True)) for point in points]
    return sorted(range(len(points)), key=distances.__getitem__)[:num_neighbors]


def naive_chamfer_distance(source, target):
    """Chamfer distance of one pair of sets by Python loops; differentiable."""
    total = 0
    for first, second in ((source, target), (target, source)):
        nearest = [min(((a - b) ** 2).sum() for b in second) for a in first]
        total = total + sum(nearest) / len(nearest)
    return total


def test_pairwise_squared_distance_equals_a_case_by_hand():
    queries, points = torch.tensor([[[0.0, 0, 0]]]), torch.tensor([[[1.0, 2, 2], [0.0, 0, 3]]])
    assert pairwise_squared_distance(queries, points).tolist() == [[[9.0, 9.0]]]


def test_pairwise_squared_distance_keeps_small_offsets_far_from_the_origin():
    points = torch.tensor([[[1000.0, 0, 0], [1000.0 + 2**-10, 0, 0]]])
    assert pairwise_squared_distance(points[:, :1], points).tolist() == [[[0.0, 2**-20]]]


def test_pairwise_squared_distance_is_float32_at_least(unit_sphere_cloud):
    half = unit_sphere_cloud.bfloat16()
    assert pairwise_squared_distance(half, half).dtype == torch.float32


@pytest.mark.parametrize("seed", [0, 1])
def test_k_nearest_neighbors_equals_naive_loop(make_cloud, seed):
    points, queries = make_cloud(1, 200, seed), make_cloud(1, 20, seed + 10)
    indices = k_nearest_neighbors(queries, points, 8)
    expected = [naive_neighbors(query, points[0].tolist(), 8) for query in queries[0].tolist()]
    assert indices[0].tolist() == expected


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_k_nearest_neighbors_is_the_same_when_matrix_products_are_coarse(make_cloud, precision):
    points, before = make_cloud(2, 300), torch.get_float32_matmul_precision()
    expected = k_nearest_neighbors(points[:, :32].double(), points.double(), 8)
    torch.set_float32_matmul_precision(precision)
    try:
        assert torch.equal(k_nearest_neighbors(points[:, :32], points, 8), expected)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_k_nearest_neighbors_is_the_same_when_compiled(make_cloud, backend, fresh_compiler):
    points = make_cloud(2, 300)
    compiled = torch.compile(k_nearest_neighbors, fullgraph=True, backend=backend)
    expected = k_nearest_neighbors(points[:, :32], points, 8)
    assert torch.equal(compiled(points[:, :32], points, 8), expected)


def test_k_nearest_neighbors_keeps_to_valid_points(make_cloud):
    points = make_cloud(2, 100)
    is_valid = torch.rand(2, 100) < 0.3
    indices = k_nearest_neighbors(points, points, 5, is_valid)
    assert is_valid.gather(1, indices.flatten(1)).all()


def test_k_nearest_neighbors_of_valid_points_equals_that_of_a_smaller_cloud(make_cloud):
    points, queries = make_cloud(1, 100), make_cloud(1, 10, seed=1)
    is_valid = torch.rand(1, 100) < 0.5
    rows = is_valid[0].nonzero()[:, 0]
    expected = rows[k_nearest_neighbors(queries, points[:, rows], 5)]
    assert torch.equal(k_nearest_neighbors(queries, points, 5, is_valid), expected)


def test_k_nearest_neighbors_repeats_the_nearest_when_too_few_are_valid():
    points = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]]])
    is_valid = torch.tensor([[False, True, True]])
    assert k_nearest_neighbors(points[:, :1], points, 3, is_valid).tolist() == [[[1, 2, 1]]]


def test_k_nearest_neighbors_is_the_same_under_autocast(make_cloud):
    points = make_cloud(2, 200)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        indices = k_nearest_neighbors(points, points, 8)
    assert torch.equal(indices, k_nearest_neighbors(points, points, 8))


@pytest.mark.parametrize("num_neighbors", [0, 65])
def test_k_nearest_neighbors_refuses_a_count_outside_the_cloud(unit_sphere_cloud, num_neighbors):
    with pytest.raises(ValueError, match=rf"`num_neighbors` must be in \[1, num_points\], got {num_neighbors} for 64"):
        k_nearest_neighbors(unit_sphere_cloud, unit_sphere_cloud, num_neighbors)


def test_gather_points_takes_rows_of_the_same_sample():
    values = torch.arange(12.0).reshape(2, 3, 2)
    indices = torch.tensor([[[0, 2]], [[1, 1]]])
    assert gather_points(values, indices).tolist() == [[[[0, 1], [4, 5]]], [[[8, 9], [8, 9]]]]


def test_gather_points_passes_gradcheck():
    values = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    indices = torch.randint(0, 5, (2, 4, 2))
    assert torch.autograd.gradcheck(gather_points, (values, indices))


def test_group_points_returns_offsets_from_the_center():
    points = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [5.0, 0, 0]]])
    assert group_points(points, points[:, 1:2], 2).tolist() == [[[[0.0, 0, 0], [-1.0, 0, 0]]]]


def test_nearest_center_is_visible_marks_points_by_their_center():
    points = torch.tensor([[[0.1, 0, 0], [0.9, 0, 0], [0.4, 0, 0]]])
    centers = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0]]])
    is_visible = nearest_center_is_visible(points, centers, torch.tensor([[True, False]]))
    assert is_visible.tolist() == [[False, True, False]]


def test_interpolate_features_equals_naive_loop(make_cloud, tolerance):
    queries, points = make_cloud(1, 7, 1, torch.float64), make_cloud(1, 20, 2, torch.float64)
    features = torch.randn(1, 20, 5, dtype=torch.float64)
    expected = []
    for query in queries[0]:
        rows = naive_neighbors(query, points[0], 3)
        weights = torch.stack([1 / (((query - points[0, row]) ** 2).sum() + 1e-8) for row in rows])
        expected.append((features[0, rows] * (weights / weights.sum())[:, None]).sum(dim=0))
    result = interpolate_features(queries, points, features)[0]
    torch.testing.assert_close(result, torch.stack(expected), **tolerance[torch.float64])


def test_interpolate_features_returns_the_feature_of_a_point_at_its_place(make_cloud):
    points, features = make_cloud(1, 20), torch.randn(1, 20, 5)
    torch.testing.assert_close(interpolate_features(points, points, features), features, rtol=1e-4, atol=1e-4)


def test_interpolate_features_takes_what_there_is_when_points_are_few():
    features = torch.tensor([[[2.0]]])
    assert interpolate_features(torch.rand(1, 4, 3), torch.zeros(1, 1, 3), features).flatten().tolist() == [2.0] * 4


def test_interpolate_features_passes_gradcheck(make_cloud):
    queries, points = make_cloud(1, 4, 1, torch.float64), make_cloud(1, 8, 2, torch.float64)
    features = torch.randn(1, 8, 2, dtype=torch.float64)
    inputs = [value.requires_grad_() for value in (queries, points, features)]
    assert torch.autograd.gradcheck(interpolate_features, inputs)


@pytest.mark.parametrize("most", [1, 90, 20 * 90, 3 * 20 * 90, 1 << 19])
def test_searches_in_several_blocks_equal_one(make_cloud, most, monkeypatch):
    """Blocks of one row, a few rows, a cloud, three clouds and all clouds."""
    queries, points, is_valid = make_cloud(7, 20), make_cloud(7, 90, seed=1), torch.rand(7, 90) < 0.1
    distance = (queries[:, :, None] - points[:, None]).square().sum(dim=-1)
    monkeypatch.setattr(point_ops, "CPU_PAIRS_PER_BLOCK", most)
    assert torch.equal(k_nearest_neighbors(queries, points, 8), distance.topk(8, largest=False).indices)
    nearest = k_nearest_neighbors(queries, points, 8, is_valid)
    expected = distance.masked_fill(~is_valid[:, None], torch.inf).topk(8, largest=False)
    first = expected.indices[..., :1]
    assert torch.equal(nearest, torch.where(expected.values.isinf(), first, expected.indices))
    mask = torch.rand(7, 90) < 0.5
    assert torch.equal(nearest_center_is_visible(queries, points, mask), ~mask.gather(1, distance.argmin(dim=-1)))
    expected_distance = distance.amin(dim=2).mean(dim=1) + distance.amin(dim=1).mean(dim=1)
    torch.testing.assert_close(chamfer_distance(queries, points), expected_distance)


def test_searches_take_no_cloud_and_no_query(make_cloud):
    points = make_cloud(2, 30)
    assert k_nearest_neighbors(points[:0], points[:0], 4).shape == (0, 30, 4)
    assert k_nearest_neighbors(points[:, :0], points, 4).shape == (2, 0, 4)


def test_neighbors_of_a_large_cloud_take_little_memory(make_cloud):
    """The whole distance matrix would need 3 GiB."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    k_nearest_neighbors(make_cloud(1, 4_000), make_cloud(1, 200_000), 4)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("num_source", [255, 256, 257, 600])
def test_chamfer_distance_of_several_compiled_blocks_equals_one(make_cloud, num_source, monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    source, target = make_cloud(2, num_source).double(), make_cloud(2, 300, seed=1).double()
    distance = (source[:, :, None] - target[:, None]).square().sum(dim=-1)
    expected = distance.amin(dim=2).mean(dim=1) + distance.amin(dim=1).mean(dim=1)
    torch.testing.assert_close(chamfer_distance(source, target), expected)


def test_chamfer_distance_is_zero_for_equal_sets(unit_sphere_cloud):
    shuffled = unit_sphere_cloud[:, torch.randperm(64)]
    assert chamfer_distance(unit_sphere_cloud, shuffled).tolist() == [0.0, 0.0]


def test_chamfer_distance_equals_a_case_by_hand():
    source = torch.tensor([[[0.0, 0, 0], [3.0, 0, 0]]])
    target = torch.tensor([[[1.0, 0, 0], [1.0, 2, 0], [1.0, 0, 2]]])
    # From the source 1 and 4, from the target 1, 5 and 5.
    assert chamfer_distance(source, target).item() == pytest.approx(5 / 2 + 11 / 3)


def test_chamfer_distance_is_symmetric(make_cloud):
    source, target = make_cloud(2, 20), make_cloud(2, 30, seed=1)
    torch.testing.assert_close(chamfer_distance(source, target), chamfer_distance(target, source))


@pytest.mark.parametrize("sizes", [(6, 9), (1, 9), (6, 1), (1, 1)])
def test_chamfer_distance_equals_naive_loop(make_cloud, tolerance, sizes):
    source = torch.randn(2, sizes[0], 3, dtype=torch.float64)
    target = torch.randn(2, sizes[1], 3, dtype=torch.float64)
    expected = torch.stack([naive_chamfer_distance(*pair) for pair in zip(source, target, strict=True)])
    torch.testing.assert_close(chamfer_distance(source, target), expected, **tolerance[torch.float64])


def test_chamfer_distance_has_the_gradient_of_the_naive_loop(tolerance):
    source = torch.randn(1, 6, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(1, 9, 3, dtype=torch.float64, requires_grad=True)
    result = torch.autograd.grad(chamfer_distance(source, target).sum(), (source, target))
    expected = torch.autograd.grad(naive_chamfer_distance(source[0], target[0]), (source, target))
    torch.testing.assert_close(result, expected, **tolerance[torch.float64])


def test_chamfer_distance_passes_gradcheck():
    source = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 7, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(chamfer_distance, (source, target))


def test_chamfer_distance_has_finite_gradient_at_coinciding_points():
    source = torch.zeros(1, 4, 3, requires_grad=True)
    chamfer_distance(source, torch.zeros(1, 4, 3)).sum().backward()
    assert source.grad.abs().max() == 0


def test_chamfer_distance_is_the_same_under_autocast(make_cloud):
    source, target = make_cloud(2, 20), make_cloud(2, 30, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distance = chamfer_distance(source, target)
    assert torch.equal(distance, chamfer_distance(source, target))


def test_chamfer_distance_refuses_an_empty_set():
    with pytest.raises(ValueError, match=r"must not be empty, got \(1, 0, 3\) and \(1, 4, 3\)"):
        chamfer_distance(torch.zeros(1, 0, 3), torch.zeros(1, 4, 3))


def test_chamfer_distance_refuses_different_batch_sizes():
    with pytest.raises(ValueError, match=r"with one batch size, got \(1, 4, 3\) and \(2, 4, 3\)"):
        chamfer_distance(torch.zeros(1, 4, 3), torch.zeros(2, 4, 3))


def test_bounding_sphere_equals_a_case_by_hand():
    center, radius = bounding_sphere(torch.tensor([[[0.0, 0, 0], [4.0, 0, 0], [2.0, 3, 0], [2.0, -3, 0]]]))
    assert (center.tolist(), radius.tolist()) == ([[[2.0, 0.0, 0.0]]], [[[3.0]]])


@pytest.mark.parametrize("value", [0.0, 0.5, 0.1, 123.456, -1e-6])
@pytest.mark.parametrize("num_points", [1, 3, 64, 2048])
def test_bounding_sphere_has_radius_one_when_all_points_coincide(value, num_points):
    _, radius = bounding_sphere(torch.full((1, num_points, 3), value))
    assert radius.item() == 1.0


@pytest.mark.parametrize("value", [0.0, 0.1, 1e8])
def test_bounding_sphere_has_a_finite_gradient_when_all_points_coincide(value):
    points = torch.full((1, 4, 3), value, requires_grad=True)
    center, radius = bounding_sphere(points)
    ((points - center) / radius).square().sum().backward()
    assert points.grad.isfinite().all()


def test_bounding_sphere_keeps_a_small_radius_far_from_the_origin(make_cloud):
    _, radius = bounding_sphere(make_cloud(1) * 0.01 + 100)
    assert radius.item() == pytest.approx(0.01, rel=1e-2)
