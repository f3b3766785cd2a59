"""Results of a search by shape as one HTML file with rendered thumbnails, which works offline."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from .interactive_page import data_uri
from .sphere_renderer import render_points
from .tiles import TILE_COLOR


PIXELS = 240
SHAPE_COLOR, QUERY_COLOR = (0.35, 0.52, 0.71), (0.84, 0.49, 0.20)


@dataclass(frozen=True)
class ShapeTile:
    """A shape on the page of [`search_page`].

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            Cloud in the unit sphere, y up.
        name (`str`):
            Name of the shape, such as a path.
        note (`str`):
            Line under the name, such as the score.
        is_query (`bool`, *optional*, defaults to `False`):
            Whether the other shapes of the row were found for this one.
    """

    points: np.ndarray
    name: str
    note: str
    is_query: bool = False


def search_page(title: str, rows: Sequence[Sequence[ShapeTile]], facts: str = "") -> str:
    """Create a page with one row for each query, or for each pair of near-duplicates.

    The page contains its pictures, about 20 kB for each shape, and no script; its Content-Security-Policy forbids loading
    anything.

    Args:
        title (`str`):
            Heading of the page.
        rows (`Sequence[Sequence[ShapeTile]]`):
            Shapes of each row, in the order in which they are shown.
        facts (`str`, *optional*):
            Line under the heading, such as the model and the number of shapes.

    Returns:
        `str`: Content of the HTML file.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is no row.

    Example:
        >>> query = ShapeTile(np.eye(3), "bracket.stl", "query", is_query=True)
        >>> page = search_page("Shapes similar to bracket.stl", [[query, ShapeTile(np.eye(3), "a&b.stl", "0.987")]])
        >>> page.count("<img"), "a&amp;b.stl" in page, "http" in page.split("<style>")[1]
        (2, True, False)
    """
    if not rows:
        raise ValueError("`rows` must hold at least one row, got none.")
    template = files(__package__).joinpath("search_page.html").read_text(encoding="utf-8")
    lists = "\n".join("<ol>\n" + "\n".join(_item(tile) for tile in row) + "\n</ol>" for row in rows)
    texts = {"TITLE": html.escape(title), "FACTS": html.escape(facts), "ROWS": lists}
    return re.sub("__(TITLE|FACTS|ROWS)__", lambda match: texts[match.group(1)], template)


def _item(tile: ShapeTile) -> str:
    """Return a shape as an element of a list."""
    color = QUERY_COLOR if tile.is_query else SHAPE_COLOR
    picture = data_uri(render_points(tile.points, color, PIXELS, radius=0.036, background=TILE_COLOR) / 255.0)
    name, note = html.escape(tile.name), html.escape(tile.note)
    kind = ' class="query"' if tile.is_query else ""
    return f'<li{kind}><img alt="Point cloud of {name}" src="{picture}"><div>{name}<small>{note}</small></div></li>'
