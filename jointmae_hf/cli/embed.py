"""`jointmae embed`: features of all files below a folder, in one Parquet file."""

import argparse
import logging
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from jointmae_hf.model.pooling import POOLINGS

from .command_parser import add_command, add_model_arguments, check_output
from .loading import choose_device, shipped_model


if TYPE_CHECKING:
    import torch
    from accelerate import PartialState

    from jointmae_hf.evaluation import EmbeddedFolder

logger = logging.getLogger(__name__)

_NOTES = """\
Stopped at any moment, the same command goes on with what is missing; another model or other settings are
an error then. A file that cannot be read ends the command with status 2. With --skip_errors, such files
are listed in the end and the status is 0.

On several GPUs or machines with a common disk:
  accelerate launch --num_processes 2 -m jointmae_hf.cli embed my_parts --output features.parquet

Read the features by
  datasets.load_dataset("parquet", data_files="features.parquet", split="train").with_format("numpy")"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser of `jointmae`."""
    parser = add_command(
        commands,
        "embed",
        run,
        "Compute one feature vector for each mesh or point cloud below a folder, as a Parquet file.",
        "jointmae embed my_parts --output features.parquet",
        _NOTES,
    )
    parser.add_argument("folder", help="folder of files of any format that the package reads, at any depth")
    parser.add_argument("--output", required=True, help="file to write, ending in .parquet, outside the folder")
    add_model_arguments(parser, has_default=True)
    parser.add_argument(
        "--pooling", choices=POOLINGS, default="sum", help="how tokens become a vector (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the points on the surface of meshes (default: %(default)s)"
    )
    parser.add_argument(
        "--num_workers", type=int, help="processes that read files (default: one per core with a GPU, 0 without)"
    )
    parser.add_argument("--skip_errors", action="store_true", help="go on without files that cannot be read")
    parser.add_argument(
        "--follow_links", action="store_true", help="accept symbolic links that lead out of the folder"
    )


def run(options: argparse.Namespace) -> None:
    """Compute the features on this process, or its share of them under `accelerate launch`."""
    from accelerate import PartialState

    from jointmae_hf.evaluation import EmbeddingSettings, FileEmbedder, embed_folder

    if not Path(options.folder).is_dir():
        raise ValueError(f"`folder` must be an existing folder, got {options.folder}.")
    check_output(options.output, [".parquet"])
    settings = EmbeddingSettings(
        options.pooling, options.up_axis, options.points_key, options.seed, options.batch_size
    )
    # Shares may end at very different times, and the first to end waits for the last.
    state = PartialState(cpu=options.device == "cpu", timeout=timedelta(days=30))
    if not state.is_main_process:
        logging.disable(logging.WARNING)
    device = _choose_device(options.device, state)
    num_workers = _choose_num_workers(options.num_workers, device, state)
    embedder = FileEmbedder(options.model or shipped_model(), options.revision, settings, device)
    written = embed_folder(
        options.folder, options.output, embedder, options.skip_errors, num_workers, options.follow_links
    )
    _report(written)
    state.destroy_process_group()


def _choose_device(name: str | None, state: "PartialState") -> "torch.device":
    """Return the device of this process; several processes have one GPU each."""
    if state.num_processes == 1:
        return choose_device(name)
    if name not in (None, "cpu", "cuda"):
        raise ValueError(f"`--device` must be left out for several processes, got {name}: each has a GPU of its own.")
    return state.device


def _choose_num_workers(num_workers: int | None, device: "torch.device", state: "PartialState") -> int:
    """Return the number of reading processes: on a CPU, the model needs all cores."""
    from jointmae_hf.evaluation import num_cores

    if num_workers is not None and num_workers < 0:
        raise ValueError(f"`--num_workers` must not be negative, got {num_workers}.")
    if num_workers is not None or device.type == "cpu":
        return num_workers or 0
    return max(1, num_cores() // state.num_processes)


def _report(written: "EmbeddedFolder") -> None:
    """Log what was written and what was skipped."""
    logger.info("written: %s, %d rows of %d features", written.output, written.num_rows, written.feature_size)
    if written.skipped:
        logger.warning("skipped: %d files that cannot be read", len(written.skipped))
    for name, reason in written.skipped:
        logger.warning("  %s: %s", name, reason)
