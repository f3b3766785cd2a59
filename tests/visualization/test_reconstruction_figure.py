"""The reconstruction figure from arrays."""

import importlib
import sys

import numpy as np
import pytest
import torch

import jointmae_hf
from jointmae_hf.visualization import reconstruction_figure


pytest.importorskip("matplotlib")


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
