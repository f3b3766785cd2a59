"""Fig. 5 of the paper as an interactive offline viewer in one HTML file."""

import base64
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from torch import Tensor

from jointmae_hf.model import JointMAEForPreTraining

from .reconstruction_figure import COLUMNS_3D, check_titles, reconstructed_shapes
from .tiles import Shape, depth_tiles, shape_clouds


RADIUS = 0.024
PLAIN, GIVEN, CENTER, CONTEXT = 255, 160, 96, 32
"""Fourth byte of a point's color: how the page draws it; given points of a reconstruction can be hidden."""


def reconstruction_page(
    model: JointMAEForPreTraining,
    points: Tensor,
    titles: Sequence[str] | None = None,
    seed: int = 0,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    facts: str = "",
) -> str:
    """Create an interactive page with input, centers, visible points and reconstruction of some clouds.

    The four views rotate together. The page contains its data and its code, about 0.1 MB for a cloud of 1,024 points;
    its Content-Security-Policy forbids loading anything else. Source: Joint-MAE Fig. 5.

    Args:
        model (`JointMAEForPreTraining`):
            The model; without a 2D branch the page has no depth maps.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Clouds in the unit sphere, y up.
        titles (`Sequence[str]`, *optional*):
            Name of each cloud.
        seed (`int`, *optional*, defaults to 0):
            Seed for the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis, for the depth map and the initial view of the page.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.
        facts (`str`, *optional*):
            Line under the heading, such as checkpoint, dataset and split.

    Returns:
        `str`: Content of the HTML file.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one title per cloud.
    """
    check_titles(titles, len(points))
    titles = [f"cloud {row}" for row in range(len(points))] if titles is None else list(titles)
    group_size = model.config.target_group_size
    shapes = [
        {"title": title, "clouds": _clouds(shape, group_size), "maps": _maps(shape)}
        for title, shape in zip(titles, reconstructed_shapes(model, points, seed, azimuth, elevation), strict=True)
    ]
    data = {"facts": facts, "radius": RADIUS, "azimuth": azimuth, "elevation": elevation, "shapes": shapes}
    template = files(__package__).joinpath("reconstruction_page.html").read_text(encoding="utf-8")
    text = json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return template.replace("__DATA__", text)


def _clouds(shape: Shape, group_size: int) -> list[dict[str, Any]]:
    """Return the four clouds of a shape for the page."""
    num_points, num_centers = len(shape["points"]), len(shape["centers"])
    is_predicted = shape["is_hidden"]
    notes = [
        f"{num_points:,} points",
        f"{num_centers} centers",
        f"{len(shape['visible_points']) // group_size} of {num_centers} tokens",
        f"{int(is_predicted.sum()):,} predicted, {int((~is_predicted).sum()):,} given (gray)",
    ]
    kinds = [
        PLAIN,
        np.repeat([CONTEXT, CENTER], [num_points, num_centers]),
        PLAIN,
        np.where(is_predicted, PLAIN, GIVEN),
    ]
    return [
        _packed(name, note, positions, colors, kind)
        for name, note, (positions, colors, _), kind in zip(COLUMNS_3D, notes, shape_clouds(shape), kinds, strict=True)
    ]


def _maps(shape: Shape) -> list[dict[str, str]]:
    """Return the depth maps of a shape for the page, none of a 3D-only model."""
    if "depth_map" not in shape:
        return []
    names = ("Depth map", "Visible patches", "Reconstructed depth map")
    pictures = depth_tiles(shape)
    return [{"name": name, "picture": data_uri(picture)} for name, picture in zip(names, pictures, strict=True)]


def _packed(name: str, note: str, positions: np.ndarray, colors: np.ndarray, kinds: Any) -> dict[str, Any]:
    """Encode a cloud as base64 of float32 positions and of four bytes per color."""
    rgba = np.empty((len(positions), 4), dtype=np.uint8)
    rgba[:, :3], rgba[:, 3] = np.round(255 * np.clip(colors, 0.0, 1.0)), kinds
    return {
        "name": name,
        "note": note,
        "count": len(positions),
        "positions": base64.b64encode(np.ascontiguousarray(positions, dtype="<f4").tobytes()).decode("ascii"),
        "colors": base64.b64encode(rgba.tobytes()).decode("ascii"),
    }


def data_uri(picture: np.ndarray) -> str:
    """Encode a picture as a PNG data URI."""
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise ImportError('Interactive pages need matplotlib: pip install "jointmae_hf[viz]"') from error

    file = io.BytesIO()
    imsave(file, np.clip(picture, 0.0, 1.0), format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
