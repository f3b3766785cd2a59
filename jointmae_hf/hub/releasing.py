"""Released checkpoints: weights of half the size, with their results and card."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

import jointmae_hf
from jointmae_hf.evaluation import read_results, write_results

from .model_card import write_card
from .model_card_facts import TrainingData
from .verification import read_architecture


def release_checkpoint(
    run_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    training_data: Sequence[TrainingData] | None = None,
) -> Path:
    """Make a checkpoint for release from the output folder of a run.

    Weights are rounded to bfloat16, half the size; `from_pretrained` loads them as float32 unless `dtype` says otherwise.
    Evaluate the released weights, not those of the run, and add the results with [`add_results`].

    Args:
        run_dir (`str` or `os.PathLike`):
            Folder with model, `preprocessor_config.json` and `results.json`, and optionally figures. It is not changed.
        output_dir (`str` or `os.PathLike`):
            New folder.
        training_data (sequence of [`TrainingData`], *optional*):
            Datasets that the weights were trained on; defaults to those in `results.json`.

    Returns:
        `pathlib.Path`: The folder with model, feature extractor, figures, `results.json` and card.

    Raises:
        FileExistsError: If `output_dir` exists.
        FileNotFoundError: If a file of `run_dir` is missing.
        ValueError: If `config.json` does not name a class of this package.
    """
    run_dir, output_dir = Path(run_dir), Path(output_dir)
    if output_dir.exists():
        raise FileExistsError(f"`output_dir` must be new, got {output_dir}. Remove it or choose another.")
    for name in ("config.json", "preprocessor_config.json", "results.json"):
        if not (run_dir / name).is_file():
            raise FileNotFoundError(f"`run_dir` must hold {name}, got {run_dir} without it.")
    results, run = read_results(run_dir / "results.json")
    if training_data is not None:
        run["training_data"] = [asdict(data) for data in training_data]
    model = getattr(jointmae_hf, read_architecture(run_dir)).from_pretrained(run_dir).to(torch.bfloat16)
    model.save_pretrained(output_dir)
    model.config.dtype = (
        torch.float32
    )  # The default of `from_pretrained`: bfloat16 is slow and less exact on many CPUs.
    model.config.save_pretrained(output_dir)
    for source in (run_dir / "preprocessor_config.json", *run_dir.glob("*.png")):
        shutil.copyfile(source, output_dir / source.name)
    write_results(output_dir / "results.json", results, run)
    write_card(output_dir)
    return output_dir


def add_results(checkpoint: str | os.PathLike[str], paths: Sequence[str | os.PathLike[str]]) -> None:
    """Add results to the `results.json` of a released checkpoint, and update its card.

    Args:
        checkpoint (`str` or `os.PathLike`):
            Folder, see [`release_checkpoint`].
        paths (sequence of `str` or `os.PathLike`):
            `results.json` of the runs that evaluated the checkpoint.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a result was added before.
    """
    folder = Path(checkpoint)
    results, run = read_results(folder / "results.json")
    for path in paths:
        added, _ = read_results(path)
        known = [result for result in added if result in results]
        if known:
            raise ValueError(f"`paths` must hold new results, got {known[0].name} of {path}, which was added before.")
        results += added
    write_results(folder / "results.json", results, run)
    write_card(folder)
