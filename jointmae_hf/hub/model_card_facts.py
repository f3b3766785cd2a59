"""What a model card can tell about a checkpoint, and reading it from the output folder of a run."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jointmae_hf.evaluation import Result, read_results


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
        num_points (`int`, *optional*):
            Points per cloud in training.
        training_data (sequence of [`TrainingData`], *optional*):
            What the weights have seen.
        recipe (`Mapping[str, Any]`, *optional*):
            Name to value, in the order of the table.
        results (sequence of [`Result`], *optional*):
            What was measured. They also become the `model-index`.
        paper_values (`Mapping[str, float]`, *optional*):
            Name of a result to the number in the paper, in the unit of the result.
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
    num_points: int | None = None
    training_data: Sequence[TrainingData] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)
    results: Sequence[Result] = ()
    paper_values: Mapping[str, float] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)
    limits: Sequence[str] = ()
    figure: str | None = None
    base_model: str | None = None

    def __post_init__(self) -> None:
        if self.figure is not None and (Path(self.figure).is_absolute() or ".." in Path(self.figure).parts):
            raise ValueError(f"`figure` must be a path relative to the card, got {self.figure!r}.")


def facts_from_run(output_dir: str | os.PathLike[str]) -> ModelCardFacts:
    """Read the facts that a run left in its output folder.

    `config.json` gives the architecture, `results.json` the results, the run and, under `recipe` and `training_data`
    of the run, what it was trained by and on. The first of `figure.png` and `reconstruction.png` becomes the figure;
    `preprocessor_config.json` gives the number of points. Only `config.json` is required.

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
    return ModelCardFacts(
        model_id=folder.name,
        architecture=(config.get("architectures") or [ModelCardFacts.architecture])[0],
        num_points=processor.get("num_points"),
        training_data=[TrainingData(**data) for data in run.get("training_data", [])],
        recipe=run.get("recipe", {}),
        results=results,
        run=run,
        figure=pictures[0] if pictures else None,
        base_model=run.get("base_model"),
    )
