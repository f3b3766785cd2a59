"""Checkpoints for scripts that are started without one: the shipped weights, or a shortened run of the quick recipe."""

from pathlib import Path

from transformers import TrainingArguments, set_seed

from jointmae_hf.data.licenses import describe_licenses
from jointmae_hf.evaluation import Result, collect_run_facts, read_results, write_results

from .pretraining import build_trainer, training_defaults
from .recipes import QUICK


NUM_STEPS = 120
DATASET, VALIDATION_SHARE = "sample_shapes", 0.05
SHIPPED_WEIGHTS = Path(__file__).parents[2] / "checkpoints" / "jointmae-small"
"""Folder of the weights in a clone; an installed package has none."""


def demonstration_checkpoint(
    folder: str | Path, use_2d_branch: bool = True, seed: int = 42, num_steps: int = NUM_STEPS
) -> Path:
    """Pre-train a small model on `sample_shapes` in about a minute, or return the one from an earlier call.

    It lets every script run without a download. Its accuracy says nothing about the paper: it sees less than a twentieth of
    a percent of the paper's training samples.

    Args:
        folder (`str` or `pathlib.Path`):
            Parent of the checkpoint folders, one for each combination of the other arguments.
        use_2d_branch (`bool`, *optional*, defaults to `True`):
            `False` for the 3D-only baseline.
        seed (`int`, *optional*, defaults to 42):
            Seed of weights and training.
        num_steps (`int`, *optional*, defaults to 120):
            Number of training steps, each with 32 clouds.

    Returns:
        `pathlib.Path`: Folder with model, feature extractor and `results.json`.
    """
    kind = "joint" if use_2d_branch else "3d_only"
    output_dir = Path(folder) / f"{DATASET}_{kind}_{num_steps}_steps_seed_{seed}"
    if (output_dir / "results.json").is_file():  # written last
        read_results(output_dir / "results.json")
        return output_dir
    from jointmae_hf.data import load_splits  # imports `datasets`

    set_seed(seed)
    config = QUICK.build_config(use_2d_branch=use_2d_branch)
    splits = load_splits(DATASET, validation_share=VALIDATION_SHARE, seed=seed)
    trainer = build_trainer(config, QUICK, _training_arguments(output_dir, seed, num_steps), splits)
    trainer.train()
    loss = trainer.evaluate()["eval_loss"]
    trainer.save_pretrained(output_dir)
    result = Result(
        name="loss",
        value=loss,
        unit="squared units",
        split="validation",
        selection_rule="last step",
        seed=seed,
        num_train=len(splits["train"]),
        num_test=len(splits["validation"]),
        dataset=DATASET,
    )
    data = {"training_data": [{"name": DATASET, **describe_licenses(splits["train"])}]}
    write_results(output_dir / "results.json", [result], collect_run_facts() | data)
    return output_dir


def default_checkpoint(folder: str | Path, seed: int = 42) -> Path:
    """Return the weights that a clone contains or, without a clone, those of [`demonstration_checkpoint`].

    Args:
        folder (`str` or `pathlib.Path`):
            Parent of the folder of a demonstration checkpoint.
        seed (`int`, *optional*, defaults to 42):
            Seed of its training.

    Returns:
        `pathlib.Path`: Folder with model and feature extractor.
    """
    return SHIPPED_WEIGHTS if SHIPPED_WEIGHTS.is_dir() else demonstration_checkpoint(folder, seed=seed)


def _training_arguments(output_dir: Path, seed: int, num_steps: int) -> TrainingArguments:
    """Return the arguments of the quick recipe for a few steps, without intermediate checkpoints."""
    few_steps = {"max_steps": num_steps, "save_strategy": "no", "eval_strategy": "no", "report_to": "none"}
    return TrainingArguments(output_dir=str(output_dir), seed=seed, **(training_defaults(QUICK) | few_steps))
