"""What a model card can tell about a checkpoint, and reading it from the output folder of a run or from a preset."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from jointmae_hf.evaluation import Result, read_results
from jointmae_hf.model import JointMAEConfig, JointMAEForPreTraining


if TYPE_CHECKING:
    from datasets import Dataset


SETTINGS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "num_groups", "group_size")
"""Fields of the configuration on every card."""

PRETRAINING_SETTINGS = (
    "neighborhood",
    "mask_ratio",
    "use_2d_branch",
    "image_size",
    "num_views",
    "projection_mode",
    "loss_3d_weight",
    "loss_2d_weight",
    "loss_3d_2d_weight",
)
"""Fields on the cards of models that were pre-trained, beside `SETTINGS`."""


@dataclass(frozen=True)
class TrainingData:
    """A data set that the weights have seen.

    Args:
        name (`str`):
            As its authors call it.
        licence (`str`, *optional*):
            Of the data.
        url (`str`, *optional*):
            Where it comes from.
        num_samples (`int`, *optional*):
            Clouds used for training.
        hub_id (`str`, *optional*):
            Its id on the Hub, such as `"owner/name"`.
    """

    name: str
    licence: str | None = None
    url: str | None = None
    num_samples: int | None = None
    hub_id: str | None = None

    @classmethod
    def from_split(cls, name: str, split: "Dataset") -> "TrainingData":
        """Describe the split of a dataset that was trained on, with the terms that the dataset knows.

        Args:
            name (`str`):
                Of the dataset.
            split (`datasets.Dataset`):
                See [`load_point_clouds`].

        Returns:
            `TrainingData`: Name, licence, source and number of clouds.
        """
        return cls(name, split.info.license or None, split.info.homepage or None, len(split))


@dataclass(frozen=True)
class ModelCardFacts:
    """What is known about a checkpoint.

    Args:
        model_id (`str`):
            Id on the Hub, such as `"owner/jointmae-base"`.
        architecture (`str`, *optional*, defaults to `"JointMAEForPreTraining"`):
            Class of the model in `config.json`.
        license (`str`, *optional*, defaults to `"apache-2.0"`):
            Of the weights.
        revision (`str`, *optional*):
            Tag of the version that the card describes; usage then names it.
        preset (`str`, *optional*):
            Name of the configuration if the card describes a configuration without weights.
        settings (`Mapping[str, Any]`, *optional*):
            Fields of the configuration.
        num_parameters (`int`, *optional*):
            Of the model.
        labels (sequence of `str`, *optional*):
            Classes or parts that a head tells apart.
        has_categories (`bool`, *optional*, defaults to `False`):
            Whether a segmentation model is told the object category.
        num_points (`int`, *optional*):
            Points per cloud in training.
        training_data (sequence of [`TrainingData`], *optional*):
            What the weights have seen.
        recipe (`Mapping[str, Any]`, *optional*):
            Name to value, in the order of the table.
        results (sequence of [`Result`], *optional*):
            What was measured. Accuracies and mIoU also become the `model-index`.
        run (`Mapping[str, Any]`, *optional*):
            Facts of [`collect_run_facts`].
        limits (sequence of `str`, *optional*):
            Beside those that hold for every checkpoint.
        figure (`str`, *optional*):
            Path of a picture, relative to the card.
        base_model (`str`, *optional*):
            Id of the checkpoint that was fine-tuned.
    """

    model_id: str
    architecture: str = "JointMAEForPreTraining"
    license: str = "apache-2.0"
    revision: str | None = None
    preset: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_parameters: int | None = None
    labels: Sequence[str] = ()
    has_categories: bool = False
    num_points: int | None = None
    training_data: Sequence[TrainingData] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    results: Sequence[Result] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    limits: Sequence[str] = ()
    figure: str | None = None
    base_model: str | None = None

    def __post_init__(self) -> None:
        if self.figure is not None and (Path(self.figure).is_absolute() or ".." in Path(self.figure).parts):
            raise ValueError(f"`figure` must be a path relative to the card, got {self.figure!r}.")
        if self.preset is not None and self.results:
            raise ValueError(f"`results` must be empty for a configuration without weights, got {len(self.results)}.")


def facts_from_run(output_dir: str | os.PathLike[str]) -> ModelCardFacts:
    """Read the facts that a run left in its output folder.

    `config.json` gives the architecture, `results.json` the results, the run and, under `recipe`, `training_data` and
    `base_model` of the run, what it was trained by, on and from. The first of `figure.png` and `reconstruction.png`
    becomes the figure; `preprocessor_config.json` gives the number of points, the header of the weights the number of
    parameters. Only `config.json` is required.

    Args:
        output_dir (`str` or `os.PathLike`):
            Output folder; its name becomes the name of the model.

    Returns:
        [`ModelCardFacts`]: To complete by `dataclasses.replace`.

    Raises:
        FileNotFoundError: If there is no `config.json`.
    """
    folder = Path(output_dir).resolve()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    results_path, processor_path = folder / "results.json", folder / "preprocessor_config.json"
    results, run = read_results(results_path) if results_path.is_file() else ([], {})
    processor = json.loads(processor_path.read_text(encoding="utf-8")) if processor_path.is_file() else {}
    pictures = [name for name in ("figure.png", "reconstruction.png") if (folder / name).is_file()]
    architecture = (config.get("architectures") or [ModelCardFacts.architecture])[0]
    return ModelCardFacts(
        model_id=folder.name,
        architecture=architecture,
        settings=_settings(config, architecture),
        num_parameters=_count_parameters(folder),
        labels=_labels(config),
        has_categories=config.get("category_labels") is not None,
        num_points=processor.get("num_points"),
        training_data=[TrainingData(**data) for data in run.get("training_data", [])],
        recipe=run.get("recipe", {}),
        results=results,
        run=run,
        figure=pictures[0] if pictures else None,
        base_model=run.get("base_model"),
    )


def facts_from_preset(name: str) -> ModelCardFacts:
    """Tell what is known about a configuration before there are weights.

    Args:
        name (`str`):
            Such as `"jointmae-base"`, see [`JointMAEConfig.from_preset`].

    Returns:
        [`ModelCardFacts`]: Without training and without results.

    Raises:
        ValueError: If there is no such preset.
    """
    config = JointMAEConfig.from_preset(name)
    with torch.device("meta"):
        model = JointMAEForPreTraining(config)
    return ModelCardFacts(
        model_id=name,
        preset=name,
        settings=_settings(config.to_dict(), ModelCardFacts.architecture),
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_points=config.num_points,
    )


def _settings(config: Mapping[str, Any], architecture: str) -> dict[str, Any]:
    """Return the fields of the configuration that a reader looks for."""
    is_pretrained = architecture == "JointMAEForPreTraining"
    names = (*SETTINGS, *(PRETRAINING_SETTINGS if is_pretrained else ()))
    return {name: config[name] for name in names if name in config}


def _labels(config: Mapping[str, Any]) -> list[str]:
    """Return the names of classes or parts, none if they are transformers' placeholders."""
    names = [name for _, name in sorted((int(index), name) for index, name in config.get("id2label", {}).items())]
    return [] if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names


def _count_parameters(folder: Path) -> int | None:
    """Count the parameters from the headers of the weights; statistics of batch norms are none."""
    statistics, counts = ("running_mean", "running_var", "num_batches_tracked"), []
    for path in sorted(folder.glob("model*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        counts += [math.prod(e["shape"]) for name, e in tensors.items() if not name.endswith(statistics)]
    return sum(counts) or None
