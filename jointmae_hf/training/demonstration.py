"""A checkpoint for scripts that are started without one: the quick recipe, cut short."""

from pathlib import Path

from transformers import TrainingArguments, set_seed

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, load_point_clouds
from jointmae_hf.evaluation import Result, collect_run_facts, read_results, write_results
from jointmae_hf.model import JointMAEFeatureExtractor, JointMAEForPreTraining

from .pretraining_trainer import JointMAETrainer
from .recipes import QUICK


NUM_STEPS = 120


def demonstration_checkpoint(
    folder: str | Path, use_2d_branch: bool = True, seed: int = 42, num_steps: int = NUM_STEPS
) -> Path:
    """Pre-train a small model on embedded shapes for about a minute, or find the one that is already there.

    It lets every script run without a download. What it reaches is no result of the paper: a twentieth of a percent of
    its training.

    Args:
        folder (`str` or `pathlib.Path`):
            Where checkpoints are kept, one in a sub-folder for each choice of the other arguments.
        use_2d_branch (`bool`, *optional*, defaults to `True`):
            False for the 3D-only baseline.
        seed (`int`, *optional*, defaults to 42):
            Of the weights and of the training.
        num_steps (`int`, *optional*, defaults to 120):
            Training steps of 32 clouds.

    Returns:
        `pathlib.Path`: Folder of the checkpoint: model, feature extractor and `results.json`.
    """
    kind = "joint" if use_2d_branch else "3d_only"
    output_dir = Path(folder) / f"demonstration_{kind}_{num_steps}_steps_seed_{seed}"
    if (output_dir / "results.json").is_file():  # written last
        read_results(output_dir / "results.json")
        return output_dir
    set_seed(seed)
    config = QUICK.build_config(use_2d_branch=use_2d_branch)
    corpus = load_point_clouds("synthetic_shapes", **{name: setting.value for name, setting in QUICK.corpus.items()})
    trainer = JointMAETrainer(
        model=JointMAEForPreTraining(config),
        args=_training_arguments(output_dir, seed, num_steps),
        train_dataset=PointCloudDataset(corpus["train"]),
        eval_dataset=PointCloudDataset(corpus["validation"]),
        data_collator=PointCloudCollator(config.num_points, seed),
        transform=QUICK.build_transform(config.num_points, seed),
    )
    trainer.train()
    loss = trainer.evaluate()["eval_loss"]
    trainer.unwrapped_model.save_pretrained(output_dir)
    JointMAEFeatureExtractor(num_points=config.num_points).save_pretrained(output_dir)
    result = Result(
        name="loss",
        value=loss,
        unit="squared units",
        split="validation",
        selection_rule="last step",
        seed=seed,
        num_train=len(corpus["train"]),
        num_test=len(corpus["validation"]),
        dataset="synthetic_shapes",
    )
    data = {"training_data": [{"name": "synthetic_shapes", "num_samples": len(corpus["train"])}]}
    write_results(output_dir / "results.json", [result], collect_run_facts() | data)
    return output_dir


def _training_arguments(output_dir: Path, seed: int, num_steps: int) -> TrainingArguments:
    """Arguments of the quick recipe for a few steps, without checkpoints on the way."""
    values = {name: setting.value for name, setting in QUICK.training.items()}
    values |= {"max_steps": num_steps, "save_strategy": "no", "eval_strategy": "no", "report_to": "none"}
    return TrainingArguments(
        output_dir=str(output_dir),
        seed=seed,
        remove_unused_columns=False,
        label_names=["points"],
        prediction_loss_only=True,
        logging_nan_inf_filter=False,
        **values,
    )
