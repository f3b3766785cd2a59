"""The frame of a dataset's source files, so that a feature extractor turns such a file into what training saw."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


logger = logging.getLogger(__name__)

_NOTE = re.compile(r'Source frame: up_axis="([xyz])", do_mirror=(True|False), do_normalize=(True|False)\.')


@dataclass(frozen=True)
class SourceFrame:
    """How the points of a dataset, which are y up, follow from the coordinates in its files.

    A builder ends the description of its dataset with `describe()`, which stays in the cache of `datasets`.

    Args:
        up_axis (`str`, *optional*, defaults to `"y"`):
            Axis that points up in the files, as in `JointMAEFeatureExtractor`.
        do_mirror (`bool`, *optional*, defaults to `False`):
            Whether the dataset is a mirror image of its files, as in `JointMAEFeatureExtractor`.
        do_normalize (`bool`, *optional*, defaults to `False`):
            Whether the builder has moved the clouds into the unit sphere.
    """

    up_axis: str = "y"
    do_mirror: bool = False
    do_normalize: bool = False

    def describe(self) -> str:
        """Return the note in the description of a dataset.

        Returns:
            `str`: One sentence, which `source_frame` reads.
        """
        normalization = f"do_normalize={self.do_normalize}"
        return f'Source frame: up_axis="{self.up_axis}", do_mirror={self.do_mirror}, {normalization}.'


def source_frame(clouds: Any) -> SourceFrame:
    """Return the frame of the files that a dataset was built from.

    Args:
        clouds (`datasets.Dataset`, [`PointCloudDataset`], [`PointCloudTensors`], [`MixtureDataset`] or a wrapper):
            Clouds, such as the training split of a run.

    Returns:
        [`SourceFrame`]: As the builder of the dataset states it. Without a statement, as for `PointCloudTensors` or Parquet
        files, the points are their own source: y up, not mirrored. So are those of a mixture of different frames.

    Raises:
        ValueError: If the dataset joins parts whose files have different frames.

    Example:
        >>> from jointmae_hf.data import load_point_clouds
        >>> source_frame(load_point_clouds("sample_shapes", split="train"))
        SourceFrame(up_axis='y', do_mirror=False, do_normalize=False)
    """
    if hasattr(clouds, "datasets"):
        return _frame_of_mixture(clouds.datasets)
    for name in ("clouds", "dataset"):  # of `FewShotSplit` and `PointCloudDataset`
        clouds = getattr(clouds, name, clouds)
    description = getattr(getattr(clouds, "info", None), "description", None) or ""
    notes = _NOTE.findall(description)
    frames = {SourceFrame(up_axis, *(flag == "True" for flag in flags)) for up_axis, *flags in notes}
    if len(frames) > 1:
        raise ValueError(
            f"`clouds` must come from files of one frame, got {sorted(frame.describe() for frame in frames)}. Convert the "
            "files to one frame first."
        )
    return frames.pop() if frames else SourceFrame()


def _frame_of_mixture(parts: Sequence[Any]) -> SourceFrame:
    """Return the frame of all files, or if they differ that of the points, with a warning."""
    frames = {source_frame(part) for part in parts}
    if len(frames) == 1:
        return frames.pop()
    logger.warning(
        "The datasets of the mixture have files of different frames (%s): the feature extractor expects y up.",
        ", ".join(sorted(frame.describe() for frame in frames)),
    )
    return SourceFrame()
