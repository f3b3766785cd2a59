"""What all figures share: colours, an empty figure, axes placed in inches, headings over columns."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch


if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT_COLOR, MUTED_COLOR, RULE_COLOR = "#2b2f36", "#6b7280", "#b9bec6"
HIGHLIGHTS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#7A5195")
"""Colours that the colour-blind can tell apart: six of Okabe and Ito's, and a purple in place of their yellow."""

Array = np.ndarray | torch.Tensor


def empty_figure(width: float, height: float) -> "Figure":
    """Return a white figure that is not registered with pyplot.

    Args:
        width (`float`):
            Inches.
        height (`float`):
            Inches.

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


def bare_axes(figure: "Figure", left: float, top: float, width: float, height: float) -> Any:
    """Add axes without ticks or frame.

    Args:
        figure (`matplotlib.figure.Figure`):
            Where to.
        left (`float`):
            Inches from the left edge.
        top (`float`):
            Inches from the upper edge.
        width (`float`):
            Inches.
        height (`float`):
            Inches.

    Returns:
        `matplotlib.axes.Axes`: The axes.
    """
    figure_width, figure_height = figure.get_size_inches()
    bottom = figure_height - top - height
    box = (left / figure_width, bottom / figure_height, width / figure_width, height / figure_height)
    axis = figure.add_axes(box, xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    return axis


def write_text(figure: "Figure", left: float, top: float, text: str, **style: Any) -> None:
    """Write a text whose middle lies at a height.

    Args:
        figure (`matplotlib.figure.Figure`):
            Where to.
        left (`float`):
            Inches from the left edge.
        top (`float`):
            Inches from the upper edge.
        text (`str`):
            What to write.
        style (`dict[str, Any]`, *optional*):
            Arguments of `matplotlib.figure.Figure.text`.
    """
    width, height = figure.get_size_inches()
    figure.text(left / width, 1.0 - top / height, text, **{"color": TEXT_COLOR, "va": "center", **style})


def write_heading(figure: "Figure", text: str, left: float, right: float, top: float = 0.17) -> None:
    """Write a heading over a group of columns and underline it.

    Args:
        figure (`matplotlib.figure.Figure`):
            Where to.
        text (`str`):
            The heading.
        left (`float`):
            Left end of the line, inches.
        right (`float`):
            Right end of the line, inches.
        top (`float`, *optional*, defaults to 0.17):
            Middle of the text, inches from the upper edge.
    """
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    write_text(figure, (left + right) / 2.0, top, text, fontsize=11, fontweight="bold", ha="center")
    ends, rule = [left / width, right / width], 1.0 - (top + 0.14) / height
    figure.add_artist(Line2D(ends, [rule, rule], color=RULE_COLOR, linewidth=0.8, transform=figure.transFigure))


def to_numpy(values: Array) -> np.ndarray:
    """Return an array of a tensor on any device, or of anything that is like an array.

    Args:
        values (`np.ndarray` or `torch.Tensor`):
            Of any shape.

    Returns:
        `np.ndarray`: The same values; half precision becomes float32.
    """
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return (values.float() if values.is_floating_point() else values).numpy()
