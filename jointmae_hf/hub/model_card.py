"""Model cards from what was measured: a fact that is missing is left out."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from string import Template
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from jointmae_hf.evaluation import Result

from .model_card_facts import ModelCardFacts, TrainingData, facts_from_run


TAGS = ("point-cloud", "3d", "masked-autoencoder", "self-supervised-learning", "joint-mae")
# The Hub has a pipeline tag for features, none for classes or parts of point clouds: those become plain tags.
HEAD_TAGS = {
    "JointMAEForPointCloudClassification": "point-cloud-classification",
    "JointMAEForPointCloudSegmentation": "point-cloud-segmentation",
}
PURPOSES = {
    "point-cloud-classification": "It gives a point cloud one class.",
    "point-cloud-segmentation": "It gives every point of a cloud one part.",
    "feature-extraction": (
        "Pre-trained without labels: it hides most of a point cloud and of its projected depth map, and reconstructs "
        "both. Downstream it reads points alone and gives one feature vector per cloud, or a start for fine-tuning."
    ),
}
AUTO_CLASSES = {  # Task to auto class, its import, and the line that uses the model.
    "point-cloud-classification": (
        "AutoModelForPointCloudClassification",
        "from jointmae_hf import AutoModelForPointCloudClassification",
        "classes = model(**inputs).logits.argmax(dim=-1)  # (batch_size,)",
    ),
    "point-cloud-segmentation": (
        "AutoModelForPointCloudSegmentation",
        "from jointmae_hf import AutoModelForPointCloudSegmentation",
        "parts = model(**inputs).logits.argmax(dim=-1)  # (batch_size, num_points)",
    ),
    "feature-extraction": (
        "AutoModel",
        "import jointmae_hf  # registers the model",
        "features = model(**inputs).pooler_output  # (batch_size, hidden_size)",
    ),
}
GENERAL_LIMITS = (
    "Coordinates only: colour, normals and intensity are not read.",
    "Not invariant to rotation: a cloud whose up axis is not y is another input.",
    "One object per cloud, scaled to the unit sphere: absolute size is lost, and a scene must be cut into objects.",
)


def render_model_card(facts: ModelCardFacts) -> str:
    """Write the card of a checkpoint.

    Args:
        facts ([`ModelCardFacts`]):
            What is known. What is not known does not appear.

    Returns:
        `str`: Content of `README.md`, metadata first.
    """
    sections = {
        "metadata": _metadata(facts).to_yaml().strip(),
        "title": _model_name(facts),
        "description": PURPOSES[_task(facts)],
        "figure": f"![Input, hidden part and reconstruction]({facts.figure})" if facts.figure else "",
        "num_points": f"Training used {facts.num_points:,} points per cloud." if facts.num_points else "",
        "usage": _usage(facts),
        "training_data": _section("Training data", [_training_data_line(data) for data in facts.training_data]),
        "recipe": _section("Recipe", _table(["setting", "value"], [[f"`{k}`", v] for k, v in facts.recipe.items()])),
        "results": _section("Results", _results_table(facts)),
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


def _task(facts: ModelCardFacts) -> str:
    """Return the task of the architecture, in the words of the Hub's tags."""
    return HEAD_TAGS.get(facts.architecture, "feature-extraction")


def _metadata(facts: ModelCardFacts) -> ModelCardData:
    """Return the YAML block."""
    task = _task(facts)
    is_head = facts.architecture in HEAD_TAGS
    results = [_eval_result(result, task) for result in facts.results]
    return ModelCardData(
        model_name=_model_name(facts),
        license=facts.license,
        library_name="transformers",
        pipeline_tag=None if is_head else task,
        tags=[*TAGS, *([task] if is_head else [])],
        datasets=[data.hub_id for data in facts.training_data if data.hub_id] or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        base_model=facts.base_model,
        eval_results=results or None,
    )


def _eval_result(result: Result, task: str) -> EvalResult:
    """Return an entry of the `model-index`."""
    return EvalResult(
        task_type=task,
        dataset_type=re.sub(r"[^a-z0-9]+", "-", result.dataset.lower()).strip("-"),
        dataset_name=result.dataset,
        dataset_split=result.split,
        metric_type="accuracy" if "accuracy" in result.name else result.name,
        metric_name=f"{result.name} ({result.unit}), seed {result.seed}",
        metric_value=result.value,
    )


def _model_name(facts: ModelCardFacts) -> str:
    """Return the id without its owner."""
    return facts.model_id.rpartition("/")[2]


def _usage(facts: ModelCardFacts) -> str:
    """Return a snippet that loads the checkpoint and calls it."""
    auto_class, first_line, last_line = AUTO_CLASSES[_task(facts)]
    names = "AutoModel, AutoProcessor" if auto_class == "AutoModel" else "AutoProcessor"
    lines = [
        "```python",
        first_line,
        f"from transformers import {names}",
        "",
        f'processor = AutoProcessor.from_pretrained("{facts.model_id}")',
        f'model = {auto_class}.from_pretrained("{facts.model_id}")',
        'inputs = processor(cloud, return_tensors="pt")  # an array, a tensor or a list of them',
        last_line,
        "```",
    ]
    return "\n".join(lines)


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


def _results_table(facts: ModelCardFacts) -> list[str]:
    """Return one row per result; a column for the paper's numbers where there are any."""
    header = ["measure", "data set", "split", "value", "selection", "seed", "train", "test"]
    rows = [
        [
            r.name,
            r.dataset,
            r.split,
            _number(r.value, r.unit),
            r.selection_rule,
            r.seed,
            f"{r.num_train:,}",
            f"{r.num_test:,}",
        ]
        for r in facts.results
    ]
    if any(result.name in facts.paper_values for result in facts.results):
        header.insert(4, "paper")
        for row, result in zip(rows, facts.results, strict=True):
            value = facts.paper_values.get(result.name)
            row.insert(4, "" if value is None else _number(value, result.unit))
    return _table(header, rows)


def _number(value: float, unit: str) -> str:
    """Return a value with its unit: two decimals for a per cent, else four digits."""
    if unit in ("%", "percent"):
        return f"{value:.2f} %"
    return f"{value:.4g}" if unit == "fraction" else f"{value:,.4g} {unit}"


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
