"""Tests of the reconstruction figure."""

import importlib
import sys

import numpy as np
import pytest
import torch


pytest.importorskip("matplotlib")

from PIL import Image

import jointmae_hf
from jointmae_hf.visualization import reconstruction_figure, save_figure
from jointmae_hf.visualization.tiles import (
    GIVEN_COLOR,
    HIDDEN_PATCH_COLOR,
    TILE_COLOR,
    depth_tiles,
    point_tiles,
)


@pytest.fixture
def shapes() -> dict:
    random = np.random.default_rng(0)
    points = random.uniform(-0.5, 0.5, (2, 64, 3))
    depth_map = np.zeros((2, 1, 32, 32))
    depth_map[:, :, 8:24, 8:24] = random.uniform(0.4, 0.9, (2, 1, 16, 16))
    mask_2d = np.zeros((2, 4), dtype=bool)
    mask_2d[:, 0] = True
    return {
        "points": points,
        "centers": points[:, :16],
        "visible_points": [points[0, :16], points[1, :20]],
        "reconstructed_points": points,
        "is_hidden": np.arange(64)[None].repeat(2, axis=0) >= 16,
        "depth_map": depth_map,
        "mask_2d": mask_2d,
        "reconstructed_pixels": depth_map,
    }


def one_shape(shapes: dict) -> dict:
    images = ("depth_map", "reconstructed_pixels")
    return {name: values[0][0] if name in images else values[0] for name, values in shapes.items()}


def test_reconstruction_figure_has_seven_columns_per_shape(shapes):
    figure = reconstruction_figure(**shapes, tile_size=16)
    assert len(figure.axes) == 14


def test_reconstruction_figure_labels_the_rows(shapes):
    figure = reconstruction_figure(**shapes, titles=["chair", "lamp"], tile_size=16)
    assert [figure.axes[index].get_ylabel() for index in (0, 7)] == ["chair", "lamp"]


def test_reconstruction_figure_takes_tensors_with_gradient(shapes):
    tensors = {name: torch.as_tensor(np.asarray(v)) for name, v in shapes.items() if name != "visible_points"}
    tensors["reconstructed_pixels"].requires_grad_()
    figure = reconstruction_figure(**tensors, visible_points=shapes["visible_points"], tile_size=16)
    assert len(figure.axes) == 14


def test_reconstruction_figure_leaves_pyplot_alone(shapes):
    reconstruction_figure(**shapes, tile_size=16)
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert pyplot.get_fignums() == []


def test_point_tiles_paint_given_points_grey(shapes):
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


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("centers", np.zeros((1, 4, 3)), "`centers` must have one entry per shape"),
        ("is_hidden", np.zeros((2, 63), dtype=bool), "`is_hidden` must have one flag"),
        ("mask_2d", np.zeros((2, 5), dtype=bool), "`mask_2d` must have a square number"),
        ("titles", ["chair"], "`titles` must have one entry"),
    ],
)
def test_reconstruction_figure_names_the_argument_when_it_is_wrong(shapes, name, value, message):
    with pytest.raises(ValueError, match=message):
        reconstruction_figure(**(shapes | {name: value}), tile_size=16)


def test_save_figure_writes_the_metadata(shapes, tmp_path):
    save_figure(reconstruction_figure(**shapes, tile_size=16), tmp_path / "figure.png", {"seed": 7}, dpi=50)
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.text["seed"] == "7"


def test_save_figure_makes_a_readme_wide_picture(shapes, tmp_path):
    save_figure(reconstruction_figure(**shapes, tile_size=16), tmp_path / "figure.png", dpi=100)
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.width == 1200


def test_save_figure_keeps_the_old_file_when_writing_fails(shapes, tmp_path):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    with pytest.raises(ValueError):  # noqa: PT011 - the text is matplotlib's.
        save_figure(reconstruction_figure(**shapes, tile_size=16), path, dpi=-1)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("figure.png", b"old")]


def test_save_figure_names_the_path_when_it_is_no_png(shapes, tmp_path):
    with pytest.raises(ValueError, match="`path` must end in"):
        save_figure(reconstruction_figure(**shapes, tile_size=16), tmp_path / "figure.jpg")


def test_reconstruction_figure_names_the_extra_when_matplotlib_is_missing(shapes, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"jointmae_hf\[viz\]"):
        reconstruction_figure(**shapes, tile_size=16)


def test_visualization_can_be_imported_without_matplotlib(monkeypatch):
    monkeypatch.setattr(jointmae_hf, "visualization", jointmae_hf.visualization)
    for name in [name for name in sys.modules if name.startswith("jointmae_hf.visualization")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert importlib.import_module("jointmae_hf.visualization").__all__
