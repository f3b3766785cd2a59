"""`jointmae convert`: write a dataset as Parquet, and publish it."""

import argparse
import json
import logging
from typing import Any

from .command_parser import add_command, positive_integer


logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "convert",
        run,
        "Write a dataset as Parquet files with checksums, readable by datasets.load_dataset.",
        "jointmae convert folder --data_dir my_clouds --output_dir my-clouds-parquet --config up_axis=z",
        "The output folder is complete or absent, whenever the command is stopped.",
    )
    parser.add_argument(
        "name",
        help="dataset: folder (your own files), sample_shapes, synthetic_shapes, primitive_shapes, modelnet40, "
        "modelnet_few_shot, scanobjectnn, shapenet55 or shapenet_part",
    )
    parser.add_argument("--data_dir", help="folder of the dataset's files (default: none, for generated shapes)")
    parser.add_argument("--output_dir", required=True, help="folder to write, new or empty")
    parser.add_argument("--cache_dir", help="where the dataset is built first (default: the cache of datasets)")
    parser.add_argument("--num_proc", type=positive_integer, help="processes that build the dataset (default: 1)")
    parser.add_argument(
        "--config",
        type=_option,
        nargs="*",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="options of the dataset (default: none); values are JSON or text",
    )
    parser.add_argument(
        "--push_to_hub", metavar="OWNER/NAME", help="upload the result to this dataset on the Hub, private"
    )
    parser.add_argument("--public", action="store_true", help="with --push_to_hub: make the dataset public")


def run(options: argparse.Namespace) -> None:
    """Convert the dataset and, if asked to, publish it."""
    from jointmae_hf.data import conversion

    if options.public and options.push_to_hub is None:
        raise ValueError("--public needs --push_to_hub.")
    output_dir = conversion.convert_to_parquet(
        options.name,
        options.output_dir,
        options.data_dir,
        options.cache_dir,
        options.num_proc,
        **dict(options.config),
    )
    logger.info("written: %s", output_dir)
    if options.push_to_hub is not None:
        private = not options.public
        logger.info("published: %s", conversion.push_dataset(output_dir, options.push_to_hub, private=private))


def _option(text: str) -> tuple[str, Any]:
    """Parse `key=value`; a value that is not JSON is a string."""
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"must be key=value, got {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value
