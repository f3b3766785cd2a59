"""`jointmae cards`: write the model card of every preset."""

import argparse
import logging
from pathlib import Path

from .command_parser import add_command


logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "cards",
        run,
        "Write the model card of every preset: of its released checkpoint, or of its configuration.",
        "jointmae cards",
    )
    parser.add_argument("--output_dir", default="model_cards", help="folder of the cards (default: %(default)s)")
    parser.add_argument(
        "--checkpoints", default="checkpoints", help="folder of released checkpoints (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    """Write one card per preset."""
    from jointmae_hf.hub import card_from_run, facts_from_preset, render_model_card
    from jointmae_hf.model.configuration_jointmae import PRESETS

    if not Path(options.output_dir).is_dir():
        raise ValueError(f"`--output_dir` must be an existing folder, got {options.output_dir}.")
    for name in PRESETS:
        checkpoint, path = Path(options.checkpoints) / name, Path(options.output_dir) / f"{name}.md"
        is_released = (checkpoint / "config.json").is_file()
        card = card_from_run(checkpoint, figure=None) if is_released else render_model_card(facts_from_preset(name))
        card.save(path)
        logger.info("written: %s", path)
