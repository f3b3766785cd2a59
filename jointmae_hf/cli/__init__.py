"""The command `jointmae`: each part is a module with `add_parser`, listed here."""

import argparse
import logging
from collections.abc import Sequence

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

import jointmae_hf

from . import cards, classify, convert, convert_point_mae, embed, publish, release, results, search, segment, verify
from .command_parser import CommandParser


__all__ = ["build_parser", "main"]

_PARTS = (convert, verify, embed, search, classify, segment, results, publish, release, cards, convert_point_mae)
"""In the order of `jointmae --help`."""

_BAD_INPUT = (ValueError, OSError, ImportError, SafetensorError, StrictDataclassError)
"""Errors of what a user gave; any other is a fault of the program, and keeps its traceback."""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line.

    Returns:
        `argparse.ArgumentParser`: Parser with one sub-command per part; the parsed options hold the function `run`.
    """
    parser = CommandParser(
        prog="jointmae",
        description="Datasets of point clouds, and Joint-MAE models on your own shapes.",
        epilog="`jointmae COMMAND --help` describes a command and shows an example.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {jointmae_hf.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for part in _PARTS:
        part.add_parser(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends it with one line and status 2, Ctrl-C with status 130.

    Args:
        arguments (sequence of `str`, *optional*):
            Command line without the program name; `sys.argv[1:]` by default.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    messages = logging.StreamHandler()
    messages.addFilter(logging.Filter("jointmae_hf"))  # other libraries have handlers of their own
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[messages])
    try:
        options.run(options)
    except _BAD_INPUT as error:
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"{parser.prog}: interrupted\n")
