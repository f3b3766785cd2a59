"""The command line of the Hub: `python -m jointmae_hf.hub publish FOLDER OWNER/NAME`, and `cards`."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from jointmae_hf.model.configuration_jointmae import PRESETS

from .model_card import render_model_card
from .model_card_facts import facts_from_preset
from .publishing import publish


logger = logging.getLogger(__name__)


def build_parser() -> argparse.ArgumentParser:
    """Describe the arguments.

    Returns:
        `argparse.ArgumentParser`: Parser with the commands `publish` and `cards`.
    """
    parser = argparse.ArgumentParser(prog="python -m jointmae_hf.hub", description="Models on the Hugging Face Hub.")
    commands = parser.add_subparsers(dest="command", required=True)
    publishing = commands.add_parser("publish", help="check the output folder of a run and upload what belongs there")
    publishing.add_argument("folder", help="output folder of a run")
    publishing.add_argument("repo_id", help="OWNER/NAME on the Hub, or NAME for your own")
    publishing.add_argument("--private", action="store_true", default=None, help="a new repository is private")
    publishing.add_argument("--tag", help="name of this version, such as v1.0")
    cards = commands.add_parser("cards", help="write the card of each configuration whose weights are not released")
    cards.add_argument("--output_dir", default="model_cards", help="folder of the cards, by default model_cards")
    return parser


def write_preset_cards(output_dir: str | Path) -> list[Path]:
    """Write the card of each configuration that has a name.

    Args:
        output_dir (`str` or `pathlib.Path`):
            Folder that exists.

    Returns:
        `list[pathlib.Path]`: The cards, `{name}.md`.
    """
    written = []
    for name in PRESETS:
        path = Path(output_dir) / f"{name}.md"
        path.write_text(render_model_card(facts_from_preset(name)), encoding="utf-8")
        written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        arguments (`Sequence[str]`, *optional*):
            Defaults to the command line.
    """
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.command == "publish":
        address = publish(options.folder, options.repo_id, private=options.private, tag=options.tag)
        logger.info("published: %s", address)
    else:
        logger.info("written: %s", ", ".join(str(path) for path in write_preset_cards(options.output_dir)))


if __name__ == "__main__":
    main()
