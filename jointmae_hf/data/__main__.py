"""The command line of the datasets: `python -m jointmae_hf.data convert NAME --output_dir OUTPUT`, and `verify FOLDER`."""

import argparse
import json
import logging
from collections.abc import Sequence
from typing import Any

from .conversion import convert_to_parquet, push_dataset, verify_checksums


logger = logging.getLogger(__name__)


def _option(text: str) -> tuple[str, Any]:
    """Parse `key=value`; a value that is not JSON is a string."""
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"must be key=value, got {text!r}")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line.

    Returns:
        `argparse.ArgumentParser`: Parser with the commands `convert` and `verify`.
    """
    parser = argparse.ArgumentParser(prog="python -m jointmae_hf.data", description="Point cloud datasets.")
    commands = parser.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="write a dataset as Parquet, readable by datasets.load_dataset")
    convert.add_argument("name", help="dataset, as in load_point_clouds")
    convert.add_argument("--data_dir", help="folder of the dataset's files")
    convert.add_argument("--output_dir", required=True, help="folder to write, new or empty")
    convert.add_argument("--cache_dir", help="where the dataset is built first; defaults to the cache of datasets")
    convert.add_argument("--num_proc", type=int, help="processes that build the dataset, one by default")
    convert.add_argument(
        "--config",
        type=_option,
        nargs="*",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="options of the dataset",
    )
    convert.add_argument(
        "--push_to_hub", metavar="OWNER/NAME", help="upload the result to this dataset on the Hub, private"
    )
    convert.add_argument("--public", action="store_true", help="with --push_to_hub: make the dataset public")
    verify = commands.add_parser("verify", help="verify the checksums of a converted dataset")
    verify.add_argument("folder", help="folder that convert wrote")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command.

    Args:
        arguments (`Sequence[str]`, *optional*):
            Defaults to the command line.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.command == "verify":
        logger.info("verified: %d files of %s", len(verify_checksums(options.folder)), options.folder)
        return
    if options.public and options.push_to_hub is None:
        parser.error("--public needs --push_to_hub")
    output_dir = convert_to_parquet(
        options.name,
        options.output_dir,
        options.data_dir,
        options.cache_dir,
        options.num_proc,
        **dict(options.config),
    )
    logger.info("written: %s", output_dir)
    if options.push_to_hub is not None:
        logger.info("published: %s", push_dataset(output_dir, options.push_to_hub, private=not options.public))


if __name__ == "__main__":
    main()
