"""Results on a model card: tables beside the paper's figures, and the entries of the `model-index`."""

import re
from collections.abc import Sequence

from huggingface_hub import EvalResult

from jointmae_hf.evaluation import Result, merge_seeds, render_results
from jointmae_hf.evaluation.tables import BASELINES


LOSS_KINDS = {"learned": "", "trivial": "_trivial", "perfect": "_perfect"}
"""Column of the table of losses to the end of a result's name."""

REFERENCES = (
    "*Trivial* is a predictor that has learned nothing, *perfect* a reconstruction that gives every group back."
)
"""Said below a table of losses with references."""


def results_sections(results: Sequence[Result]) -> list[str]:
    """Write the lines of the results: what was measured downstream, then the losses beside their references.

    Args:
        results (sequence of [`Result`]):
            Any number.

    Returns:
        `list[str]`: Lines of Markdown, none without results.
    """
    lines = []
    measured = [result for result in results if not _is_loss(result)]
    if measured:
        lines += render_results(measured).splitlines()
    losses = _loss_lines([result for result in results if _is_loss(result)])
    return [*lines, *([""] if lines and losses else []), *losses]


def model_index(results: Sequence[Result]) -> list[EvalResult]:
    """Build the entries of the `model-index`: accuracies and mIoU of this checkpoint, not of what it is compared with.

    Args:
        results (sequence of [`Result`]):
            Any number.

    Returns:
        `list[EvalResult]`: One for each measure.
    """
    methods = {(result.pre_training or "").partition(" on ")[0] for result in results}
    left_out = BASELINES if methods - {"", *BASELINES} else ()
    own = [
        result
        for result in merge_seeds(result for result in results if _metric_type(result.name) is not None)
        if (result.pre_training or "").partition(" on ")[0] not in left_out
    ]
    return [_eval_result(result) for result in own]


def _is_loss(result: Result) -> bool:
    """Whether a result is a loss rather than a measure of the features."""
    return result.name.partition("_")[0] == "loss"


def _metric_type(name: str) -> str | None:
    """Return the id of a measure among the Hub's metrics; none for losses and for models without training."""
    if name.endswith("_untrained"):
        return None
    if "accuracy" in name or name == "linear_svm":
        return "accuracy"
    return "mean_iou" if name.endswith("miou") else None


def _eval_result(result: Result) -> EvalResult:
    """Return one entry; the name says what the number means."""
    metric_type = _metric_type(result.name)
    task = "point-cloud-segmentation" if metric_type == "mean_iou" else "point-cloud-classification"
    title = result.name.replace("_", " ").replace("svm", "SVM").replace("miou", "mIoU")
    seeds = f"mean of {result.num_runs} runs" if result.num_runs > 1 else f"seed {result.seed}"
    details = [*([result.protocol] if result.protocol else []), result.selection_rule, seeds]
    return EvalResult(
        task_type=task,
        dataset_type=re.sub(r"[^a-z0-9]+", "-", result.dataset.lower()).strip("-"),
        dataset_name=result.dataset,
        dataset_split=result.split,
        metric_type=str(metric_type),
        metric_name=f"{title} ({result.unit}): {'; '.join(details)}",
        metric_value=round(result.value, 4),
    )


def _loss_lines(losses: Sequence[Result]) -> list[str]:
    """Return the table of losses: learned, of a predictor that has learned nothing, of a perfect reconstruction."""
    found = {result.name: result for result in losses}
    references = tuple(end for end in LOSS_KINDS.values() if end)
    names = [name for name in found if not name.endswith(references)]
    if not names:
        return []
    kinds = {kind: end for kind, end in LOSS_KINDS.items() if any(f"{name}{end}" in found for name in names)}
    header = ["loss", "data", *kinds, "split, selection", "seed"]
    rows = [header, ["---"] * len(header)]
    for name in names:
        own = found[name]
        cells = [f"{found[name + end].value:.4g}" if name + end in found else "" for end in kinds.values()]
        rows.append([f"`{name}`", own.dataset, *cells, f"{own.split}; {own.selection_rule}", str(own.seed)])
    table = [f"| {' | '.join(row)} |" for row in rows]
    return [*table, *(["", REFERENCES] if len(kinds) > 1 else [])]
