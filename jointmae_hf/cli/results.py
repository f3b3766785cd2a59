"""`jointmae results`: render results files as a table, or add them to the card of a checkpoint."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .command_parser import add_command


if TYPE_CHECKING:
    from jointmae_hf.evaluation import Result

logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "results",
        run,
        "Render results files as a table next to the paper's numbers, or add them to a released checkpoint.",
        "jointmae results outputs/*/results.json --table 1 --name linear_svm\n"
        "jointmae results outputs/linear_probe/results.json --add_to checkpoints/my-model",
    )
    parser.add_argument("results", nargs="+", help="results.json files of one or more runs")
    parser.add_argument("--table", type=int, choices=range(1, 9), help="table of the paper to compare with")
    parser.add_argument("--name", action="append", help="show only results of this name (default: all); repeatable")
    parser.add_argument(
        "--add_to",
        metavar="CHECKPOINT",
        help="instead of showing a table, add all results to this folder of `jointmae release` and to its card",
    )


def run(options: argparse.Namespace) -> None:
    """Write the table of the given files to standard output, or add them to a checkpoint."""
    if options.add_to is None:
        _show(options)
        return
    if options.table is not None or options.name:
        raise ValueError("`--add_to` must stand without `--table` and `--name`: it adds all results of the files.")
    from jointmae_hf.hub import add_results

    add_results(options.add_to, options.results)
    logger.info("card: %s", Path(options.add_to) / "README.md")


def _show(options: argparse.Namespace) -> None:
    """Write the table to standard output."""
    from jointmae_hf.evaluation.results import read_results
    from jointmae_hf.evaluation.tables import render_results

    results: list[Result] = []
    for path in options.results:
        results += [result for result in read_results(path)[0] if not options.name or result.name in options.name]
    if not results:
        raise ValueError(f"`--name` must be the name of a result in the files, got {' and '.join(options.name)}.")
    sys.stdout.write(render_results(results, options.table))
