"""Facts on a model card, collected from the output folder of a run or from a preset."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from jointmae_hf.data.licenses import describe_licenses
from jointmae_hf.evaluation import Result, read_results
from jointmae_hf.model import JointMAEConfig, JointMAEForPreTraining


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
"""More fields on the cards of pre-training models."""


@dataclass(frozen=True)
class TrainingData:
    """A dataset that the weights were trained on.

    Args:
        name (`str`):
            Name given by its authors.
        license (`str`, *optional*):
            License of the data.
        url (`str`, *optional*):
            Home page.
        num_samples (`int`, *optional*):
            Number of clouds used for training.
        hub_id (`str`, *optional*):
            Id on the Hub, such as `"owner/name"`.
        licenses (`Mapping[str, int]`, *optional*):
            Number of clouds by license, where each cloud has its own.
        credits (sequence of `Mapping[str, Any]`, *optional*):
            `license`, `credit` and `num_samples` of each credit that such a license asks for.
        share (`float`, *optional*):
            Share of the training clouds that came from it, in a mixture of several datasets.
        num_drawn (`int`, *optional*):
            How many those were, counting a cloud each time it came.
    """

    name: str
    license: str | None = None
    url: str | None = None
    num_samples: int | None = None
    hub_id: str | None = None
    licenses: Mapping[str, int] = field(default_factory=dict)
    credits: Sequence[Mapping[str, Any]] = ()
    share: float | None = None
    num_drawn: int | None = None

    @classmethod
    def from_split(cls, name: str, split: Any) -> "TrainingData":
        """Describe a split that was used for training.

        Args:
            name (`str`):
                Name of the dataset.
            split (`datasets.Dataset`, `datasets.IterableDataset` or a dataset for torch):
                What the weights are trained on. Its `info` holds license and home page, its columns `license` and `credit`
                those of single clouds.

        Returns:
            `TrainingData`: What `describe_licenses` finds.

        Raises:
            ValueError: If a cloud lacks a license that others have, see `count_licenses`.
        """
        return cls(name, **describe_licenses(split))


@dataclass(frozen=True)
class ModelCardFacts:
    """What is known about a checkpoint.

    Args:
        model_id (`str`):
            Id on the Hub, such as `"owner/jointmae-base"`.
        architecture (`str`, *optional*, defaults to `"JointMAEForPreTraining"`):
            Class of the model in `config.json`.
        license (`str`, *optional*, defaults to `"apache-2.0"`):
            License of the weights.
        revision (`str`, *optional*):
            Tag of the version that the card describes; the example code then loads it.
        preset (`str`, *optional*):
            Name of the configuration if the card describes a configuration without weights.
        settings (`Mapping[str, Any]`, *optional*):
            Fields of the configuration.
        num_parameters (`int`, *optional*):
            Number of parameters of the model.
        labels (sequence of `str`, *optional*):
            Names of the classes or parts of a head.
        has_categories (`bool`, *optional*, defaults to `False`):
            Whether a segmentation model takes the category of the object.
        num_points (`int`, *optional*):
            Points per cloud in training.
        training_data (sequence of [`TrainingData`], *optional*):
            Datasets that the weights were trained on.
        recipe (`Mapping[str, Any]`, *optional*):
            Name to value, in the order of the table.
        results (sequence of [`Result`], *optional*):
            What was measured. Accuracies and mIoU are also added to the `model-index`.
        run (`Mapping[str, Any]`, *optional*):
            Facts of [`collect_run_facts`].
        limits (sequence of `str`, *optional*):
            Limits in addition to those of every checkpoint.
        figure (`str`, *optional*):
            Path of a figure, relative to the card.
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
    """Collect the facts in the output folder of a run.

    Architecture and settings come from `config.json`, the number of points from `preprocessor_config.json`, the number of
    parameters from the headers of the weights, and results, environment, `recipe`, `training_data` and `base_model` from
    `results.json`. The figure is `figure.png`, or else `reconstruction.png`. Only `config.json` is required.

    Args:
        output_dir (`str` or `os.PathLike`):
            Output folder; its name becomes the name of the model.

    Returns:
        [`ModelCardFacts`]: Add further facts with `dataclasses.replace`.

    Raises:
        FileNotFoundError: If there is no `config.json`.
    """
    folder = Path(output_dir).resolve()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    results_path, processor_path = folder / "results.json", folder / "preprocessor_config.json"
    results, run = read_results(results_path) if results_path.is_file() else ([], {})
    processor = json.loads(processor_path.read_text(encoding="utf-8")) if processor_path.is_file() else {}
    figures = [name for name in ("figure.png", "reconstruction.png") if (folder / name).is_file()]
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
        figure=figures[0] if figures else None,
        base_model=run.get("base_model"),
    )


def facts_from_preset(name: str) -> ModelCardFacts:
    """Collect the facts about a configuration without weights.

    Args:
        name (`str`):
            Name of the preset, such as `"jointmae-base"`, see [`JointMAEConfig.from_preset`].

    Returns:
        [`ModelCardFacts`]: Settings, size and number of points; no training data and no results.

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
    """Return the fields of the configuration that a card shows."""
    is_pretrained = architecture == "JointMAEForPreTraining"
    names = (*SETTINGS, *(PRETRAINING_SETTINGS if is_pretrained else ()))
    return {name: config[name] for name in names if name in config}


def _labels(config: Mapping[str, Any]) -> list[str]:
    """Return the names of classes or parts, empty for the placeholders of transformers."""
    names = [name for _, name in sorted((int(index), name) for index, name in config.get("id2label", {}).items())]
    return [] if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names


def _count_parameters(folder: Path) -> int | None:
    """Count the parameters in the headers of the weights, without the statistics of batch norms."""
    statistics, num_parameters = ("running_mean", "running_var", "num_batches_tracked"), 0
    for path in sorted(folder.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            shapes = {name: weights.get_slice(name).get_shape() for name in sorted(weights.keys())}
        num_parameters += sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(statistics))
    return num_parameters or None
