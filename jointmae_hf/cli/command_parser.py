"""How every command is described, and the flags that several commands share."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn


class CommandParser(argparse.ArgumentParser):
    """Parser whose errors are one line, and whose flags must be written in full: a shorter form could change its meaning."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """End the program with one line and status 2."""
        self.exit(2, f"{self.prog}: error: {message}; `{self.prog} --help` shows an example\n")


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], None],
    summary: str,
    example: str,
    notes: str = "",
) -> argparse.ArgumentParser:
    """Add a command whose `--help` has one sentence, an example and notes.

    Args:
        commands (`argparse._SubParsersAction`):
            Commands of `jointmae`.
        name (`str`):
            Name of the command.
        run (`Callable[[argparse.Namespace], None]`):
            What it does with the parsed options.
        summary (`str`):
            One sentence with a full stop.
        example (`str`):
            Command lines, one or several.
        notes (`str`, *optional*):
            Text below the example, in lines of at most 100 characters.

    Returns:
        `argparse.ArgumentParser`: Parser to add arguments to.
    """
    lines = "\n".join(f"  {line}" for line in example.splitlines())
    parser = commands.add_parser(
        name,
        help=summary[0].lower() + summary[1:].removesuffix("."),
        description=summary,
        epilog=f"example:\n{lines}" + (f"\n\n{notes}" if notes else ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags `--model`, `--revision` and `--device`."""
    parser.add_argument("--model", required=True, help="folder of a checkpoint, or OWNER/NAME on the Hub")
    parser.add_argument("--revision", help="branch, tag or commit of a model on the Hub (default: its main branch)")
    parser.add_argument("--device", help="such as cpu, cuda or cuda:1 (default: the GPU if there is one)")


def positive_integer(text: str) -> int:
    """Parse an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text!r}")
    return int(text)
