"""How every command is described, and the flags that several commands share."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
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


def add_model_arguments(parser: argparse.ArgumentParser, has_default: bool = False) -> None:
    """Add the flags `--model`, `--revision`, `--device`, `--batch_size`, `--up_axis` and `--points_key`.

    Args:
        parser (`argparse.ArgumentParser`):
            Parser of a command.
        has_default (`bool`, *optional*, defaults to `False`):
            Whether the command takes `shipped_model()` without `--model`.
    """
    default = " (default: checkpoints/jointmae-small of the clone that is installed)" if has_default else ""
    parser.add_argument(
        "--model", required=not has_default, help=f"folder of a checkpoint, or OWNER/NAME on the Hub{default}"
    )
    parser.add_argument("--revision", help="branch, tag or commit of a model on the Hub (default: its main branch)")
    parser.add_argument("--device", help="such as cpu, cuda or cuda:1 (default: the GPU if there is one)")
    parser.add_argument(
        "--batch_size", type=positive_integer, default=32, help="files per call of the model (default: %(default)s)"
    )
    parser.add_argument(
        "--up_axis", choices=("x", "y", "z"), help="axis that points up in the files (default: that of the model)"
    )
    parser.add_argument(
        "--points_key", help="name of the array in .npz and .h5 files (default: points, or the only array of a file)"
    )


def positive_integer(text: str) -> int:
    """Parse an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text!r}")
    return int(text)


def check_output(path: str, suffixes: Sequence[str]) -> None:
    """Raise unless `--output` has one of the endings and lies in an existing folder."""
    if not path.endswith(tuple(suffixes)):
        raise ValueError(f"`--output` must end in {' or '.join(suffixes)}, got {path}.")
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"`--output` must lie in an existing folder, got {path}.")
