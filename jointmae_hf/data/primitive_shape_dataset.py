"""Random compositions of primitives as a map-style dataset that generates each shape when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jointmae_hf.data.argument_checks import check_integer
from jointmae_hf.data.synthetic.compositions import FIRST_INDEX_OF_SPLIT, CompositionOptions, compose_shapes

from .dataset import PointCloudSamples


if TYPE_CHECKING:
    import datasets


class PrimitiveShapeDataset(torch.utils.data.Dataset):
    """Shapes of [`compose_shapes`] with the samples and batches of [`PointCloudDataset`], stored nowhere.

    A worker of a `DataLoader` generates the shapes of a batch together, about ten times as fast as one by one. Shape
    `index` depends on `seed` and `index` alone, and equals that of `load_point_clouds("primitive_shapes")`.

    Args:
        num_shapes (`int`):
            Length of the dataset.
        num_points (`int`, *optional*, defaults to 2048):
            Number of points of each shape.
        seed (`int`, *optional*, defaults to 0):
            Seed of the shapes, not negative.
        split (`str`, *optional*, defaults to `"train"`):
            `"train"`, `"validation"` or `"test"`; no two share a shape.
        options (`CompositionOptions`, *optional*):
            What the shapes are composed of.

    Raises:
        TypeError: If a number is not an `int`.
        ValueError: If a number is out of range or `split` is unknown.

    Example:
        >>> shapes = PrimitiveShapeDataset(10**9, num_points=256)
        >>> len(shapes), shapes[123_456_789]["points"].shape
        (1000000000, (256, 3))
    """

    license = "apache-2.0"

    def __init__(
        self,
        num_shapes: int,
        num_points: int = 2048,
        seed: int = 0,
        split: str = "train",
        options: CompositionOptions | None = None,
    ) -> None:
        for name, value, least in (("num_shapes", num_shapes, 1), ("num_points", num_points, 1), ("seed", seed, 0)):
            check_integer(name, value, least)
        if split not in FIRST_INDEX_OF_SPLIT:
            raise ValueError(f"`split` must be one of {', '.join(FIRST_INDEX_OF_SPLIT)}, got {split!r}.")
        self.num_shapes, self.num_points, self.seed, self.split = num_shapes, num_points, seed, split
        self.options = CompositionOptions() if options is None else options
        self.files: list[str] = []  # the watchdog of the trainer names the files of a dataset

    @property
    def info(self) -> datasets.DatasetInfo:
        """`datasets.DatasetInfo`: License and description, those of the stored dataset."""
        import datasets

        from jointmae_hf.data.builders.primitive_shapes import DESCRIPTION, LICENSE

        return datasets.DatasetInfo(description=DESCRIPTION, license=LICENSE)

    def __len__(self) -> int:
        return self.num_shapes

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample; a negative `index` counts from the end."""
        batch = self._stack(np.array([index]))
        return {"points": batch["points"][0], "index": int(batch["index"][0])}

    def __getitems__(self, indices: Sequence[int]) -> PointCloudSamples:
        """Return the samples of one batch; `DataLoader` calls it."""
        return PointCloudSamples(self, indices)

    def _stack(self, index: np.ndarray) -> dict[str, np.ndarray]:
        """Generate samples as arrays; see `PointCloudSamples.stack`."""
        outside = index[(index < -self.num_shapes) | (index >= self.num_shapes)]
        if len(outside):
            raise IndexError(
                f"`index` must be between {-self.num_shapes} and {self.num_shapes - 1}, got {outside[0]}."
            )
        index = index % self.num_shapes
        numbers = torch.from_numpy(index) + FIRST_INDEX_OF_SPLIT[self.split]
        return {"points": compose_shapes(self.seed, numbers, self.num_points, self.options).numpy(), "index": index}
