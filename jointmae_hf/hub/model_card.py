"""Model cards from what was measured: a fact that is missing is left out."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template
from typing import Any

from huggingface_hub import ModelCardData

from .model_card_facts import ModelCardFacts, TrainingData, facts_from_run
from .model_card_results import model_index, results_sections
from .model_card_usage import HEAD_TASKS, render_usage, task_of


TAGS = ("point-cloud", "3d", "masked-autoencoder", "self-supervised-learning", "joint-mae")
"""Tags of every card."""

PURPOSES = {
    "JointMAEForPreTraining": (
        "Pre-training needs no labels: it hides most of a point cloud and of its projected depth map, and reconstructs "
        "both. Downstream it reads points alone and gives one feature vector per cloud, or a start for fine-tuning."
    ),
    "JointMAEModel": (
        "It is the encoder: from points alone it gives one feature vector per cloud and one per group of points; with a "
        "depth map and its view it encodes both."
    ),
    "JointMAEForPointCloudClassification": "It gives a point cloud one class.",
    "JointMAEForPointCloudSegmentation": "It gives every point of a cloud one part.",
}
"""What a model is for, by its class."""

GENERAL_LIMITS = (
    "Coordinates only: colour, normals and intensity are not read.",
    "Not invariant to rotation: a cloud whose up axis is not y is another input.",
    "One object per cloud, scaled to the unit sphere: absolute size is lost, and a scene must be cut into objects.",
)
"""Limits of every checkpoint."""

NOT_RELEASED = "**The weights of this configuration are not released yet**, and nothing was measured with them."
"""Said on the card of a configuration without weights."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def render_model_card(facts: ModelCardFacts) -> str:
    """Write the card of a checkpoint.

    Args:
        facts ([`ModelCardFacts`]):
            What is known. What is not known does not appear.

    Returns:
        `str`: Content of `README.md`, metadata first.

    Raises:
        ValueError: If two results contradict each other, see [`merge_seeds`].
    """
    sections = {
        "metadata": _metadata(facts).to_yaml().strip(),
        "title": _model_name(facts),
        "notice": NOT_RELEASED if facts.preset is not None else "",
        "description": PURPOSES.get(facts.architecture, ""),
        "figure": f"![Input, hidden part and reconstruction]({facts.figure})" if facts.figure else "",
        "model": _section("Model", _model_lines(facts)),
        "num_points": _num_points(facts),
        "usage": render_usage(facts),
        "training_data": _section("Training data", [_training_data_line(data) for data in facts.training_data]),
        "recipe": _section("Recipe", _table(["setting", "value"], [[f"`{k}`", v] for k, v in facts.recipe.items()])),
        "results": _section("Results", results_sections(facts.results)),
        "environment": _section("Environment", _environment(facts.run)),
        "limits": "\n".join(f"- {limit}" for limit in (*GENERAL_LIMITS, *facts.limits)),
    }
    template = files(__package__).joinpath("model_card_template.md").read_text(encoding="utf-8")
    card = Template(template).substitute(sections)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+$", "", card, flags=re.MULTILINE))


def card_from_run(output_dir: str | os.PathLike[str], **known_facts: Any) -> str:
    """Write the card of the checkpoint in the output folder of a run.

    Args:
        output_dir (`str` or `os.PathLike`):
            See [`facts_from_run`].
        known_facts (`Any`):
            Fields of [`ModelCardFacts`] that the folder cannot tell, such as `model_id`; they win.

    Returns:
        `str`: Content of `README.md`.
    """
    return render_model_card(replace(facts_from_run(output_dir), **known_facts))


def _metadata(facts: ModelCardFacts) -> ModelCardData:
    """Return the YAML block."""
    task, is_head = task_of(facts), facts.architecture in HEAD_TASKS
    results = model_index(facts.results)
    base_model = facts.base_model if facts.base_model and _HUB_ID.fullmatch(facts.base_model) else None
    return ModelCardData(
        model_name=_model_name(facts),
        license=facts.license,
        library_name="transformers",
        pipeline_tag=None if is_head else task,
        tags=[*TAGS, *([task] if is_head else [])],
        datasets=[data.hub_id for data in facts.training_data if data.hub_id] or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        base_model=base_model,
        eval_results=results or None,
    )


def _model_name(facts: ModelCardFacts) -> str:
    """Return the id without its owner."""
    return facts.model_id.rpartition("/")[2]


def _model_lines(facts: ModelCardFacts) -> list[str]:
    """Return class, size, fields of the configuration and labels."""
    rows: list[list[Any]] = [[f"`{name}`", value] for name, value in facts.settings.items()]
    if facts.num_parameters is not None:
        rows.insert(0, ["parameters", f"{facts.num_parameters:,}"])
    if not rows and not facts.labels:
        return []
    lines = [f"Class `{facts.architecture}`.", "", *_table(["setting", "value"], rows)]
    if facts.base_model:
        lines += ["", f"Fine-tuned from `{facts.base_model}`."]
    if facts.labels:
        what = "Parts" if task_of(facts) == "point-cloud-segmentation" else "Classes"
        lines += ["", f"{what}, {len(facts.labels)}: {', '.join(facts.labels)}."]
    return lines


def _num_points(facts: ModelCardFacts) -> str:
    """Return how many points the processor takes."""
    if facts.num_points is None:
        return ""
    return f"Of each cloud it takes {facts.num_points:,} points, which it repeats if there are fewer."


def _section(heading: str, lines: Sequence[str]) -> str:
    """Return a section, or nothing where there is nothing to say."""
    return "\n".join([f"## {heading}", "", *lines]) if lines else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Return the lines of a Markdown table, none without rows."""
    if not rows:
        return []
    cells = [[re.sub(r"\s+", " ", str(cell)).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *cells)]


def _training_data_line(data: TrainingData) -> str:
    """Return an item on a data set and its licence."""
    name = f"[{data.name}]({data.url})" if data.url else data.name
    count = f", {data.num_samples:,} clouds" if data.num_samples is not None else ""
    return f"- {name}{count}{f', licence: {data.licence}' if data.licence else ''}"


def _environment(run: Mapping[str, Any]) -> list[str]:
    """Return items on code, machine and time, as far as they are known."""
    hardware, versions = run.get("hardware") or {}, run.get("versions") or {}
    commit = f"`{run['commit']}`" if run.get("commit") else None
    if commit and run.get("has_uncommitted_changes"):
        commit += ", with uncommitted changes"
    facts = {
        "command": f"`{run['command']}`" if run.get("command") else None,
        "commit": commit,
        "hardware": ", ".join(str(hardware[key]) for key in ("gpu", "cpu") if hardware.get(key)),
        "CPU cores": hardware.get("num_cores"),
        "seconds": run.get("seconds"),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items() if number),
    }
    return [f"- {name}: {fact}" for name, fact in facts.items() if fact]
