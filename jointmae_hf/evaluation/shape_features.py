"""Features for a search by shape: averaged over rotations, compared with a reference, and the search for one cloud."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data.builders.sample_shapes import read_points, read_table
from jointmae_hf.model import JointMAEFeatureExtractor

from .features import extract_features
from .shape_search import ShapeIndex, ShapeMatch


NUM_REFERENCES = 256
"""Shapes of the reference; all 740 of the split change mAP@10 by less than 0.3 points, 128 by up to 1."""


def nearest_shapes(
    model: torch.nn.Module, points: Tensor, index: ShapeIndex, top_k: int = 10, num_rotations: int = 1
) -> list[ShapeMatch]:
    """Find the shapes of an index that resemble a cloud most.

    Args:
        model (`torch.nn.Module`):
            The encoder that computed the features of the index, such as [`JointMAEModel`], see [`extract_features`].
        points (`torch.Tensor` of shape `(num_points, 3)`):
            Cloud as returned by [`JointMAEFeatureExtractor`].
        index ([`ShapeIndex`]):
            The shapes.
        top_k (`int`, *optional*, defaults to 10):
            Number of shapes.
        num_rotations (`int`, *optional*, defaults to 1):
            That of the index, see [`embed_rotated`].

    Returns:
        `list[ShapeMatch]`: Best first.
    """

    def embed(clouds: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        return extract_features(model, [{"points": cloud} for cloud in clouds])[0]

    return index.nearest(embed_rotated(embed, [points.cpu().numpy()], num_rotations)[0], top_k)


def embed_rotated(
    embed: Callable[[Sequence[np.ndarray]], np.ndarray],
    clouds: Sequence[np.ndarray] | np.ndarray,
    num_rotations: int = 1,
) -> np.ndarray:
    """Compute features, averaged over rotations about the up axis.

    The average over `num_rotations` equal steps does not change when a shape is rotated by such a step, and changes less
    when it is rotated by any other angle.

    Args:
        embed (`Callable`):
            Function from clouds to features, such as [`FileEmbedder.embed_clouds`].
        clouds (`Sequence[np.ndarray]` or `np.ndarray`):
            Clouds `(num_points, 3)` as the model takes them.
        num_rotations (`int`, *optional*, defaults to 1):
            Number of steps; 1 is the cloud as it is.

    Returns:
        `np.ndarray` of shape `(num_clouds, feature_size)`: float32 features.

    Raises:
        ValueError: If `num_rotations` is not positive.
    """
    if num_rotations < 1:
        raise ValueError(f"`num_rotations` must be at least 1, got {num_rotations}.")
    parts = []
    for step in range(num_rotations):
        parts.append(
            embed([rotate_about_up_axis(torch.from_numpy(cloud), step / num_rotations).numpy() for cloud in clouds])
        )
    return np.asarray(np.mean(parts, axis=0), dtype=np.float32)


def rotate_about_up_axis(points: Tensor, turn: float) -> Tensor:
    """Rotate points about the up axis y.

    Args:
        points (`torch.Tensor` of shape `(..., 3)`):
            Coordinates.
        turn (`float`):
            Angle in full turns, counterclockwise seen from above.

    Returns:
        `torch.Tensor` of shape `(..., 3)`: Rotated coordinates.

    Example:
        >>> rotate_about_up_axis(torch.tensor([1.0, 2.0, 0.0]), 0.25).round().tolist()
        [0.0, 2.0, -1.0]
    """
    cosine, sine = math.cos(2.0 * math.pi * turn), math.sin(2.0 * math.pi * turn)
    x, y, z = points.unbind(dim=-1)
    return torch.stack([cosine * x + sine * z, y, cosine * z - sine * x], dim=-1)


def reference_clouds(num_points: int) -> np.ndarray:
    """Return the shapes whose features [`FeatureWhitening`] is fitted to: a fixed third of the train split of `sample_shapes`.

    Args:
        num_points (`int`):
            Points per cloud.

    Returns:
        `np.ndarray` of shape `(256, num_points, 3)`: Clouds as the model takes them.
    """
    train = [row for row, facts in enumerate(read_table()) if facts["split"] == "train"]
    chosen = np.array(train)[np.linspace(0, len(train) - 1, NUM_REFERENCES).round().astype(int)]
    return JointMAEFeatureExtractor(num_points=num_points)(read_points()[chosen], return_tensors="np")["points"]
