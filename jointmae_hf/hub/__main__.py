"""The command line of the Hub: `python -m jointmae_hf.hub publish FOLDER OWNER/NAME`, `release`, `results`, `cards`."""

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
    """Describe the arguments.

    Returns:
        `argparse.ArgumentParser`: Parser with the commands `publish`, `release`, `results` and `cards`.
    """
    parser = argparse.ArgumentParser(prog="python -m jointmae_hf.hub", description="Models on the Hugging Face Hub.")
    commands = parser.add_subparsers(dest="command", required=True)
    publishing = commands.add_parser("publish", help="check the output folder of a run and upload what belongs there")
    publishing.add_argument("folder", help="output folder of a run")
    publishing.add_argument("repo_id", help="OWNER/NAME on the Hub, or NAME for your own")
    publishing.add_argument("--private", action="store_true", default=None, help="a new repository is private")
    publishing.add_argument("--tag", help="name of this version, such as v1.0")
    releasing = commands.add_parser("release", help="make a checkpoint of bfloat16 weights from the output of a run")
    releasing.add_argument("folder", help="output folder of a run")
    releasing.add_argument("output_dir", help="new folder of the checkpoint")
    releasing.add_argument("--training_data", help="JSON file: a list of objects with the fields of `TrainingData`")
    measured = commands.add_parser("results", help="add what was measured to a checkpoint and to its card")
    measured.add_argument("folder", help="folder of the checkpoint")
    measured.add_argument("files", nargs="+", help="results.json of the runs that measured it")
    cards = commands.add_parser("cards", help="write the card of each configuration that has a name")
    cards.add_argument("--output_dir", default="model_cards", help="folder of the cards, by default model_cards")
    cards.add_argument(
        "--checkpoints", default="checkpoints", help="folder of released weights, by default checkpoints"
    )
    return parser


def write_preset_cards(output_dir: str | Path, checkpoints: str | Path) -> list[Path]:
    """Write the card of each configuration that has a name: of its weights where they are released.

    Args:
        output_dir (`str` or `pathlib.Path`):
            Folder that exists.
        checkpoints (`str` or `pathlib.Path`):
            Folder of released weights, one in a folder `{name}`; see [`release_checkpoint`].

    Returns:
        `list[pathlib.Path]`: The cards, `{name}.md`.
    """
    written = []
    for name in PRESETS:
        checkpoint, path = Path(checkpoints) / name, Path(output_dir) / f"{name}.md"
        is_released = (checkpoint / "config.json").is_file()
        card = card_from_run(checkpoint, figure=None) if is_released else render_model_card(facts_from_preset(name))
        path.write_text(card, encoding="utf-8")
        written.append(path)
    return written


def read_training_data(path: str | None) -> list[TrainingData] | None:
    """Read what weights have seen, with its terms.

    Args:
        path (`str`, *optional*):
            JSON file, a list of objects with the fields of [`TrainingData`].

    Returns:
        `list[TrainingData]`, *optional*: Its content; `None` without a file.

    Raises:
        TypeError: If an object has a field that [`TrainingData`] has not, or lacks `name`.
    """
    if path is None:
        return None
    return [TrainingData(**data) for data in json.loads(Path(path).read_text(encoding="utf-8"))]


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
