"""`jointmae publish`: check the output folder of a run and upload the model."""

import argparse
import logging

from .command_parser import add_command


logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "publish",
        run,
        "Upload a trained model to the Hub, after checking that it loads with and without this package.",
        "hf auth login\njointmae publish outputs/my-run org/my-model --tag v1.0",
        "Access tokens, paths of this machine and pickles are never uploaded.",
    )
    parser.add_argument("folder", help="output folder of a run")
    parser.add_argument("repo_id", help="OWNER/NAME on the Hub, or NAME for your account")
    parser.add_argument("--private", action="store_true", default=None, help="make a new repository private")
    parser.add_argument("--tag", help="new tag for this version, such as v1.0 (default: none)")


def run(options: argparse.Namespace) -> None:
    """Check and upload."""
    from jointmae_hf.hub import publishing

    try:
        url = publishing.publish(options.folder, options.repo_id, private=options.private, tag=options.tag)
    except RuntimeError as error:  # the model does not load without this package
        raise ValueError(str(error)) from error
    logger.info("published: %s", url)
