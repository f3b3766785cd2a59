"""Point clouds colored by height, depth maps by closeness."""

import numpy as np
import pytest

from jointmae_hf.visualization.tiles import GIVEN_COLOR, HIDDEN_PATCH_COLOR, TILE_COLOR, depth_tiles, point_tiles


def one_shape(shapes: dict) -> dict:
    images = ("depth_map", "reconstructed_pixels")
    return {name: values[0][0] if name in images else values[0] for name, values in shapes.items()}


def test_point_tiles_paint_given_points_gray(shapes):
    shape = one_shape(shapes) | {"is_hidden": np.zeros(64, dtype=bool)}
    reconstruction = point_tiles(shape, 32, 0.05, 0.0, 0.0)[3] / 255.0
    drawn = reconstruction[np.abs(reconstruction - TILE_COLOR).max(axis=2) > 0.05]
    assert np.ptp(drawn, axis=1).max() < np.ptp(GIVEN_COLOR) + 0.05


def test_point_tiles_paint_predicted_points_like_the_input(shapes):
    tiles = point_tiles(one_shape(shapes) | {"is_hidden": np.ones(64, dtype=bool)}, 32, 0.05, 0.0, 0.0)
    assert np.array_equal(tiles[0], tiles[3])


def test_depth_tiles_hide_exactly_the_hidden_patches(shapes):
    original, masked, _ = depth_tiles(one_shape(shapes))
    is_changed = (original != masked).any(axis=2)
    assert np.allclose(masked[1:16, 1:16], HIDDEN_PATCH_COLOR)
    assert not is_changed[16:].any()
    assert not is_changed[:, 16:].any()


def test_depth_tiles_show_the_background_light(shapes):
    assert np.allclose(depth_tiles(one_shape(shapes))[0][0, 0], TILE_COLOR)


def test_depth_tiles_paint_nearer_pixels_darker(shapes):
    shape = one_shape(shapes)
    original = depth_tiles(shape)[0]
    nearest = np.unravel_index(shape["depth_map"].argmax(), shape["depth_map"].shape)
    assert original[nearest].sum() == pytest.approx(original.sum(axis=2).min())


def test_depth_tiles_stay_finite_when_the_depth_map_is_empty(shapes):
    shape = one_shape(shapes) | {"depth_map": np.zeros((32, 32)), "reconstructed_pixels": np.zeros((32, 32))}
    assert all(np.isfinite(tile).all() for tile in depth_tiles(shape))
