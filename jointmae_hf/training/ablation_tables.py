"""Tables of an ablation: mean and spread over seeds, gains of the last row over each other one, the paper's results."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from jointmae_hf.evaluation import Result, paper_figure

from .ablations import ABLATIONS


PAPER_DATA = "modelnet40"
PAPER_COLUMN = "linear SVM, ModelNet40"


def paired_gains(results: Sequence[Result]) -> list[Result]:
    """Compute the gain of the last result's row over each other row, in percent points, paired by seed.

    `results` holds one result for each row and seed, with the label of the row as `protocol`. Rows with the same seed share
    data, order, masks and views, so their difference varies less than their values. Seeds that only one of the two rows has
    are left out.
    """
    reference = {result.seed: result for result in results if result.protocol == results[-1].protocol}
    gains = []
    for label in dict.fromkeys(result.protocol for result in results if result.protocol != results[-1].protocol):
        pairs = [
            (reference[result.seed], result)
            for result in results
            if result.protocol == label and result.seed in reference
        ]
        if not pairs:
            continue
        gain = replace(
            pairs[0][0],
            name=f"{results[-1].name}_gain",
            unit="points",
            protocol=f"{results[-1].protocol} minus {label}, paired by seed",
        )
        gains.append(_over_seeds(gain, [ours.value - other.value for ours, other in pairs]))
    return gains


def _over_seeds(result: Result, values: Sequence[float]) -> Result:
    """Return the result with mean and standard deviation over the values of its seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return replace(result, value=statistics.fmean(values), std=spread, num_runs=len(values))


def _mean_rows(results: Sequence[Result]) -> list[Result]:
    """Return one result for each row, in their order."""
    rows: dict[str | None, list[Result]] = {}
    for result in results:
        rows.setdefault(result.protocol, []).append(result)
    return [_over_seeds(members[0], [member.value for member in members]) for members in rows.values()]


def render_ablation(results: Sequence[Result], table: str) -> str:
    """Render results as for [`paired_gains`], in the order of the rows, as a Markdown table with its facts below.

    The paper's values get a column of their own where ours were measured on ModelNet40 with weights that have not seen it;
    otherwise a separate table, because the levels cannot be compared.
    """
    if not results:
        raise ValueError("`results` must hold at least one result, got none.")
    if table not in ABLATIONS:
        raise ValueError(f"`table` must be one of {', '.join(ABLATIONS)}, got {table!r}.")
    rows, gains = _mean_rows(results), {gain.protocol: gain for gain in paired_gains(results)}
    last = rows[-1].protocol
    lines = [f"| row | linear SVM | gain of “{last}” |", "|---|---|---|"]
    for row in rows:
        gain = gains.get(f"{last} minus {row.protocol}, paired by seed")
        lines.append(f"| {row.protocol} | {_value(row)} % | {'' if gain is None else _signed(gain)} |")
    if _is_comparable(rows):
        figures = [_paper_value(table, str(row.protocol)) for row in rows]
        cells = ["paper", "---", *("" if figure is None else f"{figure:.1f} %" for figure in figures)]
        lines = [f"{line} {cell} |" for line, cell in zip(lines, cells, strict=True)]
        lines[1] = lines[1].replace(" --- |", "---|")
        return "\n".join([*lines, "", *_facts(results)]) + "\n"
    return "\n".join([*lines, "", *_facts(results), *_paper_lines(table)]) + "\n"


def _value(result: Result) -> str:
    """Return the mean, with its spread if there is one."""
    return f"{result.value:.1f}" + ("" if result.std is None else f" ± {result.std:.1f}")


def _signed(gain: Result) -> str:
    """Return the mean difference with sign and spread."""
    return f"{gain.value:+.1f}" + ("" if gain.std is None else f" ± {gain.std:.1f}")


def _is_comparable(rows: Sequence[Result]) -> bool:
    """Return whether the paper's values may stand in the same rows."""
    return all(
        row.dataset == PAPER_DATA and row.split == "test" and "in-domain" not in str(row.pre_training) for row in rows
    )


def _paper_value(table: str, label: str) -> float | None:
    """Return the paper's value of a row, if it has one."""
    figure = paper_figure(int(table), label, PAPER_COLUMN) if table.isdigit() else None
    return None if figure is None else figure.value


def _facts(results: Sequence[Result]) -> list[str]:
    """Return lines that say what the values are."""
    last = results[-1]
    seeds = list(dict.fromkeys(result.seed for result in results))
    spread = "mean ± standard deviation over seeds" if len(seeds) > 1 else "of seed"
    return [
        f"Linear SVM on {last.dataset}, {last.split} split, {last.num_train:,} / {last.num_test:,} clouds;",
        f"{last.selection_rule}.",
        f"Weights: {last.pre_training}. Figures are {spread} {', '.join(map(str, seeds))}; gains in percent",
        "points, paired by seed. Positive: the last row is better.",
    ]


def _paper_lines(table: str) -> list[str]:
    """Return the lines of a separate table with the paper's values."""
    values = {row.label: _paper_value(table, row.label) for row in ABLATIONS[table]}
    figures = {label: value for label, value in values.items() if value is not None}
    if not figures:
        return []
    best = figures[ABLATIONS[table][-1].label]
    lines = ["", f"Table {table} of the paper (pre-trained on ShapeNet, ModelNet40): other data, other levels.", ""]
    lines += ["| row | paper | gain of the last row |", "|---|---|---|"]
    gains = {label: "" if value == best else f"{best - value:+.1f}" for label, value in figures.items()}
    return lines + [f"| {label} | {value:.1f} % | {gains[label]} |" for label, value in figures.items()]
