"""Flags of the scripts that draw: checkpoint, clouds and camera, and loading them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data import read_point_cloud
from jointmae_hf.evaluation import sample_clouds
from jointmae_hf.model import JointMAEFeatureExtractor, JointMAEForPreTraining

from .arguments import DatasetArguments, exit_on_error, parse_flags
from .demo import default_checkpoint
from .recipes import QUICK, setting_values
from .training_flags import Refusal, refuse


if TYPE_CHECKING:
    from datasets import Dataset


def cloud_titles(split: Dataset, batch: Mapping[str, Tensor]) -> list[str]:
    """Return titles for the clouds of a batch from [`sample_clouds`]: their classes, or their rows without classes."""
    if "labels" in batch:
        return split.features["label"].int2str(batch["labels"].tolist())
    return [f"cloud {row}" for row in batch["index"].tolist()]


@dataclass(frozen=True)
class VisualizationInputs:
    """A checkpoint in evaluation mode, clouds to draw and their titles.

    `points` `(num_shapes, num_points, 3)` are in the unit sphere, y up; `index` is the cloud of figures that show a single
    one; `facts` are written into the figures: checkpoint, data, seed.
    """

    model: JointMAEForPreTraining
    points: Tensor
    titles: list[str]
    index: int
    facts: dict[str, str]


@dataclass
class VisualizationArguments:
    """Flags of the scripts that draw.

    Args:
        model (`str`, *optional*):
            Checkpoint of [`JointMAEForPreTraining`], a folder or an id on the Hub; by default that of
            [`default_checkpoint`].
        cloud (`list[str]`, *optional*):
            Files of clouds; by default clouds are taken from the dataset, from `test` if there is one.
        up_axis (`str`, *optional*, defaults to `"y"`):
            Up axis of the files.
        num_clouds (`int`, *optional*, defaults to 5):
            Number of clouds to take from the dataset, without `cloud`.
        index (`int`, *optional*):
            Index of the cloud in figures of a single one, from 0; by default the third or the last.
        output_dir (`str`, *optional*, defaults to `"outputs/figures"`):
            Folder of the figures.
        seed (`int`, *optional*, defaults to 42):
            Seed of masks and of the choice of clouds.
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.
        dpi (`int`, *optional*, defaults to 150):
            Dots per inch.
    """

    model: str | None = field(
        default=None, metadata={"help": "Pre-trained checkpoint; by default checkpoints/jointmae-small in a clone."}
    )
    cloud: list[str] = field(default_factory=list, metadata={"help": "Files of clouds, instead of a dataset."})
    up_axis: str = field(default="y", metadata={"help": "Up axis of the files: y or z."})
    num_clouds: int = field(default=5, metadata={"help": "Number of clouds to take from the dataset."})
    index: int | None = field(
        default=None, metadata={"help": "Index of the cloud in figures of a single one, from 0."}
    )
    output_dir: str = field(default="outputs/figures", metadata={"help": "Folder of the figures."})
    seed: int = field(default=42, metadata={"help": "Seed of masks and of the choice of clouds."})
    azimuth: float = field(default=35.0, metadata={"help": "Degrees about the up axis."})
    elevation: float = field(default=20.0, metadata={"help": "Degrees above the horizontal plane."})
    dpi: int = field(default=150, metadata={"help": "Dots per inch of the figures."})

    @property
    def camera(self) -> dict[str, float]:
        """`dict[str, float]`: Azimuth and elevation, as arguments of the figures."""
        return {"azimuth": self.azimuth, "elevation": self.elevation}

    def load(self, dataset: DatasetArguments, device: torch.device | str = "cpu") -> VisualizationInputs:
        """Load the checkpoint and the clouds, from files or else from the dataset.

        Args:
            dataset ([`DatasetArguments`]):
                Dataset of the clouds unless files are named.
            device (`torch.device` or `str`, *optional*, defaults to `"cpu"`):
                Device of the model.

        Returns:
            [`VisualizationInputs`]: Model, clouds and titles.

        Raises:
            OSError: If the checkpoint or a file does not exist.
            ValueError: If `index` is out of range or a file is no valid cloud.
        """
        count = len(self.cloud) or self.num_clouds
        index = min(2, count - 1) if self.index is None else self.index
        if not 0 <= index < count:
            raise ValueError(f"`index` must be one of {count} clouds, counted from 0, got {index}.")
        folder = self.model or str(default_checkpoint("outputs/demonstration", self.seed))
        model = JointMAEForPreTraining.from_pretrained(folder).eval()
        model.to(torch.device(device))
        num_points = model.config.num_points
        if self.cloud:
            extractor = JointMAEFeatureExtractor(num_points=num_points, up_axis=self.up_axis)
            clouds: list[np.ndarray] = [read_point_cloud(path) for path in self.cloud]
            points = extractor(clouds, return_tensors="pt")["points"]
            titles, data = [Path(path).stem for path in self.cloud], "files"
        else:
            splits = dataset.load(self.seed, **setting_values(QUICK.dataset_sizes))
            split = "test" if "test" in splits else "validation"
            batch = sample_clouds(splits[split], self.num_clouds, num_points, self.seed)
            points, titles = batch["points"], cloud_titles(splits[split], batch)
            data = f"{dataset.dataset_name}, split {split}"
        name = Path(folder).name if Path(folder).is_dir() else folder
        facts = {"checkpoint": name, "data": data, "seed": str(self.seed)}
        return VisualizationInputs(model, points, titles, index, facts)


def parse_visualization_flags(*classes: type) -> tuple[Any, ...]:
    """Parse the flags of a script that draws; one that has no effect ends the process with one line.

    Args:
        classes (`type`):
            Dataclasses of further flags of the script.

    Returns:
        `tuple`: [`VisualizationArguments`], [`DatasetArguments`], an instance of each of `classes`, and all flags on the
        command line.
    """
    (arguments, dataset, *own), passed = parse_flags((VisualizationArguments, DatasetArguments, *classes))
    with exit_on_error():
        if arguments.cloud:
            of_datasets = ("dataset", "data_dir", "dataset_options", "num_clouds")
            refuse(passed, dict.fromkeys(of_datasets, Refusal((), "`cloud` names the clouds to draw. Drop the flag.")))
        else:
            refuse(passed, {"up_axis": Refusal((), "It is that of files named by `cloud`; datasets have their own.")})
    return (arguments, dataset, *own, passed)
