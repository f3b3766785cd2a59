"""Shared parts of all figures: colors, tiles and text placed in inches, color scales, and saving."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch


if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT_COLOR, MUTED_COLOR, RULE_COLOR = "#2b2f36", "#6b7280", "#b9bec6"
HIGHLIGHTS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7A5195")
"""Colorblind-safe colors: six from Okabe and Ito, and a purple in place of their yellow."""

SCALE_COLORMAP = "YlGnBu"
"""Colormap of errors and attention weights."""

Array = np.ndarray | torch.Tensor


def empty_figure(width: float, height: float) -> "Figure":
    """Create an empty white figure that is not registered with pyplot.

    Args:
        width (`float`):
            Width in inches.
        height (`float`):
            Height in inches.

    Returns:
        `matplotlib.figure.Figure`: The figure.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('Figures need matplotlib: pip install "jointmae_hf[viz]"') from error

    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(
    figure: "Figure", path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None, dpi: int = 150
) -> None:
    """Save a figure as PNG, atomically, with metadata as text chunks.

    Colors are reduced to a palette of 256, which is hardly visible and takes a third of the space.

    Args:
        figure (`matplotlib.figure.Figure`):
            The figure.
        path (`str` or `os.PathLike`):
            File name, must end in `.png`.
        metadata (`Mapping[str, Any]`, *optional*):
            Seed, checkpoint and the like; keys of at most 79 Latin-1 characters, values are converted to `str`.
        dpi (`int`, *optional*, defaults to 150):
            Dots per inch; 150 makes the reconstruction figure 1,800 pixels wide.

    Raises:
        ValueError: If `path` does not end in `.png`.
    """
    from PIL import Image  # installed with matplotlib
    from PIL.PngImagePlugin import PngInfo

    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"`path` must end in '.png', got {str(path)!r}. Only PNG keeps the metadata.")
    chunks = PngInfo()
    for key, value in (metadata or {}).items():
        chunks.add_text(str(key), str(value))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi)
    palette = {"method": Image.Quantize.MAXCOVERAGE, "kmeans": 3, "dither": Image.Dither.NONE}  # keeps rare colors
    picture = Image.open(drawn).convert("RGB").quantize(256, **palette)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        picture.save(temporary, format="png", optimize=True, pnginfo=chunks)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def bare_axes(figure: "Figure", left: float, top: float, width: float, height: float) -> Any:
    """Add axes without ticks or frame, in inches from the upper left corner."""
    figure_width, figure_height = figure.get_size_inches()
    bottom = figure_height - top - height
    box = (left / figure_width, bottom / figure_height, width / figure_width, height / figure_height)
    axis = figure.add_axes(box, xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    return axis


def draw_tile(figure: "Figure", picture: np.ndarray, left: float, top: float, size: float, **style: Any) -> Any:
    """Draw a picture in square axes, in inches from the upper left corner; return the axes."""
    axis = bare_axes(figure, left, top, size, size)
    axis.imshow(picture, **style)
    return axis


def draw_scale(figure: "Figure", left: float, top: float, width: float) -> None:
    """Draw a horizontal bar with the colors from the least to the greatest value."""
    axis = bare_axes(figure, left, top, width, 0.08)
    axis.imshow(np.linspace(0.0, 1.0, 128)[None], cmap=SCALE_COLORMAP, aspect="auto")


def frame_patch(axis: Any, patch: int, num_rows: int, size: int, **style: Any) -> tuple[float, float]:
    """Draw a frame around a patch of a tile; return its upper left corner in pixels."""
    from matplotlib.patches import Rectangle

    corner = patch % num_rows * size - 0.5, patch // num_rows * size - 0.5
    axis.add_patch(Rectangle(corner, size, size, **style))
    return corner


def write_text(figure: "Figure", left: float, top: float, text: str, **style: Any) -> None:
    """Write vertically centered text, in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1.0 - top / height, text, **{"color": TEXT_COLOR, "va": "center", **style})


def write_row_name(figure: "Figure", left: float, middle: float, text: str, **style: Any) -> None:
    """Write the name of a row next to it, from bottom to top."""
    style = {"rotation": 90, "fontsize": 10.5, "fontweight": "bold", "ha": "center", **style}
    write_text(figure, left, middle, text, **style)


def write_heading(figure: "Figure", text: str, left: float, right: float) -> None:
    """Write an underlined heading over a group of columns, at the top of the figure."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    write_text(figure, (left + right) / 2.0, 0.17, text, fontsize=11, fontweight="bold", ha="center")
    ends, rule = [left / width, right / width], 1.0 - 0.31 / height
    figure.add_artist(Line2D(ends, [rule, rule], color=RULE_COLOR, linewidth=0.8, transform=figure.transFigure))


def map_colors(values: np.ndarray, colormap: str = SCALE_COLORMAP) -> np.ndarray:
    """Return the RGB colors of values; values outside [0, 1] are clipped."""
    from matplotlib import colormaps

    return colormaps[colormap](np.clip(values, 0.0, 1.0))[..., :3]


def to_numpy(values: Array) -> np.ndarray:
    """Convert a tensor on any device, or anything array-like, to an array; half precision becomes float32."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()
