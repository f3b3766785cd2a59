"""Random compositions of primitives: determinism, sampling by area, removal of inner points, options."""

import dataclasses

import pytest
import torch

from jointmae_hf.data.counter_rng import RandomStream, counter_uniform
from jointmae_hf.data.synthetic import compositions, grid_primitives
from jointmae_hf.data.synthetic.compositions import CompositionOptions, compose_shapes


PLAIN = CompositionOptions((1, 1), False, False, False, False, False)
SWITCHES = [field.name for field in dataclasses.fields(CompositionOptions) if field.name != "num_primitives"]


@pytest.fixture(scope="module")
def shapes():
    return compose_shapes(0, torch.arange(40), num_points=256)


def test_shapes_are_centered_in_the_unit_sphere(shapes):
    assert shapes.isfinite().all()
    assert shapes.dtype == torch.float32
    torch.testing.assert_close(shapes.mean(dim=1), torch.zeros(40, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(shapes.norm(dim=2).amax(dim=1), torch.ones(40))


def test_shape_depends_on_its_own_index_alone(shapes):
    other = compose_shapes(0, torch.tensor([17, 3, 1000]), num_points=256)
    assert torch.equal(other[0], shapes[17])
    assert torch.equal(other[1], shapes[3])


def test_shape_in_a_batch_equals_the_shape_alone(shapes):
    alone = [compose_shapes(0, torch.tensor([number]), num_points=256) for number in range(8)]
    assert torch.equal(torch.cat(alone), shapes[:8])


@pytest.mark.parametrize("change", [{"seed": 1}, {"index": torch.arange(1, 41)}])
def test_other_seeds_and_indices_give_other_shapes(shapes, change):
    other = compose_shapes(**{"seed": 0, "index": torch.arange(40), "num_points": 256} | change)
    assert ((other - shapes).abs().amax(dim=(1, 2)) > 0.1).all()


def test_points_of_a_shape_are_all_different(shapes):
    assert all(len(shape.unique(dim=0)) == 256 for shape in shapes)


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_changes_some_shapes_and_leaves_others(name):
    index = torch.arange(64)
    whole = compose_shapes(0, index, 64)
    changed = (compose_shapes(0, index, 64, CompositionOptions(**{name: False})) != whole).flatten(1).any(dim=1)
    assert 0 < changed.sum() < 64


def sample(options, seed, num_shapes, num_blocks):
    """Return a batch and samples of its shapes, visible or not."""
    batch, shapes = compositions._Batch(seed, torch.arange(num_shapes), options), torch.arange(num_shapes)
    return batch, batch.sample(shapes, torch.full((num_shapes,), num_blocks), 0)


def histograms(points, reference):
    """Return the shares of the points `(3, num_points)` in the 4 ** 3 cells of the bounding box of a reference."""
    least, most = reference.amin(dim=1, keepdim=True), reference.amax(dim=1, keepdim=True)
    cells = ((points - least) / (most - least) * 4).long().clamp(0, 3)
    return (16 * cells[0] + 4 * cells[1] + cells[2]).bincount(minlength=64) / points.shape[1]


def test_points_are_uniform_by_area():
    # A cell of the grid has its share of the points, whatever its size.
    batch = compositions._Batch(3, torch.arange(8), CompositionOptions(use_cuts=False, use_wireframes=False))
    element, row = batch._sample_elements(torch.arange(8), torch.full((8,), 50_000), torch.rand(8))
    num_elements = grid_primitives.NUM_ELEMENTS
    counts = (row * num_elements + element).bincount(minlength=batch.area.numel()).view(-1, num_elements)
    area = batch.area.diff(dim=1, prepend=torch.zeros(len(counts), 1))
    expected = area / torch.zeros(8).double().index_add(0, batch.shape, area.sum(dim=1))[batch.shape, None] * 50_000
    torch.testing.assert_close(counts.double(), expected, rtol=0, atol=1.01)


def test_chosen_points_are_spread_as_the_visible_surface_is():
    batch, samples = sample(CompositionOptions(use_symmetry=False), 4, 12, 800)
    is_visible = batch.is_visible(samples)
    chosen = compositions._collect_points(batch, 4000)
    for shape in range(12):
        visible = samples.points[:, is_visible & (batch.shape[samples.row] == shape)]
        expected = histograms(visible, visible)
        for part in (chosen[:, shape], chosen[:, shape, :1000]):  # the order is random
            noise = (expected / part.shape[1]).sqrt() + 1 / part.shape[1]
            assert ((histograms(part, visible) - expected).abs() < 4.5 * noise).all()


def test_no_point_lies_within_another_primitive():
    options = CompositionOptions((2, 9), use_cuts=False, use_wireframes=False, use_symmetry=False)
    batch, samples = sample(options, 5, 16, 8)
    is_kept = batch.is_visible(samples)
    shape_of_sample = batch.shape[samples.row]
    for row, shape in enumerate(batch.shape.tolist()):
        others = is_kept & (shape_of_sample == shape) & (samples.row != row)
        moved = samples.points[:, others] - batch.parts.offset[row][:, None]
        local = torch.linalg.solve(batch.parts.matrix[row].T, moved)
        # Bending maps one place to several, of which those outside the bounding box are not of the primitive.
        is_near = ((local - batch.box_center[:, row, None]).abs() < batch.box_half[:, row, None]).all(dim=0)
        rows = torch.full((int(is_near.sum()),), row)
        own_frame = grid_primitives.undeform(batch.parts.deformations.select(rows), local[:, is_near])
        assert not grid_primitives.contains_points(batch.parts.outlines.select(rows), own_frame).any()
    assert 0.4 < is_kept.float().mean() < 0.95


def test_a_cut_leaves_the_wall_of_the_hole():
    batch, samples = sample(dataclasses.replace(PLAIN, num_primitives=(1, 3), use_cuts=True), 0, 64, 8)
    is_wall = (batch.is_visible(samples) & batch.is_cut[samples.row]).view(64, -1)
    assert (is_wall.any(dim=1) <= batch.has_cut).all()
    assert is_wall.any(dim=1).sum() > 10


def test_mirrored_shapes_are_symmetric():
    shapes = compose_shapes(0, torch.arange(200), 1024, CompositionOptions(use_cuts=False))
    uniform = counter_uniform(0, 0, torch.arange(200), RandomStream.COMPOSITION, (9,))[:, 2]
    shapes = shapes[uniform < 0.3]
    middle = (shapes[:, :, 0].amin(dim=1) + shapes[:, :, 0].amax(dim=1)) / 2
    mirrored = shapes * torch.tensor([-1.0, 1, 1]) + torch.stack([2 * middle, 0 * middle, 0 * middle], dim=1)[:, None]
    distance = torch.cdist(mirrored, shapes).amin(dim=2).mean(dim=1)
    spacing = torch.cdist(shapes, shapes).topk(2, largest=False).values[:, :, 1].mean(dim=1)
    assert (distance < 3 * spacing).float().mean() > 0.9


@pytest.mark.parametrize(
    ("value", "error"), [((0, 9), ValueError), ((5, 2), ValueError), ((1, 33), ValueError), ((1.0, 2), TypeError)]
)
def test_numbers_of_primitives_are_checked(value, error):
    with pytest.raises(error, match="`num_primitives` must"):
        CompositionOptions(num_primitives=value)


def test_switches_must_be_bool():
    with pytest.raises(TypeError, match="`use_cuts` must be a bool, got 1"):
        CompositionOptions(use_cuts=1)


def test_one_point_lies_at_the_origin():
    assert torch.equal(compose_shapes(0, torch.arange(3), 1), torch.zeros(3, 1, 3))


def test_num_points_must_be_positive():
    with pytest.raises(ValueError, match="`num_points` must be at least 1, got 0"):
        compose_shapes(0, torch.arange(2), 0)
