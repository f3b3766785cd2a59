"""What every example script shares: the flags that name a dataset, and the start of a process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from torch import Tensor
from transformers import TrainingArguments, set_seed
from transformers.integrations import is_tensorboard_available

from jointmae_hf.data import load_point_clouds, load_splits
from jointmae_hf.data.loading import check_writable_folder

from .host_memory import disable_malloc_trim
from .processes import check_num_processes, share_out_cores


DATASET_NAMES = "folder, modelnet40, modelnet_few_shot, scanobjectnn, shapenet55, shapenet_part, synthetic_shapes"


@dataclass
class DatasetArguments:
    """Flags that name a dataset.

    Args:
        dataset (`str`, *optional*):
            Name of a dataset of [`load_point_clouds`]. By default `"folder"` where `data_dir` is given and
            `"synthetic_shapes"` where it is not.
        data_dir (`str`, *optional*):
            Folder of its files.
        dataset_options (`str`, *optional*, defaults to `"{}"`):
            Options of the dataset as a JSON object.
    """

    dataset: str | None = field(
        default=None,
        metadata={"help": f"Dataset: {DATASET_NAMES}. By default `folder` with --data_dir, else embedded shapes."},
    )
    data_dir: str | None = field(default=None, metadata={"help": "Folder of the dataset's files."})
    dataset_options: str = field(
        default="{}", metadata={"help": 'Options of the dataset as JSON: \'{"subset": "obj_bg"}\'.'}
    )

    def __post_init__(self) -> None:
        if self.dataset is None:
            self.dataset = "synthetic_shapes" if self.data_dir is None else "folder"
        try:
            self.options = json.loads(self.dataset_options)
        except json.JSONDecodeError as error:
            raise ValueError(f"`dataset_options` must be a JSON object, got {self.dataset_options!r}.") from error
        if not isinstance(self.options, dict):
            raise ValueError(f"`dataset_options` must be a JSON object, got {self.dataset_options!r}.")

    @property
    def dataset_name(self) -> str:
        """`str`: What results and cards call the dataset: a folder by its name, without the path of this machine."""
        if self.dataset == "folder":
            return Path(self.data_dir or "").resolve().name
        return " ".join([str(self.dataset), *([self.options["subset"]] if "subset" in self.options else [])])

    def load(self, seed: int, validation_share: float | None = 0.1, **defaults: Any) -> DatasetDict:
        """Load the splits, see [`load_splits`] and [`load_point_clouds`].

        Args:
            seed (`int`):
                Seed of the run; draws the validation part where the dataset has none.
            validation_share (`float`, *optional*, defaults to 0.1):
                Share of `train` to hold out then; `None` for the splits as they are.
            defaults (`dict[str, Any]`, *optional*):
                Options of the embedded shapes that `dataset_options` does not set.

        Returns:
            `datasets.DatasetDict`: `train`, `validation` and, where there is one, `test`.
        """
        options = {**defaults, **self.options} if self.dataset == "synthetic_shapes" else self.options
        if validation_share is None:
            return load_point_clouds(str(self.dataset), self.data_dir, **options)
        return load_splits(str(self.dataset), self.data_dir, validation_share, seed, **options)


def cloud_titles(split: Dataset, batch: Mapping[str, Tensor]) -> list[str]:
    """Name clouds for a figure.

    Args:
        split (`datasets.Dataset`):
            Where they are from; tells the names of its classes.
        batch (`Mapping[str, torch.Tensor]`):
            From [`sample_clouds`].

    Returns:
        `list[str]`: The class of each, or its row where there are no classes.
    """
    if "labels" in batch:
        return split.features["label"].int2str(batch["labels"].tolist())
    return [f"cloud {row}" for row in batch["index"].tolist()]


def default_tracker() -> str:
    """Say what scripts report to unless `--report_to` says otherwise.

    Returns:
        `str`: `"tensorboard"` where it is installed, or `"none"`.
    """
    return "tensorboard" if is_tensorboard_available() else "none"


def set_up_process(training: TrainingArguments) -> None:
    """Check processes and output folder, seed all generators and, on CPU, share out the cores.

    The run is named after its folder: trackers take a run without a name for another one when it goes on. On CPU, the
    processes of a machine share its cores, see [`share_out_cores`], pinned memory is of no use, and freed memory is kept for
    the next step, see [`disable_malloc_trim`].

    Args:
        training (`transformers.TrainingArguments`):
            Arguments of the run.

    Raises:
        ValueError: If another number of processes was asked for, see [`check_num_processes`], or `output_dir` cannot be
            written.
    """
    check_num_processes(training)
    if training.should_save:
        check_writable_folder("output_dir", str(training.output_dir), "Pass another by --output_dir.")
    if training.run_name is None:
        training.run_name = Path(str(training.output_dir)).name
    if training.device.type == "cpu":
        share_out_cores()
        training.dataloader_pin_memory = False
        disable_malloc_trim()
    set_seed(training.seed)
