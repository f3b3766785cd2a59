"""Tables of results in Markdown: ours beside the paper's figures, with split, selection rule and seeds in every line."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .paper_numbers import paper_figure
from .results import Result


PAPER_COLUMNS: dict[tuple[int, str], tuple[str, str, str | None]] = {
    (1, "linear SVM, ModelNet40"): ("linear_svm", "modelnet40", None),
    (2, "accuracy, ModelNet40"): ("overall_accuracy_voted", "modelnet40", None),
    (3, "OBJ-BG"): ("overall_accuracy", "scanobjectnn obj_bg", None),
    (3, "OBJ-ONLY"): ("overall_accuracy", "scanobjectnn obj_only", None),
    (3, "PB-T50-RS"): ("overall_accuracy", "scanobjectnn pb_t50_rs", None),
    (4, "5-way 10-shot"): ("few_shot_accuracy", "modelnet_few_shot", "5-way 10-shot"),
    (4, "5-way 20-shot"): ("few_shot_accuracy", "modelnet_few_shot", "5-way 20-shot"),
    (4, "10-way 10-shot"): ("few_shot_accuracy", "modelnet_few_shot", "10-way 10-shot"),
    (4, "10-way 20-shot"): ("few_shot_accuracy", "modelnet_few_shot", "10-way 20-shot"),
    (5, "class mIoU"): ("class_miou", "shapenet_part", None),
    (5, "instance mIoU"): ("instance_miou", "shapenet_part", None),
}
"""Column of a table of the paper to the name, the dataset and the start of the protocol of our result beside it."""

OFFICIAL_TEST_SIZES = {
    "modelnet40": (2468,),
    "scanobjectnn obj_bg": (581,),
    "scanobjectnn obj_only": (581,),
    "scanobjectnn pb_t50_rs": (2882,),
    "shapenet_part": (2874,),
}
"""Clouds of the official test splits: a part of them is no result to stand beside the paper's."""

BASELINES = ("from scratch", "3D only")
"""Methods that Joint-MAE is to improve upon."""


def merge_seeds(results: Iterable[Result]) -> list[Result]:
    """Replace results that differ in their seed alone by their mean and its standard deviation.

    Args:
        results (iterable of [`Result`]):
            Of one or several runs.

    Returns:
        `list[Result]`: In the order of first appearance; the seed is that of the first run.

    Raises:
        ValueError: If two results of the same seed differ: then something else than the seed is different.
    """
    groups: dict[Result, dict[int, Result]] = {}
    for result in results:
        members = groups.setdefault(replace(result, value=0.0, seed=0, std=None), {})
        known = members.setdefault(result.seed, result)
        if known != result:
            raise ValueError(
                f"`results` must hold one value of {result.name!r} for each seed, got {known.value} and {result.value} "
                f"of seed {result.seed}. Tell the runs apart by `protocol`."
            )
    return [_mean(list(members.values())) for members in groups.values()]


def _mean(results: list[Result]) -> Result:
    """Mean over seeds; a single result stays as it is."""
    if len(results) == 1:
        return results[0]
    values = [result.value for result in results]
    runs = sum(result.num_runs for result in results)
    return replace(results[0], value=statistics.fmean(values), std=statistics.stdev(values), num_runs=runs)


def paper_value(result: Result, table: int | None = None) -> float | None:
    """Find the paper's figure that a result may stand beside.

    Args:
        result ([`Result`]):
            Ours, on the test split, in percent.
        table (`int`, *optional*):
            Number of the paper's table; by default any that has the result.

    Returns:
        `float`, *optional*: In percent; `None` where the paper has none, for a part of the test split, and for weights
        that were pre-trained on the dataset that they are measured on.
    """
    method, _, rest = (result.pre_training or "").partition(" on ")
    is_whole = result.num_test in OFFICIAL_TEST_SIZES.get(result.dataset, (result.num_test,))
    if result.split != "test" or "in-domain" in rest or not is_whole:
        return None
    for (number, column), (name, dataset, protocol) in PAPER_COLUMNS.items():
        is_named = (result.name, result.dataset) == (name, dataset) and table in (None, number)
        if is_named and (protocol is None or (result.protocol or "").startswith(protocol)):
            figure = paper_figure(number, method, column)
            return None if figure is None else figure.value
    return None


def render_results(results: Sequence[Result], table: int | None = None) -> str:
    """Render results as a Markdown table, one line each.

    Results that differ in their seed alone become mean and standard deviation. Below them stands, in percent points, by
    how much Joint-MAE improves on each baseline that was measured in the same way.

    Args:
        results (sequence of [`Result`]):
            At least one.
        table (`int`, *optional*):
            Number of the paper's table that they belong to.

    Returns:
        `str`: The table, with a line break at its end.

    Raises:
        ValueError: If there is no result, or two differ though nothing tells them apart.
    """
    if not results:
        raise ValueError("`results` must hold at least one result, got none.")
    merged = merge_seeds(results)
    header = "| pre-training | data | measured | ours | paper | split, selection | seed | train / test |"
    lines = [header, "|" + "---|" * header.count(" | ") + "---|"]
    lines += [_line(result, paper_value(result, table)) for result in merged]
    lines += [_improvement_line(result, baseline) for result, baseline in _pairs(merged)]
    return "\n".join(lines) + "\n"


def _line(result: Result, paper: float | None) -> str:
    """Return the line of one result."""
    measured = result.name if result.protocol is None else f"{result.name}, {result.protocol}"
    spread = "" if result.std is None else f" ± {result.std:.1f} ({result.num_runs} runs)"
    cells = [
        result.pre_training or "",
        result.dataset,
        measured,
        f"{result.value:.1f}{spread} {result.unit}",
        "" if paper is None else f"{paper:.1f} %",
        f"{result.split}; {result.selection_rule}",
        f"{result.seed}" if result.std is None else f"from {result.seed}",
        f"{result.num_train:,} / {result.num_test:,}",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _pairs(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Results of Joint-MAE with those of the baselines that differ in the pre-training alone."""
    methods = {result: (result.pre_training or "").partition(" on ") for result in results}
    pairs = []
    for result in results:
        method, _, data = methods[result]
        for baseline in results:
            other, _, other_data = methods[baseline]
            is_same = _measurement(result) == _measurement(baseline) and other_data in ("", data)
            if method == "Joint-MAE" and other in BASELINES and is_same:
                pairs.append((result, baseline))
    return pairs


def _measurement(result: Result) -> Result:
    """Return a result without what was measured: its value and the weights."""
    return replace(result, value=0.0, std=None, pre_training=None, selection_rule="-")


def _improvement_line(result: Result, baseline: Result) -> str:
    """Return the line that tells by how much Joint-MAE is better."""
    method = (baseline.pre_training or "").partition(" on ")[0]
    improved = replace(result, pre_training=f"improvement over {method}", unit="points", std=None)
    line = _line(replace(improved, value=abs(result.value - baseline.value)), None)
    sign = "+" if result.value >= baseline.value else "-"
    value = f" {abs(result.value - baseline.value):.1f} points "
    return line.replace(value, f" {sign}{value.strip()} ", 1)
