"""The command `python -m jointmae_hf.hub`, with `publish`, `release`, `results` and `cards`."""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from jointmae_hf.model.configuration_jointmae import PRESETS

from .model_card import card_from_run, render_model_card
from .model_card_facts import TrainingData, facts_from_preset
from .publishing import publish
from .releasing import add_results, release_checkpoint


logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line.

    Returns:
        `argparse.ArgumentParser`: Parser with the commands `publish`, `release`, `results` and `cards`.
    """
    parser = argparse.ArgumentParser(prog="python -m jointmae_hf.hub", description="Publish and release models.")
    commands = parser.add_subparsers(dest="command", required=True)
    publishing = commands.add_parser("publish", help="check the output folder of a run and upload the model")
    publishing.add_argument("folder", help="output folder of a run")
    publishing.add_argument("repo_id", help="OWNER/NAME on the Hub, or NAME for your account")
    publishing.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    publishing.add_argument("--tag", help="new tag for this version, such as v1.0")
    releasing = commands.add_parser("release", help="make a checkpoint with bfloat16 weights from the output of a run")
    releasing.add_argument("folder", help="output folder of a run")
    releasing.add_argument("output_dir", help="new folder for the checkpoint")
    releasing.add_argument(
        "--training_data", help="JSON file with a list of objects with the fields of `TrainingData`"
    )
    measured = commands.add_parser("results", help="add results to a released checkpoint and its card")
    measured.add_argument("folder", help="folder of the checkpoint")
    measured.add_argument("files", nargs="+", help="results.json of the runs that evaluated it")
    cards = commands.add_parser("cards", help="write the card of every preset")
    cards.add_argument("--output_dir", default="model_cards", help="folder of the cards (default: model_cards)")
    cards.add_argument(
        "--checkpoints", default="checkpoints", help="folder of released checkpoints (default: checkpoints)"
    )
    return parser


def write_preset_cards(output_dir: str | Path, checkpoints: str | Path) -> list[Path]:
    """Write the card of every preset: of the released checkpoint, or of the configuration without weights.

    Args:
        output_dir (`str` or `pathlib.Path`):
            Existing folder.
        checkpoints (`str` or `pathlib.Path`):
            Folder of released checkpoints, each in a sub-folder `{name}`; see [`release_checkpoint`].

    Returns:
        `list[pathlib.Path]`: The cards, `{name}.md`.
    """
    written = []
    for name in PRESETS:
        checkpoint, path = Path(checkpoints) / name, Path(output_dir) / f"{name}.md"
        is_released = (checkpoint / "config.json").is_file()
        card = card_from_run(checkpoint, figure=None) if is_released else render_model_card(facts_from_preset(name))
        card.save(path)
        written.append(path)
    return written


def read_training_data(path: str | None) -> list[TrainingData] | None:
    """Read a list of datasets from a JSON file.

    Args:
        path (`str`, *optional*):
            JSON file with a list of objects with the fields of [`TrainingData`].

    Returns:
        `list[TrainingData]`, *optional*: The datasets; `None` without a file.

    Raises:
        TypeError: If an object has an unknown field, or no `name`.
    """
    if path is None:
        return None
    return [TrainingData(**data) for data in json.loads(Path(path).read_text(encoding="utf-8"))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error ends it with one line.

    Args:
        arguments (`Sequence[str]`, *optional*):
            Defaults to the command line of the process.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _run(options)
    except (OSError, RuntimeError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: error: {error}\n")


def _run(options: argparse.Namespace) -> None:
    """Run the command that was parsed."""
    if options.command == "publish":
        address = publish(options.folder, options.repo_id, private=options.private, tag=options.tag)
        logger.info("published: %s", address)
    elif options.command == "release":
        released = release_checkpoint(options.folder, options.output_dir, read_training_data(options.training_data))
        logger.info("released: %s", released)
    elif options.command == "results":
        add_results(options.folder, options.files)
        logger.info("card: %s", Path(options.folder) / "README.md")
    else:
        written = write_preset_cards(options.output_dir, options.checkpoints)
        logger.info("written: %s", ", ".join(str(path) for path in written))


if __name__ == "__main__":
    main()
