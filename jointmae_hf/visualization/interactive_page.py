"""Fig. 5 of the paper as one HTML file to turn and to zoom, which works offline: it loads nothing."""

import base64
import io
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from torch import Tensor

from jointmae_hf.model import JointMAEForPreTraining

from .figure_layout import to_numpy
from .model_reconstruction import reconstruct
from .reconstruction_tiles import CONTEXT_COLOR, GIVEN_COLOR, depth_tiles, height_colors


RADIUS = 0.024
PLAIN, GIVEN, CENTER, CONTEXT = 255, 160, 96, 32
"""Fourth byte of a point's colour: how the page draws it; given points of a reconstruction can be left out."""


def reconstruction_page(
    model: JointMAEForPreTraining,
    points: Tensor,
    titles: Sequence[str] | None = None,
    seed: int = 0,
    azimuth: float = 35.0,
    elevation: float = 20.0,
    facts: str = "",
) -> str:
    """Write a page that shows input, centers, visible points and reconstruction of some clouds, turned together.

    Source: Joint-MAE Fig. 5. The page holds its data and its program, about 45 kB for a cloud of 1,024 points; its
    Content-Security-Policy forbids the browser to load anything else.

    Args:
        model (`JointMAEForPreTraining`):
            The model; without a 2D branch the page has no depth maps.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            Clouds in the unit sphere, y up.
        titles (`Sequence[str]`, *optional*):
            Name of each cloud.
        seed (`int`, *optional*, defaults to 0):
            Seed of the masks.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis, of the depth map's view and of the first view of the page.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.
        facts (`str`, *optional*):
            A line under the heading: checkpoint, dataset, split.

    Returns:
        `str`: The HTML file.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is not one title for each cloud.
    """
    titles = [f"cloud {row}" for row in range(len(points))] if titles is None else list(titles)
    if len(titles) != len(points):
        raise ValueError(f"`titles` must have one entry per cloud, got {len(titles)} for {len(points)}.")
    outputs = reconstruct(model, points, seed, azimuth, elevation)
    shapes = []
    for row, title in enumerate(titles):
        fields = ("centers", "mask_3d", "target_points", "reconstructed_points")
        cloud = {name: to_numpy(getattr(outputs, name)[row]) for name in fields} | {"points": to_numpy(points[row])}
        maps = []
        if model.config.use_2d_branch:
            depth = {
                "depth_map": to_numpy(outputs.depth_map[row, 0]),
                "mask_2d": to_numpy(outputs.mask_2d[row]),
                "reconstructed_pixels": to_numpy(outputs.reconstructed_pixels[row, 0]),
            }
            names = ("Depth map", "Visible patches", "Reconstructed depth map")
            maps = [
                {"name": name, "picture": _data_uri(picture)}
                for name, picture in zip(names, depth_tiles(depth), strict=True)
            ]
        is_whole = model.config.loss_3d_target == "cloud"  # the points of visible tokens are predicted too
        shapes.append({"title": title, "clouds": _clouds(cloud, is_whole), "maps": maps})
    data = {"facts": facts, "radius": RADIUS, "azimuth": azimuth, "elevation": elevation, "shapes": shapes}
    template = files(__package__).joinpath("reconstruction_page.html").read_text(encoding="utf-8")
    text = json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return template.replace("__DATA__", text)


def _clouds(cloud: dict[str, np.ndarray], is_whole: bool) -> list[dict[str, Any]]:
    """The four clouds of a shape."""
    points, centers = cloud["points"], cloud["centers"]
    heights = float(points[:, 1].min()), float(points[:, 1].max())
    group_size = len(cloud["target_points"]) // len(centers)
    is_hidden = np.repeat(cloud["mask_3d"], group_size)
    visible = cloud["target_points"][~is_hidden]
    is_predicted = np.ones_like(is_hidden) if is_whole else is_hidden
    reconstruction = height_colors(cloud["reconstructed_points"], *heights)
    reconstruction[~is_predicted] = GIVEN_COLOR
    context = np.broadcast_to(CONTEXT_COLOR, points.shape)
    with_centers = np.concatenate([context, height_colors(centers, *heights)])
    kinds = np.repeat([CONTEXT, CENTER], [len(points), len(centers)])
    given = np.broadcast_to(GIVEN_COLOR, visible.shape)
    num_hidden = int(cloud["mask_3d"].sum())
    return [
        _packed("Input points", f"{len(points):,} points", points, height_colors(points, *heights), PLAIN),
        _packed("Token centers", f"{len(centers)} centers", np.concatenate([points, centers]), with_centers, kinds),
        _packed("Visible points", f"{len(centers) - num_hidden} of {len(centers)} tokens", visible, given, PLAIN),
        _packed(
            "Reconstruction",
            f"{int(is_predicted.sum()):,} predicted, {int((~is_predicted).sum()):,} given (grey)",
            cloud["reconstructed_points"],
            reconstruction,
            np.where(is_predicted, PLAIN, GIVEN),
        ),
    ]


def _packed(name: str, note: str, positions: np.ndarray, colors: np.ndarray, kinds: Any) -> dict[str, Any]:
    """A cloud as base64 of float32 positions and of four bytes for each colour."""
    rgba = np.empty((len(positions), 4), dtype=np.uint8)
    rgba[:, :3], rgba[:, 3] = np.round(255 * np.clip(colors, 0.0, 1.0)), kinds
    return {
        "name": name,
        "note": note,
        "count": len(positions),
        "positions": base64.b64encode(np.ascontiguousarray(positions, dtype="<f4").tobytes()).decode("ascii"),
        "colors": base64.b64encode(rgba.tobytes()).decode("ascii"),
    }


def _data_uri(picture: np.ndarray) -> str:
    """A picture as PNG inside an address."""
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise ImportError('Pages need matplotlib: pip install "jointmae_hf[viz]"') from error

    file = io.BytesIO()
    imsave(file, np.clip(picture, 0.0, 1.0), format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
