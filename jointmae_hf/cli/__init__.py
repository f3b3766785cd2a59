"""The command `jointmae`: each part is a module with `add_parser`, listed here."""

import argparse
import logging
from collections.abc import Sequence

from . import results


__all__ = ["build_parser", "main"]

_PARTS = (results,)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line.

    Returns:
        `argparse.ArgumentParser`: Parser with one sub-command per part; the parsed options hold the function `run`.
    """
    parser = argparse.ArgumentParser(prog="jointmae", description="Point clouds and Joint-MAE, from the command line.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for part in _PARTS:
        part.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends it with one line and status 2.

    Args:
        arguments (sequence of `str`, *optional*):
            Command line without the program name; `sys.argv[1:]` by default.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")
