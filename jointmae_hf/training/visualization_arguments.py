"""What the scripts that draw share: the flags that name checkpoint, clouds and camera, and loading them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from jointmae_hf.data import read_point_cloud
from jointmae_hf.evaluation import sample_clouds
from jointmae_hf.model import JointMAEFeatureExtractor, JointMAEForPreTraining

from .demonstration import demonstration_checkpoint
from .recipes import QUICK
from .script_arguments import DatasetArguments, cloud_titles


@dataclass(frozen=True)
class VisualizationInputs:
    """A checkpoint and the clouds to draw.

    Args:
        model (`JointMAEForPreTraining`):
            In evaluation mode.
        points (`torch.Tensor` of shape `(num_shapes, num_points, 3)`):
            In the unit sphere, y up.
        titles (`list[str]`):
            Name of each cloud.
        index (`int`):
            The cloud of figures that show a single one.
        facts (`dict[str, str]`):
            What a figure tells about its making: checkpoint, data, seed.
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
            Checkpoint of `JointMAEForPreTraining`, a folder or an id on the Hub; by default a small one is trained on
            embedded shapes, in about a minute on 2 cores.
        cloud (`list[str]`, *optional*):
            Files of clouds; by default clouds are taken from the dataset, from `test` where there is one.
        up_axis (`str`, *optional*, defaults to `"y"`):
            Axis of the files that points up.
        num_clouds (`int`, *optional*, defaults to 5):
            Clouds to take from the dataset.
        index (`int`, *optional*):
            Which of them figures of a single cloud show, from 0; by default the third or the last.
        output_dir (`str`, *optional*, defaults to `"outputs/figures"`):
            Where figures go.
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
        default=None, metadata={"help": "Checkpoint of pre-training; by default a small one is trained first."}
    )
    cloud: list[str] = field(default_factory=list, metadata={"help": "Files of clouds, in place of the dataset."})
    up_axis: str = field(default="y", metadata={"help": "Axis of the files that points up: y or z."})
    num_clouds: int = field(default=5, metadata={"help": "Clouds to take from the dataset."})
    index: int | None = field(default=None, metadata={"help": "Cloud of figures that show a single one, from 0."})
    output_dir: str = field(default="outputs/figures", metadata={"help": "Where figures go."})
    seed: int = field(default=42, metadata={"help": "Seed of masks and of the choice of clouds."})
    azimuth: float = field(default=35.0, metadata={"help": "Degrees about the up axis."})
    elevation: float = field(default=20.0, metadata={"help": "Degrees above the horizontal plane."})
    dpi: int = field(default=150, metadata={"help": "Dots per inch of the figures."})

    @property
    def camera(self) -> dict[str, float]:
        """`dict[str, float]`: Azimuth and elevation, as the figures take them."""
        return {"azimuth": self.azimuth, "elevation": self.elevation}

    def load(self, dataset: DatasetArguments, device: torch.device | str = "cpu") -> VisualizationInputs:
        """Load the checkpoint and the clouds.

        Args:
            dataset ([`DatasetArguments`]):
                Where clouds come from unless files are named.
            device (`torch.device` or `str`, *optional*, defaults to `"cpu"`):
                Where to put the model.

        Returns:
            [`VisualizationInputs`]: Ready to be drawn.

        Raises:
            OSError: If there is no such checkpoint or file.
            ValueError: If there is no cloud of that index or a file is no valid cloud.
        """
        count = len(self.cloud) or self.num_clouds
        index = min(2, count - 1) if self.index is None else self.index
        if not 0 <= index < count:
            raise ValueError(f"`index` must be one of {count} clouds, counted from 0, got {index}.")
        demonstration = "outputs/demonstration"
        folder = self.model or str(demonstration_checkpoint(demonstration, seed=self.seed))
        model = JointMAEForPreTraining.from_pretrained(folder).eval()
        model.to(torch.device(device))
        name = Path(folder).name if Path(folder).is_dir() else folder
        if self.cloud:
            extractor = JointMAEFeatureExtractor(num_points=model.config.num_points, up_axis=self.up_axis)
            clouds: list[np.ndarray] = [read_point_cloud(path) for path in self.cloud]
            points = extractor(clouds, return_tensors="pt")["points"]
            titles, data = [Path(path).stem for path in self.cloud], "files"
        else:
            sizes = {option: setting.value for option, setting in QUICK.dataset_sizes.items()}
            splits = dataset.load(self.seed, **sizes)
            split = "test" if "test" in splits else "validation"
            batch = sample_clouds(splits[split], self.num_clouds, model.config.num_points, self.seed)
            points, titles = batch["points"], cloud_titles(splits[split], batch)
            data = f"{dataset.dataset_name}, split {split}"
        return VisualizationInputs(
            model, points, titles, index, {"checkpoint": name, "data": data, "seed": str(self.seed)}
        )
