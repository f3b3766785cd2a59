"""`jointmae convert-point-mae`: convert a public checkpoint of Point-MAE."""

import argparse
import logging

from .command_parser import add_command, positive_integer


logger = logging.getLogger(__name__)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "convert-point-mae",
        run,
        "Convert a .pth checkpoint of Point-MAE: pre-trained, or fine-tuned for classification or part segmentation.",
        "jointmae convert-point-mae pretrain.pth point-mae",
        "No code in the file is executed. Flags are what the weights do not tell.",
    )
    parser.add_argument("path", help=".pth file of Point-MAE")
    parser.add_argument("output_dir", help="new or empty folder")
    parser.add_argument(
        "--num_points", type=positive_integer, help="points per cloud (default: 1024; 2048 with 128 groups)"
    )
    parser.add_argument(
        "--num_groups",
        type=positive_integer,
        help="number of groups (default: 64; 128 for part segmentation and for ScanObjectNN, a classifier of 15 classes)",
    )
    parser.add_argument("--num_attention_heads", type=positive_integer, help="attention heads (default: 6)")


def run(options: argparse.Namespace) -> None:
    """Convert and save the checkpoint."""
    from jointmae_hf.hub.convert_point_mae import convert_point_mae

    fields = {
        "num_points": options.num_points,
        "num_groups": None if options.num_groups is None else [options.num_groups],
        "num_attention_heads": options.num_attention_heads,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    model = convert_point_mae(options.path, options.output_dir, **given)
    logger.info("saved to %s: %s with %d parameters", options.output_dir, type(model).__name__, model.num_parameters())
