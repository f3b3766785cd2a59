"""Markdown tables of our results next to the paper's, with split, selection rule and seeds in every row."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .paper_numbers import paper_number
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
"""Column of a table in the paper to the name, the dataset and the start of the protocol of our result."""

OFFICIAL_TEST_SIZES = {
    "modelnet40": (2468,),
    "scanobjectnn obj_bg": (581,),
    "scanobjectnn obj_only": (581,),
    "scanobjectnn pb_t50_rs": (2882,),
    "shapenet_part": (2874,),
}
"""Sizes of the official test splits; results on part of a split are not comparable with the paper."""

BASELINES = ("from scratch", "3D only")
"""Methods that Joint-MAE is compared with."""


def merge_seeds(results: Iterable[Result]) -> list[Result]:
    """Merge results that differ only in their seed into their mean and standard deviation.

    Args:
        results (iterable of [`Result`]):
            Results of one or more runs.

    Returns:
        `list[Result]`: Merged results in the order of first appearance, each with the seed of the first run.

    Raises:
        ValueError: If two results with the same seed have different values.
    """
    groups: dict[Result, dict[int, Result]] = {}
    for result in results:
        members = groups.setdefault(replace(result, value=0.0, seed=0, std=None), {})
        known = members.setdefault(result.seed, result)
        if known != result:
            raise ValueError(
                f"`results` must hold one value of {result.name!r} per seed, got {known.value} and {result.value} "
                f"for seed {result.seed}. Distinguish the runs by `protocol`."
            )
    return [_mean(list(members.values())) for members in groups.values()]


def _mean(results: list[Result]) -> Result:
    """Average over seeds; return a single result unchanged."""
    if len(results) == 1:
        return results[0]
    values = [result.value for result in results]
    runs = sum(result.num_runs for result in results)
    return replace(results[0], value=statistics.fmean(values), std=statistics.stdev(values), num_runs=runs)


def paper_value(result: Result, table: int | None = None) -> float | None:
    """Return the number of the paper that a result is comparable with.

    Args:
        result ([`Result`]):
            Our result, in percent.
        table (`int`, *optional*):
            Number of the table; any table by default.

    Returns:
        `float`, *optional*: In percent; `None` if the paper has none, for part of the test split, and for weights that
        were pre-trained on the dataset that they are evaluated on.
    """
    method, data = _method_and_data(result)
    is_whole = result.num_test in OFFICIAL_TEST_SIZES.get(result.dataset, (result.num_test,))
    if result.split != "test" or "in-domain" in data or not is_whole:
        return None
    for (number, column), (name, dataset, protocol) in PAPER_COLUMNS.items():
        is_named = (result.name, result.dataset) == (name, dataset) and table in (None, number)
        if is_named and (protocol is None or (result.protocol or "").startswith(protocol)):
            found = paper_number(number, method, column)
            return None if found is None else found.value
    return None


def render_results(results: Sequence[Result], table: int | None = None) -> str:
    """Render results as a Markdown table, one row each.

    Results that differ only in their seed are merged into mean and standard deviation. The last rows give, in
    percentage points, the improvement of Joint-MAE over each baseline that was evaluated in the same way.

    Args:
        results (sequence of [`Result`]):
            Results, at least one.
        table (`int`, *optional*):
            Number of the table in the paper that they belong to.

    Returns:
        `str`: The table, with a trailing newline.

    Raises:
        ValueError: If there is no result, or [`merge_seeds`] rejects two of them.
    """
    if not results:
        raise ValueError("`results` must hold at least one result, got none.")
    merged = merge_seeds(results)
    header = "| pre-training | data | measured | ours | paper | split, selection | seed | train / test |"
    lines = [header, "|" + "---|" * header.count(" | ") + "---|"]
    lines += [_row(result, paper_value(result, table)) for result in merged]
    lines += [_improvement_row(result, baseline) for result, baseline in _pairs(merged)]
    return "\n".join(lines) + "\n"


def _row(result: Result, paper: float | None, number_format: str = ".1f") -> str:
    """Format one result as a row."""
    measured = result.name if result.protocol is None else f"{result.name}, {result.protocol}"
    spread = "" if result.std is None else f" ± {result.std:.1f} ({result.num_runs} runs)"
    cells = [
        result.pre_training or "",
        result.dataset,
        measured,
        f"{result.value:{number_format}}{spread} {result.unit}",
        "" if paper is None else f"{paper:.1f} %",
        f"{result.split}; {result.selection_rule}",
        f"{result.seed}" if result.std is None else f"from {result.seed}",
        f"{result.num_train:,} / {result.num_test:,}",
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _pairs(results: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Pair results of Joint-MAE with those of baselines that differ only in the pre-training."""
    pairs = []
    for result in results:
        method, data = _method_and_data(result)
        for baseline in results if method == "Joint-MAE" else []:
            other, other_data = _method_and_data(baseline)
            is_same = _measurement(result) == _measurement(baseline) and other_data in ("", data)
            if other in BASELINES and is_same:
                pairs.append((result, baseline))
    return pairs


def _method_and_data(result: Result) -> tuple[str, str]:
    """Split the description of the pre-training into method and data."""
    method, _, data = (result.pre_training or "").partition(" on ")
    return method, data


def _measurement(result: Result) -> Result:
    """Return a result without its value and its weights, to compare how it was measured."""
    return replace(result, value=0.0, std=None, pre_training=None, selection_rule="-")


def _improvement_row(result: Result, baseline: Result) -> str:
    """Format the improvement of Joint-MAE over a baseline as a row."""
    name = f"improvement over {_method_and_data(baseline)[0]}"
    gain = replace(result, value=result.value - baseline.value, unit="points", std=None, pre_training=name)
    return _row(gain, None, "+.1f")
