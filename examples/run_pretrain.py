"""Pre-train Joint-MAE, draw reconstructions, and probe the encoder by a linear SVM.

    accelerate launch examples/run_pretrain.py
    accelerate launch examples/run_pretrain.py --recipe best --data_dir my_clouds --output_dir outputs/mine --bf16
    accelerate launch examples/run_pretrain.py --recipe paper --dataset shapenet55 --data_dir ShapeNet55 --bf16

Without a flag (`--recipe quick`): embedded procedural shapes, under 3 minutes on 2 CPU cores. Flags of
`transformers.TrainingArguments` take the place of the recipe's values.
"""

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from datasets import DatasetDict
from transformers import HfArgumentParser, TrainingArguments, set_seed

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.evaluation import Result, collect_run_facts, probe_encoder, sample_clouds, write_results
from jointmae_hf.hub import TrainingData, card_from_run, publish
from jointmae_hf.training import (
    RECIPES,
    DatasetArguments,
    JointMAETrainer,
    PreTrainingRecipe,
    ReconstructionCallback,
    build_trainer,
    cloud_titles,
    default_tracker,
    probe_clouds,
    save_pretrained,
    set_up_process,
    training_defaults,
)
from jointmae_hf.visualization import draw_reconstructions, save_figure


@dataclass
class ScriptArguments:
    """Flags of this script beside those of `transformers.TrainingArguments`."""

    recipe: str = field(default="quick", metadata={"help": f"Recipe: {', '.join(RECIPES)}."})
    model: str | None = field(
        default=None, metadata={"help": "Preset in place of the recipe's: jointmae-base, -small."}
    )
    config_overrides: str = field(
        default="{}", metadata={"help": "Fields of JointMAEConfig as JSON: '{\"num_views\": 1}'."}
    )
    num_points: int | None = field(default=None, metadata={"help": "Points of a cloud in place of the recipe's."})
    num_probe_train: int = field(
        default=2000, metadata={"help": "Most training clouds of the linear SVM; 0 for none."}
    )
    num_probe_test: int = field(default=800, metadata={"help": "Most held-out clouds of the linear SVM."})
    log_gradient_norms: bool = field(default=False, metadata={"help": "Log each loss's gradient at the encoder."})
    sync_batch_norm: bool = field(default=False, metadata={"help": "Batch norm over all GPUs instead of each alone."})


def parse_arguments() -> tuple[ScriptArguments, DatasetArguments, TrainingArguments, PreTrainingRecipe]:
    """Read the flags, with the recipe's values as defaults."""
    parser = HfArgumentParser((ScriptArguments, DatasetArguments, TrainingArguments))
    script, _ = HfArgumentParser(ScriptArguments).parse_args_into_dataclasses(return_remaining_strings=True)
    if script.recipe not in RECIPES:
        parser.error(f"--recipe must be one of {', '.join(RECIPES)}, got {script.recipe}.")
    recipe = RECIPES[script.recipe]
    parser.set_defaults(
        output_dir=f"outputs/jointmae-{script.recipe}",
        report_to=default_tracker(),
        **training_defaults(recipe),
    )
    return *parser.parse_args_into_dataclasses(), recipe


def collect_results(
    script: ScriptArguments,
    dataset: str,
    recipe: PreTrainingRecipe,
    trainer: JointMAETrainer,
    splits: DatasetDict,
    losses: dict,
) -> list[Result]:
    """Losses on the validation split and, with labels, the linear SVM before and after pre-training."""
    seed, config = trainer.args.seed, trainer.unwrapped_model.config
    sizes = {"num_train": len(splits["train"]), "num_test": len(splits["validation"])}
    results = [
        Result(name, value, "squared units", "validation", "last epoch", seed, dataset=dataset, **sizes)
        for name, value in losses.items()
    ]
    if "label" not in splits["train"].features or script.num_probe_train == 0:
        return results
    counts = (script.num_probe_train, script.num_probe_test)
    train, test, held_out = probe_clouds(splits, recipe, config.num_points, *counts, seed)
    set_seed(seed)
    models = {"linear_svm_untrained": JointMAEForPreTraining(config), "linear_svm": trainer.unwrapped_model}
    sizes = {"num_train": len(train["points"]), "num_test": len(test["points"])}
    for name, model in models.items():
        measured = probe_encoder(model.jointmae, train, test, device=trainer.args.device)
        rule = f"last epoch; {measured.selection}"
        results.append(Result(name, 100 * measured.accuracy, "%", held_out, rule, seed, dataset=dataset, **sizes))
    return results


def draw(trainer: JointMAETrainer, splits: DatasetDict, output_dir: Path, count: int = 5) -> None:
    """Save the paper's Fig. 5 for some held-out clouds."""
    held_out = splits["test" if "test" in splits else "validation"]
    batch = sample_clouds(held_out, count, trainer.unwrapped_model.config.num_points, trainer.args.seed)
    titles = cloud_titles(held_out, batch)
    figure = draw_reconstructions(trainer.unwrapped_model, batch["points"], titles, trainer.args.seed)
    save_figure(figure, output_dir / "reconstruction.png", {"seed": str(trainer.args.seed)})


def report(results: list[Result], output_dir: Path) -> None:
    """Print what came out: losses beside their trivial values, then the linear SVM."""
    values = {result.name: result.value for result in results}
    print(f"\n{'loss on validation':<20}{'learned':>12}{'trivial':>12}{'perfect':>12}")
    for name in ("loss_3d", "loss_2d", "loss_3d_2d"):
        if name in values:
            cells = [values.get(f"{name}{kind}") for kind in ("", "_trivial", "_perfect")]
            print(f"{name:<20}" + "".join(f"{'' if cell is None else f'{cell:.5f}':>12}" for cell in cells))
    if "linear_svm" in values:
        print(f"\nlinear SVM accuracy on held-out clouds: pre-trained {values['linear_svm']:.1f} %, ", end="")
        print(f"untrained {values['linear_svm_untrained']:.1f} %")
    print(f"model, figure, results and card: {output_dir}")


def main() -> None:
    """Train, evaluate, draw, probe and write the card."""
    start = time.time()
    script, dataset_arguments, training, recipe = parse_arguments()
    push_to_hub, training.push_to_hub = training.push_to_hub, False  # once, at the end, and only what belongs there
    set_up_process(training)
    overrides = json.loads(script.config_overrides)
    if script.num_points is not None:
        overrides["num_points"] = script.num_points
    config = recipe.build_config(script.model, **overrides)
    with training.main_process_first(desc="building the dataset"):
        sizes = {name: setting.value for name, setting in recipe.dataset_sizes.items()}
        splits = dataset_arguments.load(training.seed, validation_share=0.05, **sizes)
    trainer = build_trainer(config, recipe, training, splits, script.log_gradient_norms, script.sync_batch_norm)
    trainer.add_callback(ReconstructionCallback.from_split(trainer, splits["validation"]))
    references = trainer.measure_references()
    trainer.train(training.resume_from_checkpoint)
    losses = {name.removeprefix("eval_"): value for name, value in trainer.evaluate().items() if "loss" in name}
    if not training.should_save:
        return

    output_dir = Path(training.output_dir)
    save_pretrained(trainer, output_dir)
    if config.use_2d_branch:
        draw(trainer, splits, output_dir)
    dataset = dataset_arguments.dataset_name
    results = collect_results(script, dataset, recipe, trainer, splits, {**losses, **references})
    data = TrainingData.from_split(dataset, splits["train"])
    settings = recipe.describe(training, config)
    facts = {"recipe": {"recipe": script.recipe, **settings}, "training_data": [asdict(data)]}
    write_results(output_dir / "results.json", results, collect_run_facts(time.time() - start) | facts)
    card_from_run(output_dir).save(output_dir / "README.md")
    report(results, output_dir)
    if push_to_hub:
        print(f"published: {publish(output_dir, training.hub_model_id or output_dir.name)}")


if __name__ == "__main__":
    main()
