"""Saving figures."""

import pytest
from PIL import Image

from jointmae_hf.visualization import reconstruction_figure, save_figure


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
