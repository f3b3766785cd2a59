# Copyright 2026 The jointmae_hf authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Feature extractor of Joint-MAE: check, rotate, normalize, resample and batch point clouds."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import BatchFeature, FeatureExtractionMixin
from transformers.utils import TensorType

from .farthest_point_sampling import farthest_point_sample
from .remote_code import FEATURE_EXTRACTOR_AUTO_MAP, saving_code, without_own_code


UP_AXES = {"y": ((0, 1, 2), (1, 1, 1)), "z": ((0, 2, 1), (1, 1, -1)), "x": ((1, 0, 2), (-1, 1, 1))}
"""For each up axis of the input, the columns that x, y and z are taken from, and their signs."""


def rotate_to_y_up(points: np.ndarray, up_axis: str) -> np.ndarray:
    """Rotate a cloud so that y points up.

    Swapping two axes mirrors a cloud, so one axis changes its sign with it: all of these are rotations.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            Coordinates.
        up_axis (`str`):
            Axis that points up in `points`: `"x"`, `"y"` or `"z"`.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: Coordinates in the dtype of `points`.

    Raises:
        ValueError: If `up_axis` is unknown.

    Example:
        >>> rotate_to_y_up(np.array([[1.0, 2.0, 3.0]]), "z").tolist()
        [[1.0, 3.0, -2.0]]
    """
    _check_up_axis(up_axis)
    if up_axis == "y":
        return points
    columns, signs = UP_AXES[up_axis]
    return points[:, columns] * np.array(signs, dtype=points.dtype)


class JointMAEFeatureExtractor(FeatureExtractionMixin):
    """Turn point clouds of any size into the `points` that Joint-MAE models take.

    Each cloud is checked, rotated so that y points up (and mirrored if asked), centered at its mean and scaled to the unit sphere (Point-MAE's
    `pc_norm`), and resampled to `num_points`. All steps are deterministic and run in float64, so that coordinates
    far from the origin keep their detail.

    A cloud whose points all coincide has no scale; it becomes `num_points` zeros. Nothing else is repaired: a cloud
    with NaN or infinity raises an error.

    Args:
        num_points (`int`, *optional*, defaults to 2048):
            Number of points of each cloud after resampling.
        do_normalize (`bool`, *optional*, defaults to `True`):
            Whether to center each cloud at its mean and scale it to the unit sphere.
        do_resample (`bool`, *optional*, defaults to `True`):
            Whether to resample each cloud to `num_points`. If not, all clouds of a batch must have the same size.
        sampling (`str`, *optional*, defaults to `"farthest"`):
            How points are chosen from a larger cloud: `"farthest"` point sampling, which does not depend on their
            order, or `"random"`, without replacement and with the generator of `seed`, which keeps the density. The
            points of a smaller cloud are repeated in order, which adds nothing to distances.
        seed (`int`, *optional*, defaults to 0):
            Seed of `"random"` sampling, the same for each cloud.
        up_axis (`str`, *optional*, defaults to `"y"`):
            Axis that points up in the input, `"x"`, `"y"` or `"z"`; it is rotated, not mirrored, to y.
        do_mirror (`bool`, *optional*, defaults to `False`):
            Whether to negate z after the rotation. Models trained on ModelNet40 expect mirror images of its `.off` meshes:
            `up_axis="z", do_mirror=True`, which is (x, y, z) -> (x, z, y). A model that was trained on such meshes is saved
            with it.

    Example:
        >>> import numpy as np
        >>> from jointmae_hf import JointMAEFeatureExtractor
        >>> feature_extractor = JointMAEFeatureExtractor(num_points=1024)
        >>> clouds = [np.ones((5000, 3)), np.eye(3)]
        >>> feature_extractor(clouds, return_tensors="pt")["points"].shape
        torch.Size([2, 1024, 3])
    """

    model_input_names: ClassVar[list[str]] = ["points"]

    def __init__(
        self,
        num_points: int = 2048,
        do_normalize: bool = True,
        do_resample: bool = True,
        sampling: str = "farthest",
        seed: int = 0,
        up_axis: str = "y",
        do_mirror: bool = False,
        **kwargs: Any,
    ):
        _check_settings(num_points, up_axis)
        if sampling not in ("farthest", "random"):
            raise ValueError(f'`sampling` must be "farthest" or "random", got {sampling!r}.')
        super().__init__(**without_own_code(self, kwargs))
        self.num_points = num_points
        self.do_normalize = do_normalize
        self.do_resample = do_resample
        self.sampling = sampling
        self.seed = seed
        self.up_axis = up_axis
        self.do_mirror = do_mirror

    def __call__(
        self,
        points: Any,
        num_points: int | None = None,
        do_normalize: bool | None = None,
        do_resample: bool | None = None,
        up_axis: str | None = None,
        do_mirror: bool | None = None,
        return_tensors: str | TensorType | None = None,
    ) -> BatchFeature:
        """Prepare one cloud or several.

        Args:
            points (`np.ndarray`, `torch.Tensor`, nested list, or a sequence of them):
                One cloud `(num_points, 3)`, a batch `(batch_size, num_points, 3)`, or a list of clouds of any sizes.
                Floating point or integer.
            num_points (`int`, *optional*):
                Overrides the setting of the same name.
            do_normalize (`bool`, *optional*):
                Overrides the setting of the same name.
            do_resample (`bool`, *optional*):
                Overrides the setting of the same name.
            up_axis (`str`, *optional*):
                Overrides the setting of the same name.
            do_mirror (`bool`, *optional*):
                Overrides the setting of the same name.
            return_tensors (`str`, *optional*):
                `"pt"` or `"np"`; by default a list of arrays.

        Returns:
            `BatchFeature`: `points`, float32 `(batch_size, num_points, 3)`, y up.

        Raises:
            TypeError: If the coordinates of a cloud are not real numbers.
            ValueError: If a cloud is empty, does not have shape `(num_points, 3)`, contains NaN or infinity, or differs
                in size from the others without resampling. The message gives the index of the cloud.
        """
        num_points = self.num_points if num_points is None else num_points
        do_normalize = self.do_normalize if do_normalize is None else do_normalize
        do_resample = self.do_resample if do_resample is None else do_resample
        up_axis = self.up_axis if up_axis is None else up_axis
        do_mirror = self.do_mirror if do_mirror is None else do_mirror
        _check_settings(num_points, up_axis)
        clouds = [_check_cloud(cloud, index) for index, cloud in enumerate(_split_batch(points))]
        for index, cloud in enumerate(clouds):
            largest = np.abs(cloud).max()
            if not do_normalize and largest > np.finfo(np.float32).max:
                raise ValueError(f"`points[{index}]` must fit float32 without `do_normalize`, got {largest:g}.")
        if not do_resample and len({len(cloud) for cloud in clouds}) > 1:
            sizes = [len(cloud) for cloud in clouds]
            raise ValueError(f"`points` must hold clouds of one size without `do_resample`, got sizes {sizes}.")

        prepared = []
        for cloud in clouds:
            cloud = rotate_to_y_up(cloud, up_axis)
            if do_mirror:
                cloud = cloud * np.array([1.0, 1.0, -1.0])
            if do_normalize:
                cloud = normalize_cloud(cloud)
            if do_resample:
                cloud = self._resample(cloud, num_points)
            prepared.append(np.ascontiguousarray(cloud, dtype=np.float32))
        return BatchFeature({"points": prepared}, tensor_type=return_tensors)

    def push_to_hub(self, *args: Any, **kwargs: Any) -> str:
        """Upload the settings together with the code, for users without this package.

        Args:
            args (`Any`):
                Passed to `transformers.utils.PushToHubMixin.push_to_hub`.
            kwargs (`Any`):
                Passed to the same method.

        Returns:
            `str`: URL of the commit.
        """
        with saving_code({type(self): "AutoFeatureExtractor"}, self, dict(FEATURE_EXTRACTOR_AUTO_MAP)):
            return super().push_to_hub(*args, **kwargs)

    def _resample(self, cloud: np.ndarray, num_points: int) -> np.ndarray:
        """Sample or repeat points until there are `num_points`."""
        if len(cloud) <= num_points:
            return cloud[np.arange(num_points) % len(cloud)]
        if self.sampling == "random":
            return cloud[np.random.default_rng(self.seed).permutation(len(cloud))[:num_points]]
        indices = farthest_point_sample(torch.from_numpy(np.ascontiguousarray(cloud))[None], num_points)[0]
        return cloud[indices.numpy()]


def normalize_cloud(cloud: np.ndarray) -> np.ndarray:
    """Center a cloud at its mean and scale it so that its farthest point lies on the unit sphere.

    Source: `pc_norm` of Point-MAE. A cloud whose points all coincide becomes zeros.

    Args:
        cloud (`np.ndarray` of shape `(num_points, 3)`):
            Finite coordinates, any unit.

    Returns:
        `np.ndarray` of shape `(num_points, 3)`: float64 coordinates.
    """
    # Scaled first, so that neither the sum nor a square overflows, however large or small the coordinates are.
    largest = np.abs(cloud).max()
    if largest == 0:
        return np.zeros_like(cloud, dtype=np.float64)
    scaled = cloud.astype(np.float64) / largest
    centered = scaled - scaled.mean(axis=0)
    extent = np.abs(centered).max()
    # If all points coincide, what remains after subtracting their mean is rounding error.
    if extent <= 8 * np.finfo(np.float64).eps:
        return np.zeros_like(centered)
    centered /= extent
    return centered / np.sqrt((centered * centered).sum(axis=1).max())


def _check_settings(num_points: Any, up_axis: Any) -> None:
    """Raise for invalid settings that a call may override."""
    if isinstance(num_points, bool) or not isinstance(num_points, int) or num_points < 1:
        raise ValueError(f"`num_points` must be an integer of at least 1, got {num_points!r}.")
    _check_up_axis(up_axis)


def _check_up_axis(up_axis: Any) -> None:
    """Raise unless an axis is known."""
    if up_axis not in UP_AXES:
        raise ValueError(f'`up_axis` must be "x", "y" or "z", got {up_axis!r}.')


def _split_batch(points: Any) -> list[Any]:
    """List the clouds of one cloud, a batch or a list."""
    if isinstance(points, (str, bytes)) or points is None:
        raise TypeError(f"`points` must be an array, a tensor or a list of them, got {type(points).__name__}.")
    if isinstance(points, (np.ndarray, torch.Tensor)):
        if points.ndim == 3:
            if points.shape[0] == 0:
                raise ValueError(f"`points` must hold at least one cloud, got shape {tuple(points.shape)}.")
            return list(points)
        is_list_of_arrays = isinstance(points, np.ndarray) and points.ndim == 1 and points.dtype == object
        return list(points) if is_list_of_arrays else [points]
    if not isinstance(points, Sequence):
        raise TypeError(f"`points` must be an array, a tensor or a list of them, got {type(points).__name__}.")
    if len(points) == 0:
        raise ValueError("`points` must hold at least one cloud, got an empty list.")
    first = points[0]
    is_row = isinstance(first, Sequence) and len(first) > 0 and np.isscalar(first[0])
    is_array_row = isinstance(first, (np.ndarray, torch.Tensor)) and first.ndim == 1
    if is_array_row:  # numpy cannot read rows that require gradient or are bfloat16
        return [[row.tolist() if isinstance(row, torch.Tensor) else row for row in points]]
    return [points] if is_row or np.isscalar(first) else list(points)


def _check_cloud(cloud: Any, index: int) -> np.ndarray:
    """Convert a cloud to a float64 array; errors give its index."""
    if isinstance(cloud, torch.Tensor):
        cloud = cloud.detach().cpu()
        cloud = cloud.float().numpy() if cloud.dtype == torch.bfloat16 else cloud.numpy()
    elif not isinstance(cloud, np.ndarray):
        try:
            cloud = np.asarray(cloud)
        except ValueError as error:
            raise ValueError(f"`points[{index}]` must have rows of 3 coordinates, got ragged rows.") from error
    if cloud.dtype.kind not in "fiu":
        raise TypeError(f"`points[{index}]` must hold real numbers, got dtype {cloud.dtype}.")
    if cloud.ndim != 2 or cloud.shape[1] != 3:
        raise ValueError(
            f"`points[{index}]` must have shape (num_points, 3), got {cloud.shape}. Pass only the coordinates, "
            "`cloud[:, :3]`."
        )
    if len(cloud) == 0:
        raise ValueError(f"`points[{index}]` must hold at least one point, got shape {cloud.shape}.")
    cloud = cloud.astype(np.float64)
    num_broken = int((~np.isfinite(cloud)).any(axis=1).sum())
    if num_broken:
        raise ValueError(
            f"`points[{index}]` must be finite, got NaN or infinity in {num_broken} of {len(cloud)} points."
        )
    return cloud


__all__ = ["JointMAEFeatureExtractor"]
