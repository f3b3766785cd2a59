"""Checkpoints to hand on: weights in half the bytes, what was measured with them, and their card."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

import jointmae_hf
from jointmae_hf.evaluation import read_results, write_results

from .model_card import card_from_run
from .model_card_facts import TrainingData
from .published_files import read_architecture


def release_checkpoint(
    run_dir: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    training_data: Sequence[TrainingData] | None = None,
) -> Path:
    """Make a checkpoint to hand on from the output folder of a run.

    Weights are rounded to bfloat16, half the bytes; `from_pretrained` gives them back as float32, unless told another
    `dtype`. What is measured is to be measured with them as they lie there, see [`add_results`].

    Args:
        run_dir (`str` or `os.PathLike`):
            Folder with model, `preprocessor_config.json` and `results.json`, and maybe pictures. It is not changed.
        output_dir (`str` or `os.PathLike`):
            New folder.
        training_data (sequence of [`TrainingData`], *optional*):
            What the weights have seen, with its terms, in place of what `results.json` tells.

    Returns:
        `pathlib.Path`: The folder: model, feature extractor, pictures, `results.json` and card.

    Raises:
        FileExistsError: If `output_dir` exists.
        FileNotFoundError: If `run_dir` lacks one of the files.
        ValueError: If `config.json` names no class of ours.
    """
    run_dir, output_dir = Path(run_dir), Path(output_dir)
    if output_dir.exists():
        raise FileExistsError(f"`output_dir` must be new, got {output_dir}. Remove it or name another.")
    for name in ("config.json", "preprocessor_config.json", "results.json"):
        if not (run_dir / name).is_file():
            raise FileNotFoundError(f"`run_dir` must hold {name}, got {run_dir} without.")
    results, run = read_results(run_dir / "results.json")
    if training_data is not None:
        run["training_data"] = [asdict(data) for data in training_data]
    model_class = getattr(jointmae_hf, read_architecture(run_dir))
    model_class.from_pretrained(run_dir).to(torch.bfloat16).save_pretrained(output_dir)
    _load_as_float32(output_dir / "config.json")
    for source in (run_dir / "preprocessor_config.json", *sorted(run_dir.glob("*.png"))):
        shutil.copyfile(source, output_dir / source.name)
    write_results(output_dir / "results.json", results, run)
    _write_card(output_dir)
    return output_dir


def add_results(checkpoint: str | os.PathLike[str], paths: Sequence[str | os.PathLike[str]]) -> None:
    """Add what was measured with a checkpoint to its `results.json`, and write its card anew.

    Args:
        checkpoint (`str` or `os.PathLike`):
            Folder, see [`release_checkpoint`].
        paths (sequence of `str` or `os.PathLike`):
            Files `results.json` of the runs that measured it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a result is there already.
    """
    path = Path(checkpoint) / "results.json"
    results, run = read_results(path)
    for other in paths:
        added, _ = read_results(other)
        known = [result for result in added if result in results]
        if known:
            raise ValueError(f"`paths` must hold new results, got {known[0].name} in {other}, which is there already.")
        results += added
    write_results(path, results, run)
    _write_card(path.parent)


def _load_as_float32(path: Path) -> None:
    """Let `from_pretrained` give float32: a processor without bfloat16 arithmetic is slower by it, and less exact."""
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"dtype": "float32"}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_card(folder: Path) -> None:
    """Write the card of what lies in the folder now."""
    (folder / "README.md").write_text(card_from_run(folder), encoding="utf-8")
