"""Render results files as a table: `python -m jointmae_hf.evaluation outputs/*/results.json --table 2`."""

import argparse
import sys
from collections.abc import Sequence

from .results import Result, read_results
from .tables import render_results


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table of the given files to standard output.

    Args:
        arguments (sequence of `str`, *optional*):
            Command line without the program name; `sys.argv[1:]` by default.
    """
    parser = argparse.ArgumentParser(prog="python -m jointmae_hf.evaluation", description=__doc__)
    parser.add_argument("results", nargs="+", help="results.json files of one or more runs")
    parser.add_argument("--table", type=int, choices=range(1, 9), help="table of the paper to compare with")
    parser.add_argument("--name", action="append", help="show only results of this name; may be repeated")
    options = parser.parse_args(arguments)
    results: list[Result] = []
    for path in options.results:
        results += [result for result in read_results(path)[0] if not options.name or result.name in options.name]
    if not results:
        parser.error(f"no result is named {' or '.join(options.name)}")
    sys.stdout.write(render_results(results, options.table))


if __name__ == "__main__":
    main()
