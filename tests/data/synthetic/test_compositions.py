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


def test_points_are_uniform_by_area():
    # A cell of the grid has its share of the points, whatever its size.
    batch = compositions._Batch(3, torch.arange(8), CompositionOptions(use_cuts=False, use_wireframes=False))
    area = torch.zeros(8, batch.num_slots, grid_primitives.NUM_ELEMENTS)
    area[batch.shape, batch.slot] = batch._areas()
    elements = batch._sample_elements(area, torch.arange(8), 50_000)
    counts = torch.stack([row.bincount(minlength=area[0].numel()) for row in elements])
    expected = area.flatten(1) / area.flatten(1).sum(dim=1, keepdim=True) * 50_000
    torch.testing.assert_close(counts.float(), expected, rtol=0, atol=1.01)


def test_no_point_lies_within_another_primitive():
    options = CompositionOptions((2, 9), use_cuts=False, use_wireframes=False, use_symmetry=False)
    batch, shapes = compositions._Batch(5, torch.arange(16), options), torch.arange(16)
    area = torch.zeros(16, batch.num_slots, grid_primitives.NUM_ELEMENTS)
    area[batch.shape, batch.slot] = batch._areas()
    points, slot = batch.sample(area, shapes, 512)
    is_kept = batch.is_outside(points, slot, shapes)
    for row, (shape, own) in enumerate(zip(batch.shape.tolist(), batch.slot.tolist(), strict=True)):
        others = is_kept[shape] & (slot[shape] != own)
        local = torch.linalg.solve(
            batch.parts.matrix[row].T, points[shape][:, others] - batch.parts.offset[row][:, None]
        )
        # Bending maps one place to several, of which those outside the bounding box are not of the primitive.
        is_near = ((local.T - batch.box_center[row]).abs() < batch.box_half[row]).all(dim=1)
        rows = torch.full((int(is_near.sum()),), row)
        own_frame = grid_primitives.undeform(batch.parts.deformations.select(rows), local.T[is_near])
        assert not grid_primitives.contains_points(batch.parts.outlines.select(rows), own_frame).any()
    assert 0.4 < is_kept.float().mean() < 0.95


def test_a_cut_leaves_the_wall_of_the_hole():
    options = dataclasses.replace(PLAIN, num_primitives=(1, 3), use_cuts=True)
    batch, shapes = compositions._Batch(0, torch.arange(64), options), torch.arange(64)
    area = torch.zeros(64, batch.num_slots, grid_primitives.NUM_ELEMENTS)
    area[batch.shape, batch.slot] = batch._areas()
    points, slot = batch.sample(area, shapes, 512)
    is_wall = batch.is_outside(points, slot, shapes) & (slot == batch.num_slots - 1)
    assert (is_wall.any(dim=1) <= batch.has_cut).all()
    assert is_wall.any(dim=1).sum() > 10


def test_mirrored_shapes_are_symmetric():
    shapes = compose_shapes(0, torch.arange(200), 1024, CompositionOptions(use_cuts=False))
    uniform = counter_uniform(0, 0, torch.arange(200), RandomStream.COMPOSITION, (8,))[:, 5]
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


def test_num_points_must_be_positive():
    with pytest.raises(ValueError, match="`num_points` must be at least 1, got 0"):
        compose_shapes(0, torch.arange(2), 0)
