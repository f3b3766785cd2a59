"""Model cards: the template filled with the facts of a checkpoint, and their results as the Hub's `model-index`."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from jointmae_hf.evaluation import Result, merge_seeds, render_results
from jointmae_hf.evaluation.tables import BASELINES

from .credits import CREDITS_NAME, credits_summary, license_notices, render_credits
from .model_card_facts import ModelCardFacts, TrainingData, facts_from_run


TAGS = ("point-cloud", "3d", "masked-autoencoder", "self-supervised-learning", "joint-mae")
"""Tags of every card."""

HEAD_TASKS = {
    "JointMAEForPointCloudClassification": "point-cloud-classification",
    "JointMAEForPointCloudSegmentation": "point-cloud-segmentation",
}
"""Task of each model with a head. The Hub has a pipeline tag for features, none for classes or parts of point clouds."""

PURPOSES = {
    "JointMAEForPreTraining": (
        "Pre-training needs no labels: it hides most of a point cloud and of its projected depth map, and reconstructs "
        "both. Downstream, the encoder reads points alone: it returns one feature vector per cloud, or is fine-tuned."
    ),
    "JointMAEModel": (
        "This is the encoder: from points alone it returns one feature vector per cloud and one per group of points; "
        "with a depth map and its view it encodes both."
    ),
    "JointMAEForPointCloudClassification": "It assigns one class to a point cloud.",
    "JointMAEForPointCloudSegmentation": "It assigns one part to every point of a cloud.",
}
"""Purpose of a model by its class."""

LOSS_KINDS = {"learned": "", "trivial": "_trivial", "perfect": "_perfect"}
"""Column of the table of losses to the suffix of a result's name."""

LOSS_REFERENCES = "*Trivial* is a predictor that has learned nothing, *perfect* returns every group exactly."
"""Note below a table of losses with references."""

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def render_model_card(facts: ModelCardFacts) -> ModelCard:
    """Render the card of a checkpoint.

    Args:
        facts ([`ModelCardFacts`]):
            What is known. Unknown facts are left out.

    Returns:
        `huggingface_hub.ModelCard`: Metadata in `data`, Markdown in `text`; `save` writes the file.

    Raises:
        ValueError: If two results contradict each other, see [`merge_seeds`].
    """
    auto_class, package_import = "AutoModel", "import jointmae_hf  # registers its classes with transformers"
    if facts.architecture in HEAD_TASKS:
        auto_class = facts.architecture.replace("JointMAE", "AutoModel")
        package_import = f"from jointmae_hf import {auto_class}"
    return ModelCard.from_template(
        _metadata(facts),
        template_str=files(__package__).joinpath("model_card_template.md").read_text(encoding="utf-8"),
        facts=facts,
        title=_model_name(facts),
        task=HEAD_TASKS.get(facts.architecture),
        purpose=PURPOSES.get(facts.architecture),
        settings=_settings_table(facts),
        auto_class=auto_class,
        package_import=package_import,
        training_data=[_training_data_line(data) for data in facts.training_data],
        notices=license_notices(facts.training_data),
        credits=credits_summary(facts.training_data),
        recipe=_table(["setting", "value"], [[f"`{name}`", value] for name, value in facts.recipe.items()]),
        results=_results(facts.results),
        environment=_environment(facts.run),
    )


def card_from_run(output_dir: str | os.PathLike[str], **known_facts: Any) -> ModelCard:
    """Render the card of the checkpoint in the output folder of a run.

    Args:
        output_dir (`str` or `os.PathLike`):
            See [`facts_from_run`].
        known_facts (`Any`):
            Fields of [`ModelCardFacts`] that override what the folder contains, such as `model_id`.

    Returns:
        `huggingface_hub.ModelCard`: See [`render_model_card`].
    """
    return render_model_card(replace(facts_from_run(output_dir), **known_facts))


def write_card(
    folder: str | os.PathLike[str], output_dir: str | os.PathLike[str] | None = None, **known_facts: Any
) -> Path:
    """Write the card of a checkpoint, and `CREDITS.md` if its data ask for more credits than a card has room for.

    Args:
        folder (`str` or `os.PathLike`):
            Output folder of a run, see [`facts_from_run`].
        output_dir (`str` or `os.PathLike`, *optional*):
            Where to write; defaults to `folder`.
        known_facts (`Any`):
            As in [`card_from_run`].

    Returns:
        `pathlib.Path`: The card, `README.md`.
    """
    output_dir = Path(folder if output_dir is None else output_dir)
    facts = replace(facts_from_run(folder), **known_facts)
    credits, path = render_credits(_model_name(facts), facts.training_data), output_dir / CREDITS_NAME
    path.unlink(missing_ok=True)
    if credits is not None:
        path.write_text(credits, encoding="utf-8")
    render_model_card(facts).save(output_dir / "README.md")
    return output_dir / "README.md"


def _metadata(facts: ModelCardFacts) -> ModelCardData:
    """Return the metadata of the card."""
    head_task, eval_results = HEAD_TASKS.get(facts.architecture), _eval_results(facts.results)
    has_hub_id = facts.base_model is not None and _HUB_ID.fullmatch(facts.base_model)
    return ModelCardData(
        model_name=_model_name(facts),
        license=facts.license,
        library_name="transformers",
        pipeline_tag=None if head_task else "feature-extraction",
        tags=[*TAGS, *([head_task] if head_task else [])],
        datasets=[data.hub_id for data in facts.training_data if data.hub_id] or None,
        metrics=sorted({result.metric_type for result in eval_results}) or None,
        base_model=facts.base_model if has_hub_id else None,
        eval_results=eval_results or None,
    )


def _model_name(facts: ModelCardFacts) -> str:
    """Return the id without its owner."""
    return facts.model_id.rpartition("/")[2]


def _eval_results(results: Sequence[Result]) -> list[EvalResult]:
    """Return accuracies and mIoU of this checkpoint, without the baselines that it is compared with."""
    methods = {_method(result) for result in results}
    baselines = BASELINES if methods - {"", *BASELINES} else ()
    merged = merge_seeds(result for result in results if _metric_type(result.name) is not None)
    return [_eval_result(result) for result in merged if _method(result) not in baselines]


def _method(result: Result) -> str:
    """Return the method of pre-training without its data."""
    return (result.pre_training or "").partition(" on ")[0]


def _metric_type(name: str) -> str | None:
    """Return the Hub's id of a metric; `None` for losses and for untrained models."""
    if name.endswith("_untrained"):
        return None
    if "accuracy" in name or name == "linear_svm":
        return "accuracy"
    return "mean_iou" if name.endswith("miou") else None


def _eval_result(result: Result) -> EvalResult:
    """Return one entry of the `model-index`; protocol, selection and seeds stand in its name."""
    metric_type = _metric_type(result.name)
    title = result.name.replace("_", " ").replace("svm", "SVM").replace("miou", "mIoU")
    seeds = f"mean of {result.num_runs} runs" if result.num_runs > 1 else f"seed {result.seed}"
    details = [*([result.protocol] if result.protocol else []), result.selection_rule, seeds]
    return EvalResult(
        task_type="point-cloud-segmentation" if metric_type == "mean_iou" else "point-cloud-classification",
        dataset_type=re.sub(r"[^a-z0-9]+", "-", result.dataset.lower()).strip("-"),
        dataset_name=result.dataset,
        dataset_split=result.split,
        metric_type=str(metric_type),
        metric_name=f"{title} ({result.unit}): {'; '.join(details)}",
        metric_value=round(result.value, 4),
    )


def _results(results: Sequence[Result]) -> str:
    """Return the tables of downstream measures and of losses, empty without results."""
    losses = [result for result in results if result.name.partition("_")[0] == "loss"]
    measured = [result for result in results if result not in losses]
    blocks = [render_results(measured).strip()] if measured else []
    return "\n\n".join([*blocks, *_loss_blocks(losses)])


def _loss_blocks(losses: Sequence[Result]) -> list[str]:
    """Return the table of losses next to those of a trivial and a perfect predictor, and a note on them."""
    found = {result.name: result for result in losses}
    references = tuple(suffix for suffix in LOSS_KINDS.values() if suffix)
    learned = [result for result in losses if not result.name.endswith(references)]
    kinds = {
        kind: suffix
        for kind, suffix in LOSS_KINDS.items()
        if any(f"{result.name}{suffix}" in found for result in learned)
    }
    rows = []
    for result in learned:
        names = [f"{result.name}{suffix}" for suffix in kinds.values()]
        values = [f"{found[name].value:.4g}" if name in found else "" for name in names]
        selection = f"{result.split}; {result.selection_rule}"
        rows.append([f"`{result.name}`", result.dataset, *values, selection, result.seed])
    table = _table(["loss", "data", *kinds, "split, selection", "seed"], rows)
    return [table, *([LOSS_REFERENCES] if len(kinds) > 1 else [])] if table else []


def _settings_table(facts: ModelCardFacts) -> str:
    """Return the table of size and configuration."""
    rows: list[list[Any]] = [[f"`{name}`", value] for name, value in facts.settings.items()]
    if facts.num_parameters is not None:
        rows.insert(0, ["parameters", f"{facts.num_parameters:,}"])
    return _table(["setting", "value"], rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table, empty without rows."""
    if not rows:
        return ""
    cells = [[re.sub(r"\s+", " ", str(cell)).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *cells))


def _training_data_line(data: TrainingData) -> str:
    """Return name, share, size and license of a dataset."""
    name = f"[{data.name}]({data.url})" if data.url else data.name
    share = f", {100 * data.share:.4g} % of the batches" if data.share is not None else ""
    count = f", {data.num_samples:,} clouds" if data.num_samples is not None else ""
    if data.licenses:
        terms = ", licenses: " + ", ".join(f"{license} ({number:,})" for license, number in data.licenses.items())
    else:
        terms = f", license: {data.license}" if data.license else ""
    return f"{name}{share}{count}{terms}"


def _environment(run: Mapping[str, Any]) -> list[str]:
    """Return what is known about code, machine and duration of the run."""
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
    return [f"{name}: {fact}" for name, fact in facts.items() if fact]
