"""`jointmae release`: make a checkpoint to share from the output of a run."""

import argparse
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from .command_parser import add_command


if TYPE_CHECKING:
    from jointmae_hf.hub import TrainingData

logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "release",
        run,
        "Make a checkpoint with bfloat16 weights and a model card from the output of a run.",
        "jointmae release outputs/my-run checkpoints/my-model --training_data datasets.json",
        "`jointmae results FILES --add_to checkpoints/my-model` adds what is measured later.",
    )
    parser.add_argument("folder", help="output folder of a run")
    parser.add_argument("output_dir", help="new folder for the checkpoint")
    parser.add_argument(
        "--training_data",
        help='JSON file with a list of {"name", "license", "url", "num_samples"}, one for each dataset (default: what '
        "results.json of the run says)",
    )


def run(options: argparse.Namespace) -> None:
    """Write the checkpoint."""
    from jointmae_hf.hub import release_checkpoint

    training_data = None if options.training_data is None else _read_training_data(options.training_data)
    logger.info("released: %s", release_checkpoint(options.folder, options.output_dir, training_data))


def _read_training_data(path: str) -> "list[TrainingData]":
    """Read a list of datasets from a JSON file."""
    from jointmae_hf.hub import TrainingData

    content = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        return [TrainingData(**data) for data in content]
    except TypeError as error:  # an unknown field, no name, or not a list of objects
        raise ValueError(f"`--training_data` must be a list of fields of TrainingData, got {path}: {error}") from error
