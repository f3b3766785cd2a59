"""Tables 6, 7 and 8, the supplement's ablations, and the claim itself: does 2D help 3D?

    accelerate launch examples/run_ablation.py                                # Table 6, embedded shapes
    accelerate launch examples/run_ablation.py --table 2d --seeds 0 1 2
    accelerate launch examples/run_ablation.py --table 8 --recipe paper --dataset shapenet55 --data_dir ShapeNet55 \
        --probe_dataset modelnet40 --probe_data_dir ModelNet40 --num_probe_train 9843 --num_probe_test 2468 --bf16

Every row is pre-trained from one code base with the same data, seeds and budget, and probed by a linear SVM whose C is
chosen by cross-validation on train; the epoch is the last. Tables: `2d` (3D only against Joint-MAE), `6`, `7`, `8`,
`supplement`. Without a flag 6 minutes on 2 quiet CPU cores, because the quick recipe is cut to 160 steps a row: enough to
try the command, not to rank the rows. A finished row is not run again, an interrupted one resumes; rows that tables
share are trained once. `--recipe paper` takes the published hyper-parameters, 300 epochs a row. Leaves `table_6.md`
and `table_6.json` beside one folder for each row and seed, which holds its checkpoint and card;
`--push_to_hub` publishes the last row's.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from transformers import HfArgumentParser, TrainingArguments

from jointmae_hf.evaluation import Result, collect_run_facts, write_results
from jointmae_hf.hub import card_from_run, publish
from jointmae_hf.training import (
    ABLATIONS,
    RECIPES,
    AblationStudy,
    DatasetArguments,
    paired_gains,
    render_ablation,
    set_up_process,
    training_defaults,
)


QUICK_STEPS = 160


@dataclass
class ScriptArguments:
    """Flags of this script beside those of `transformers.TrainingArguments`."""

    table: str = field(default="6", metadata={"help": f"Table: {', '.join(ABLATIONS)}."})
    recipe: str = field(default="quick", metadata={"help": f"Recipe: {', '.join(RECIPES)}."})
    seeds: list[int] = field(default_factory=lambda: [42], metadata={"help": "Seeds; --seed is not used."})
    model: str | None = field(
        default=None, metadata={"help": "Preset in place of the recipe's: jointmae-base, -small."}
    )
    config_overrides: str = field(
        default="{}", metadata={"help": "Fields of JointMAEConfig of every row as JSON: '{\"num_points\": 1024}'."}
    )
    num_probe_train: int = field(default=2000, metadata={"help": "Most clouds that the linear SVM is fitted on."})
    num_probe_test: int = field(default=800, metadata={"help": "Most clouds that it is measured on."})
    probe_dataset: str | None = field(
        default=None, metadata={"help": "Dataset of the linear SVM; by default that of pre-training."}
    )
    probe_data_dir: str | None = field(default=None, metadata={"help": "Folder of its files."})
    probe_dataset_options: str = field(default="{}", metadata={"help": "Its options as JSON."})

    def probe_arguments(self, dataset: DatasetArguments) -> DatasetArguments:
        """Dataset of the linear SVM."""
        if self.probe_dataset is None and self.probe_data_dir is None:
            return dataset
        return DatasetArguments(self.probe_dataset, self.probe_data_dir, self.probe_dataset_options)


def parse_arguments() -> tuple[ScriptArguments, DatasetArguments, TrainingArguments]:
    """Read the flags, with the recipe's values as defaults."""
    parser = HfArgumentParser((ScriptArguments, DatasetArguments, TrainingArguments))
    script, _ = HfArgumentParser(ScriptArguments).parse_args_into_dataclasses(return_remaining_strings=True)
    for name, value, known in (("table", script.table, ABLATIONS), ("recipe", script.recipe, RECIPES)):
        if value not in known:
            parser.error(f"--{name} must be one of {', '.join(known)}, got {value}.")
    if len(set(script.seeds)) != len(script.seeds) or min(script.seeds, default=-1) < 0:
        parser.error(f"--seeds must be different numbers from 0, got {script.seeds}.")
    defaults = training_defaults(RECIPES[script.recipe]) | {"eval_strategy": "no", "save_total_limit": 1}
    parser.set_defaults(output_dir=f"outputs/ablation-{script.recipe}", report_to="none", **defaults)
    script, dataset, training = parser.parse_args_into_dataclasses()
    epochs = defaults["num_train_epochs"]
    if script.recipe == "quick" and training.max_steps < 0 and training.num_train_epochs == epochs:
        training.max_steps = QUICK_STEPS
    return script, dataset, training


def build_study(script: ScriptArguments, dataset: DatasetArguments, training: TrainingArguments) -> AblationStudy:
    """Load the data that all rows and seeds share."""
    recipe = RECIPES[script.recipe]
    probe = script.probe_arguments(dataset)
    sizes = {name: setting.value for name, setting in recipe.dataset_sizes.items()}
    with training.main_process_first(desc="building the datasets"):
        pretraining_splits = dataset.load(seed=0, validation_share=0.05, **sizes)
        probe_splits = pretraining_splits if probe is dataset else probe.load(seed=0, **sizes)
    return AblationStudy(
        recipe=recipe,
        training=training,
        dataset=pretraining_splits,
        dataset_name=dataset.dataset_name,
        probe_dataset=probe_splits,
        probe_name=probe.dataset_name,
        fields=json.loads(script.config_overrides),
        preset=script.model,
        num_probe_train=script.num_probe_train,
        num_probe_test=script.num_probe_test,
    )


def main() -> None:
    """Run every row with every seed, then write the table."""
    start = time.time()
    script, dataset, training = parse_arguments()
    push_to_hub, training.push_to_hub = training.push_to_hub, False  # the last row, once, at the end
    set_up_process(training)
    study = build_study(script, dataset, training)
    results: list[Result] = []
    for row in ABLATIONS[script.table]:
        for seed in script.seeds:
            result = study.measure(row, seed)
            results.append(result)
            if training.should_save:
                folder = study.folder(row, seed)
                card_from_run(folder).save(folder / "README.md")
                print(f"{row.label}, seed {seed}: linear SVM {result.value:.1f} %", flush=True)
    if not training.should_save:
        return
    output_dir = Path(training.output_dir)
    settings = study.recipe.describe(training, study.config(ABLATIONS[script.table][-1]))
    facts = {"recipe": {"recipe": script.recipe, **settings, "max_steps": training.max_steps, "seed": script.seeds}}
    facts |= {"training_data": [{"name": study.dataset_name, "num_samples": len(study.dataset["train"])}]}
    rendered = render_ablation(results, script.table)
    write_results(
        output_dir / f"table_{script.table}.json",
        [*results, *paired_gains(results)],
        collect_run_facts(time.time() - start) | facts,
    )
    (output_dir / f"table_{script.table}.md").write_text(rendered, encoding="utf-8")
    print(f"\n{rendered}\ntable, results and checkpoints: {output_dir}")
    if push_to_hub:
        folder = study.folder(ABLATIONS[script.table][-1], script.seeds[0])
        print(f"published: {publish(folder, training.hub_model_id or output_dir.name)}")


if __name__ == "__main__":
    main()
