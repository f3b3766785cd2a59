"""`jointmae results`: render results files as a table."""

import argparse
import sys

from jointmae_hf.evaluation.results import Result, read_results
from jointmae_hf.evaluation.tables import render_results


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = commands.add_parser("results", help="render results files as a table, beside the paper's numbers")
    parser.add_argument("results", nargs="+", help="results.json files of one or more runs")
    parser.add_argument("--table", type=int, choices=range(1, 9), help="table of the paper to compare with")
    parser.add_argument("--name", action="append", help="show only results of this name; may be repeated")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the table of the given files to standard output."""
    results: list[Result] = []
    for path in options.results:
        results += [result for result in read_results(path)[0] if not options.name or result.name in options.name]
    if not results:
        raise ValueError(f"`--name` must be the name of a result in the files, got {' and '.join(options.name)}.")
    sys.stdout.write(render_results(results, options.table))
