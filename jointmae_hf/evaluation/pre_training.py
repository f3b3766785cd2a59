"""What a checkpoint was pre-trained by and on, so that no result stands in a row where it does not belong."""

import json
import os
from dataclasses import dataclass
from typing import Any

from transformers.utils import cached_file


@dataclass(frozen=True)
class CheckpointProvenance:
    """How weights came about before they were measured.

    Args:
        method (`str`):
            `"from scratch"`, `"3D only"` or `"Joint-MAE"`: the rows of our tables.
        datasets (`tuple[str, ...]`):
            Datasets whose train split the weights have seen; empty where the checkpoint does not tell.
        checkpoint (`str`, *optional*):
            Name of the checkpoint, without the path of this machine.
    """

    method: str
    datasets: tuple[str, ...] = ()
    checkpoint: str | None = None

    def is_in_domain(self, dataset: str) -> bool:
        """Whether the weights have seen the train split of the dataset that they are measured on.

        Args:
            dataset (`str`):
                Name of the dataset.

        Returns:
            `bool`: Such a result must not stand in the paper's row, whose models have seen ShapeNet alone.
        """
        return dataset in self.datasets

    def describe(self, dataset: str) -> str:
        """Say in words where the weights come from.

        Args:
            dataset (`str`):
                Name of the dataset that they are measured on.

        Returns:
            `str`: Such as `"Joint-MAE on modelnet40 (in-domain)"`.
        """
        if self.method == "from scratch":
            return self.method
        seen = " and ".join(f"{name} (in-domain)" if name == dataset else name for name in self.datasets)
        return f"{self.method} on {seen or 'data that the checkpoint does not name'}"


def read_pre_training(checkpoint: str | os.PathLike[str] | None) -> CheckpointProvenance:
    """Read from a checkpoint how it was pre-trained: `config.json` tells the method, `results.json` the data.

    Args:
        checkpoint (`str` or `os.PathLike`, *optional*):
            Folder or id on the Hub; `None` for random weights.

    Returns:
        `CheckpointProvenance`: What is known.

    Raises:
        FileNotFoundError: If the checkpoint has no configuration.
        OSError: If there is no such checkpoint.
    """
    if checkpoint is None:
        return CheckpointProvenance("from scratch")
    config = _read_json(checkpoint, "config.json")
    run = _read_json(checkpoint, "results.json", is_needed=False).get("run", {})
    return CheckpointProvenance(
        method="Joint-MAE" if config.get("use_2d_branch", True) else "3D only",
        datasets=tuple(data["name"] for data in run.get("training_data", [])),
        checkpoint=os.path.basename(os.path.abspath(checkpoint)) if os.path.isdir(checkpoint) else str(checkpoint),
    )


def _read_json(checkpoint: str | os.PathLike[str], name: str, is_needed: bool = True) -> dict[str, Any]:
    """Return the content of a file of the checkpoint; nothing where a file that is not needed is absent."""
    path = cached_file(checkpoint, name, _raise_exceptions_for_missing_entries=False)
    if path is None and is_needed:
        raise FileNotFoundError(f"`checkpoint` must hold {name}, got {os.fspath(checkpoint)!r} without.")
    if path is None:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)
