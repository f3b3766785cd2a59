"""Primitives on grids: their insides, and deformations that can be undone."""

import pytest
import torch

from jointmae_hf.data.synthetic import grid_primitives
from jointmae_hf.data.synthetic.grid_primitives import KINDS


@pytest.fixture
def primitives():
    """Draw primitives of one kind, upright and of full size."""

    def draw(kind, count=24, use_deformations=False, use_height_fields=False):
        uniform = torch.rand(count, 44, generator=torch.Generator().manual_seed(1))
        uniform[:, 0] = (KINDS.index(kind) + 0.5) / len(KINDS)
        return grid_primitives.draw_primitives(uniform, torch.ones(count), use_deformations, use_height_fields, False)

    return draw


@pytest.mark.parametrize("kind", KINDS)
def test_a_primitive_contains_what_lies_just_within_its_surface(primitives, kind):
    parts = primitives(kind)
    outlines = parts.outlines
    vertices = grid_primitives.local_vertices(parts).flatten(2)
    if kind == "tube":
        is_circle = (outlines.section == 0).nonzero()[:, 0]
        outlines, vertices = outlines.select(is_circle), vertices[is_circle]
    inner = vertices.mean(dim=2, keepdim=True)
    if kind in ("torus", "tube"):  # shrink toward the middle of the wall
        middle = 1 - outlines.parameter if kind == "torus" else (1 + outlines.parameter) / 2
        around = torch.nn.functional.normalize(vertices[:, [0, 2]], dim=1) * middle[:, None, None]
        inner = torch.stack([around[:, 0], 0 * around[:, 0], around[:, 1]], dim=1)
    row = torch.arange(len(vertices)).repeat_interleave(vertices.shape[2])
    for scale, is_expected in ((0.8, True), (1.25, False)):
        moved = (inner + scale * (vertices - inner)).transpose(0, 1).flatten(1)
        is_inside = grid_primitives.contains_points(outlines.select(row), moved)
        assert (is_inside == is_expected).float().mean() > (0.95 if is_expected else 0.99)


@pytest.mark.parametrize("options", [{"use_deformations": True}, {"use_height_fields": True}])
def test_undeform_inverts_deform(primitives, options):
    deformations = primitives("ellipsoid", count=400, **options).deformations
    assert deformations.any().sum() > 40
    points = torch.rand(400, 3, 1, generator=torch.Generator().manual_seed(2)) - 0.5
    moved = grid_primitives.deform(deformations, points)
    assert ((moved - points).abs().amax(dim=(1, 2)) > 1e-3).sum() > 40
    torch.testing.assert_close(
        grid_primitives.undeform(deformations, moved[:, :, 0].T), points[:, :, 0].T, rtol=0, atol=0.02
    )
