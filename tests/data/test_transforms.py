import pytest
import torch

from jointmae_hf.data import (
    Compose,
    FarthestPointSubsample,
    Jitter,
    Normalize,
    RandomRotate,
    RandomRotateY,
    RandomSubsample,
    ScaleAndTranslate,
    counter_uniforms,
)
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample


ALL = [
    ScaleAndTranslate(),
    RandomRotateY(),
    RandomRotate(),
    Jitter(),
    RandomSubsample(16),
    FarthestPointSubsample(16, num_candidates=24),
]
each = pytest.mark.parametrize("transform", ALL, ids=lambda transform: type(transform).__name__)
INDEX = torch.arange(8)


@pytest.fixture
def points():
    return torch.rand(8, 32, 3, generator=torch.Generator().manual_seed(0)) - 0.5


@each
def test_transform_does_not_change_its_input(transform, points):
    before = points.clone()
    assert transform(points, epoch=0, index=INDEX) is not points
    assert torch.equal(points, before)


@each
def test_transform_repeats_for_the_same_epoch_and_index_only(transform, points):
    first = transform(points, epoch=1, index=INDEX)
    assert torch.equal(first, transform(points, epoch=1, index=INDEX))
    assert not torch.equal(first, transform(points, epoch=2, index=INDEX))
    assert not torch.equal(first, transform(points, epoch=1, index=INDEX + 8))


@each
def test_transform_changes_with_its_seed(transform, points):
    other = type(transform)(**{**vars(transform), "seed": 1})
    assert not torch.equal(transform(points, epoch=0, index=INDEX), other(points, epoch=0, index=INDEX))


@each
def test_transform_treats_each_cloud_alone(transform, points):
    alone = transform(points[3:4], epoch=0, index=INDEX[3:4])
    assert torch.equal(transform(points, epoch=0, index=INDEX)[3:4], alone)


@each
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_transform_keeps_the_type(transform, points, dtype):
    assert transform(points.to(dtype), epoch=0, index=INDEX).dtype == dtype


@each
def test_transform_repr_builds_it_again(transform, points):
    again = eval(repr(transform))
    assert torch.equal(transform(points, epoch=0, index=INDEX), again(points, epoch=0, index=INDEX))


@each
@pytest.mark.parametrize("shape", [(32, 3), (8, 32, 4)])
def test_transform_refuses_points_of_another_shape(transform, shape):
    with pytest.raises(ValueError, match="`points` must have the shape"):
        transform(torch.zeros(shape), epoch=0, index=INDEX)


def test_transform_refuses_integer_points(points):
    with pytest.raises(TypeError, match=r"`points` must be of a floating type, got torch\.int64"):
        Jitter()(points.long(), epoch=0, index=INDEX)


def test_transform_refuses_an_index_of_another_length(points):
    with pytest.raises(ValueError, match=r"`index` must have one entry per cloud, got \(3,\) and 8 clouds"):
        Jitter()(points, epoch=0, index=INDEX[:3])


def test_scale_and_translate_stays_in_its_ranges():
    corners = torch.tensor([[0.0, 0, 0], [1.0, 1, 1]]).expand(2000, 2, 3)
    moved = ScaleAndTranslate()(corners, epoch=0, index=torch.arange(2000))
    shift, scale = moved[:, 0], moved[:, 1] - moved[:, 0]
    assert shift.abs().max() <= 0.2
    assert shift.abs().max() > 0.19
    assert scale.min() == pytest.approx(2 / 3, abs=0.01)
    assert scale.max() == pytest.approx(3 / 2, abs=0.01)


def test_scale_and_translate_draws_each_axis_alone():
    moved = ScaleAndTranslate(shift=0.0)(torch.ones(1, 1, 3), epoch=0, index=INDEX[:1])
    assert len(set(moved.flatten().tolist())) == 3


def test_random_rotate_y_keeps_heights_and_norms(points):
    turned = RandomRotateY()(points, epoch=0, index=INDEX)
    assert torch.equal(turned[..., 1], points[..., 1])
    torch.testing.assert_close(turned.norm(dim=-1), points.norm(dim=-1))


def test_random_rotate_y_covers_the_full_circle():
    east = torch.tensor([1.0, 0, 0]).expand(4000, 1, 3)
    turned = RandomRotateY()(east, epoch=0, index=torch.arange(4000))[:, 0]
    angles = torch.atan2(turned[:, 2], turned[:, 0])
    counts = torch.histc(angles, bins=8, min=-torch.pi, max=torch.pi)
    assert counts.min() > 400


def test_random_rotate_y_is_no_mirror_image():
    basis = torch.eye(3).expand(8, 3, 3)
    torch.testing.assert_close(torch.linalg.det(RandomRotateY()(basis, epoch=0, index=INDEX)), torch.ones(8))


def test_random_rotate_draws_rotations():
    rotations = RandomRotate().rotations(0, torch.arange(100))
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(100, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(100))


def test_random_rotate_is_uniform():
    rotations = RandomRotate().rotations(0, torch.arange(20_000))
    # For uniform rotations every entry has mean 0 and variance 1/3, and the trace has mean 0 and variance 1.
    assert rotations.mean(dim=0).abs().max() < 0.02
    torch.testing.assert_close(rotations.square().mean(dim=0), torch.full((3, 3), 1 / 3), atol=0.01, rtol=0)
    trace = rotations.diagonal(dim1=1, dim2=2).sum(dim=-1)
    assert trace.var().item() == pytest.approx(1.0, abs=0.04)


def test_random_rotate_multiplies_points_by_its_rotations(points):
    rotate = RandomRotate()
    expected = points @ rotate.rotations(2, INDEX).mT
    torch.testing.assert_close(rotate(points, epoch=2, index=INDEX), expected)


def test_jitter_has_its_standard_deviation_and_its_limit():
    noise = Jitter(std=0.02, clip=0.03)(torch.zeros(50, 500, 3), epoch=0, index=torch.arange(50))
    assert noise.abs().max().item() == pytest.approx(0.03)
    assert Jitter(std=0.02, clip=1.0)(torch.zeros(50, 500, 3), epoch=0, index=torch.arange(50)).std().item() == (
        pytest.approx(0.02, rel=0.02)
    )


def test_compose_applies_transforms_in_order(points):
    compose = Compose([RandomSubsample(16), Jitter()])
    expected = Jitter()(RandomSubsample(16)(points, epoch=0, index=INDEX), epoch=0, index=INDEX)
    assert torch.equal(compose(points, epoch=0, index=INDEX), expected)


def test_compose_gives_random_transforms_the_numbers_of_their_own_seeds(points):
    transforms = [RandomSubsample(16), RandomRotateY(seed=1), ScaleAndTranslate(), RandomRotateY(seed=2)]
    expected = points
    for transform in transforms:
        expected = transform(expected, epoch=3, index=INDEX)
    assert torch.equal(Compose(transforms)(points, epoch=3, index=INDEX), expected)


def test_compose_draws_once_for_random_transforms_that_follow_each_other(points, monkeypatch):
    sizes = []

    def draw(epoch, index, draws):
        sizes.append(len(draws))
        return counter_uniforms(epoch, index, draws)

    monkeypatch.setattr("jointmae_hf.data.transforms.counter_uniforms", draw)
    transforms = [RandomSubsample(16), ScaleAndTranslate(), Normalize(), RandomRotateY(), RandomRotate()]
    Compose(transforms)(points, epoch=0, index=INDEX)
    assert sizes == [3, 2]


def test_compose_of_nothing_returns_the_points(points):
    assert torch.equal(Compose([])(points, epoch=0, index=INDEX), points)


def test_compose_shows_its_transforms():
    assert (
        repr(Compose([RandomRotateY(), RandomRotate(seed=3)]))
        == "Compose([RandomRotateY(seed=0), RandomRotate(seed=3)])"
    )


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: ScaleAndTranslate(low=0.0), "low"),
        (lambda: ScaleAndTranslate(low=2.0, high=1.0), "low"),
        (lambda: ScaleAndTranslate(shift=-1.0), "shift"),
        (lambda: Jitter(std=-1.0), "std"),
    ],
)
def test_transform_names_the_option_when_it_is_wrong(build, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        build()


def test_subsample_keeps_points_without_repeats(points):
    kept = RandomSubsample(16).indices(32, epoch=0, index=INDEX)
    assert kept.shape == (8, 16)
    assert all(len(set(row)) == 16 for row in kept.tolist())


def test_subsample_chooses_every_point_equally_often():
    kept = RandomSubsample(4).indices(8, epoch=0, index=torch.arange(4000))
    counts = torch.bincount(kept.flatten(), minlength=8)
    assert (counts - 2000).abs().max() < 150


def test_subsample_indices_carry_part_labels_along(points):
    subsample = RandomSubsample(16)
    part_labels = (points[..., 0] > 0).long()
    kept = subsample.indices(32, epoch=0, index=INDEX)
    assert torch.equal(part_labels.gather(1, kept), (subsample(points, epoch=0, index=INDEX)[..., 0] > 0).long())


def test_subsample_refuses_clouds_that_are_too_small(points):
    with pytest.raises(ValueError, match="`num_points` of the clouds must be at least 64, got 32"):
        RandomSubsample(64)(points, epoch=0, index=INDEX)


def test_farthest_subsample_keeps_the_farthest_points_in_every_epoch(points):
    kept = FarthestPointSubsample(16)(points, epoch=5, index=INDEX)
    rows = farthest_point_sample(points, 16)
    assert torch.equal(kept, torch.stack([cloud[row] for cloud, row in zip(points, rows, strict=True)]))


def test_farthest_subsample_chooses_among_its_candidates_without_repeats(points):
    subsample = FarthestPointSubsample(16, num_candidates=20)
    candidates = farthest_point_sample(points, 20).tolist()
    chosen = [subsample.indices(points, epoch=epoch, index=INDEX).tolist() for epoch in range(20)]
    for kept in chosen:
        assert all(len(set(row)) == 16 and set(row) <= set(own) for row, own in zip(kept, candidates, strict=True))
    assert {row for kept in chosen for row in kept[0]} == set(candidates[0])


def test_farthest_subsample_of_as_many_candidates_keeps_them_all(points):
    kept = FarthestPointSubsample(16, num_candidates=16).indices(points, epoch=0, index=INDEX)
    assert torch.equal(kept.sort(dim=1).values, farthest_point_sample(points, 16).sort(dim=1).values)


def test_farthest_subsample_indices_carry_part_labels_along(points):
    subsample = FarthestPointSubsample(16, num_candidates=24)
    part_labels = (points[..., 0] > 0).long()
    kept = part_labels.gather(1, subsample.indices(points, epoch=0, index=INDEX))
    assert torch.equal(kept, (subsample(points, epoch=0, index=INDEX)[..., 0] > 0).long())


@pytest.mark.parametrize(
    ("subsample", "name"),
    [(FarthestPointSubsample(64), "num_points"), (FarthestPointSubsample(16, num_candidates=64), "num_candidates")],
)
def test_farthest_subsample_refuses_clouds_that_are_too_small(subsample, name, points):
    with pytest.raises(ValueError, match=f"`{name}` must not exceed the points of a cloud, got 64 and 32"):
        subsample(points, epoch=0, index=INDEX)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: RandomSubsample(0), "num_points"),
        (lambda: FarthestPointSubsample(0), "num_points"),
        (lambda: FarthestPointSubsample(16, num_candidates=8), "num_candidates"),
    ],
)
def test_subsample_names_the_option_when_it_is_wrong(build, name):
    with pytest.raises(ValueError, match=f"`{name}`"):
        build()
