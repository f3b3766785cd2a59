"""How and on what a checkpoint was pre-trained, so that each result appears in the right row of a table."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers.utils import cached_file


MAX_NAMES = 3
"""Datasets above which a description names only one."""


@dataclass(frozen=True)
class CheckpointProvenance:
    """Describe how the weights of a checkpoint were pre-trained.

    Args:
        method (`str`):
            `"from scratch"`, `"3D only"` or `"Joint-MAE"`, the rows of our tables.
        datasets (`tuple[str, ...]`):
            Datasets whose train split was used; empty if the checkpoint does not say.
        checkpoint (`str`, *optional*):
            Name of the checkpoint, without its local path.
        training_data (`tuple[Mapping[str, Any], ...]`, *optional*):
            What `results.json` next to the weights records about these datasets, with licenses and credits.
    """

    method: str
    datasets: tuple[str, ...] = ()
    checkpoint: str | None = None
    training_data: tuple[Mapping[str, Any], ...] = ()

    def describe(self, dataset: str) -> str:
        """Describe where the weights come from; in-domain results are not comparable with the paper's.

        Args:
            dataset (`str`):
                Name of the dataset that they are evaluated on.

        Returns:
            `str`: A phrase such as `"Joint-MAE on modelnet40 (in-domain)"`. Of more than three datasets it names one, that of
            the evaluation if it is among them, and counts the others.
        """
        if self.method == "from scratch":
            return self.method
        names = sorted(self.datasets, key=lambda name: name != dataset)  # the one that matters first, else as recorded
        seen = [f"{name} (in-domain)" if name == dataset else name for name in names]
        if len(seen) > MAX_NAMES:
            seen = [seen[0], f"{len(seen) - 1} other datasets"]
        return f"{self.method} on {' and '.join(seen) or 'unknown data'}"

    def training_facts(self, data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what `results.json` records of weights that go on from this checkpoint.

        Args:
            data (`Sequence[Mapping[str, Any]]`):
                Datasets that the weights were trained on since, each with its `name`.

        Returns:
            `dict[str, Any]`: `training_data`, first what only the checkpoint has seen; and `base_model` if it is on the Hub.
        """
        names = {one["name"] for one in data}
        earlier = [dict(one) for one in self.training_data if one["name"] not in names]
        for one in earlier:
            one.pop("share", None)  # of the batches of that run alone
        facts: dict[str, Any] = {"training_data": [*earlier, *data]}
        # The name of a local checkpoint would not help others.
        if self.checkpoint and "/" in self.checkpoint:
            facts["base_model"] = self.checkpoint
        return facts


def read_provenance(checkpoint: str | os.PathLike[str] | None) -> CheckpointProvenance:
    """Read how a checkpoint was pre-trained: the method from `config.json`, the data from `results.json`.

    Args:
        checkpoint (`str` or `os.PathLike`, *optional*):
            Local folder or Hub id; `None` for random weights.

    Returns:
        [`CheckpointProvenance`]: Method, datasets and name.

    Raises:
        FileNotFoundError: If the checkpoint has no configuration.
        OSError: If the checkpoint does not exist.
    """
    if checkpoint is None:
        return CheckpointProvenance("from scratch")
    config = _read_json(checkpoint, "config.json")
    run = _read_json(checkpoint, "results.json", is_required=False).get("run", {})
    return CheckpointProvenance(
        method="Joint-MAE" if config.get("use_2d_branch", True) else "3D only",
        datasets=tuple(data["name"] for data in run.get("training_data", [])),
        training_data=tuple(run.get("training_data", [])),
        checkpoint=os.path.basename(os.path.abspath(checkpoint)) if os.path.isdir(checkpoint) else str(checkpoint),
    )


def _read_json(checkpoint: str | os.PathLike[str], name: str, is_required: bool = True) -> dict[str, Any]:
    """Load a JSON file of the checkpoint; return an empty dictionary if an optional one is missing."""
    path = cached_file(checkpoint, name, _raise_exceptions_for_missing_entries=False)
    if path is None and is_required:
        raise FileNotFoundError(f"`checkpoint` must contain {name}, got {os.fspath(checkpoint)!r} without it.")
    if path is None:
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)
