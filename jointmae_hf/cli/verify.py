"""`jointmae verify`: compare a converted dataset with its checksums."""

import argparse
import logging

from .command_parser import add_command


logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "verify",
        run,
        "Compare a converted dataset with its checksums, which datasets.load_dataset does not read.",
        "jointmae verify my-clouds-parquet",
    )
    parser.add_argument("folder", help="folder that `jointmae convert` wrote, or a download of it")


def run(options: argparse.Namespace) -> None:
    """Compare the files; a mismatch is an error that names the file."""
    from jointmae_hf.data.conversion import verify_checksums

    logger.info("verified: %d files of %s", len(verify_checksums(options.folder)), options.folder)
