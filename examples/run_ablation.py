"""Tables 6, 7 and 8, the supplement's ablations, and the claim itself: does 2D help 3D?

    accelerate launch examples/run_ablation.py                                # Table 6, real objects of the package
    accelerate launch examples/run_ablation.py --table 2d --seeds 0 1 2
    accelerate launch examples/run_ablation.py --table 8 --recipe paper --dataset shapenet55 --data_dir ShapeNet55 \
        --probe_dataset modelnet40 --probe_data_dir ModelNet40 --num_probe_train 9843 --num_probe_test 2468 --bf16
    python examples/run_ablation.py --table 2d --recipe best --clouds modelnet40.npz --num_samples 1000000 \
        --seeds 0 1 2 --num_probe_train 9843 --num_probe_test 2468 --bf16 --torch_compile

All rows are pre-trained with the same code, data, seeds and budget, and probed by a linear SVM with C chosen by
cross-validation on train; the last epoch is measured. Tables: `2d` (3D only against Joint-MAE), `6`, `7`, `8`, `supplement`,
`choices` (what the paper leaves open). Without flags it takes 6 minutes on 2 CPU cores, because the quick recipe is cut to
160 steps a row: enough to try the command, not to rank the rows. `--num_samples` sets a budget that does not depend on batch
size or number of GPUs. Finished rows are not run again, interrupted ones resume, and rows that tables share are trained once.
`--clouds` names a `.npz` file with `points` (y up), `labels` and `split` (0 train, 1 test), which is kept in memory, on a GPU
in its memory; `datasets` is not needed then. Writes `table_6.md` and `table_6.json` next to one folder for each row and seed
with its checkpoint and card; `--push_to_hub` publishes the last row.
"""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from transformers import TrainingArguments

from jointmae_hf.data import hold_out, read_point_cloud_tensors
from jointmae_hf.evaluation import Result, collect_run_facts, write_results
from jointmae_hf.hub import card_from_run, finish_run
from jointmae_hf.training import ABLATIONS, AblationStudy, DatasetArguments, PreTrainingRecipe, set_up_process
from jointmae_hf.training.ablations import paired_gains, render_ablation
from jointmae_hf.training.arguments import PreTrainingArguments, parse_pretraining_arguments
from jointmae_hf.training.recipes import setting_values


QUICK_STEPS = 160
VALIDATION_SHARE = 0.05


@dataclass
class ScriptArguments(PreTrainingArguments):
    """Flags of this script in addition to those of `transformers.TrainingArguments`."""

    table: str = field(default="6", metadata={"help": f"Table: {', '.join(ABLATIONS)}."})
    seeds: list[int] = field(default_factory=lambda: [42], metadata={"help": "Seeds of each row; --seed is not used."})
    num_samples: int | None = field(
        default=None, metadata={"help": "Number of training samples of each row, instead of --max_steps."}
    )
    clouds: str | None = field(
        default=None, metadata={"help": "File (.npz) of labeled clouds to keep in memory, instead of a dataset."}
    )
    probe_dataset: str | None = field(
        default=None, metadata={"help": "Dataset of the linear SVM; by default that of pre-training."}
    )
    probe_data_dir: str | None = field(default=None, metadata={"help": "Folder of that dataset's files."})
    probe_dataset_options: str = field(default="{}", metadata={"help": "Options of that dataset as JSON."})

    def check(self, dataset_arguments: DatasetArguments, training: TrainingArguments) -> None:
        """Raise `ValueError` if a value is invalid or flags contradict each other."""
        if self.num_probe_train < 1:
            raise ValueError(f"--num_probe_train must be at least 1, got {self.num_probe_train}.")
        if self.checkpoint is not None:
            raise ValueError(
                f"--model must be jointmae-base or jointmae-small, got {self.model}. Rows start at random."
            )
        if self.table not in ABLATIONS:
            raise ValueError(f"--table must be one of {', '.join(ABLATIONS)}, got {self.table}.")
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds, default=-1) < 0:
            raise ValueError(f"--seeds must be different numbers from 0, got {self.seeds}.")
        if self.num_samples is not None and (self.num_samples < 1 or training.max_steps > 0):
            raise ValueError(f"--num_samples must be positive and without --max_steps, got {self.num_samples}.")
        has_probe = self.probe_dataset or self.probe_data_dir
        if self.probe_dataset_options != "{}" and not has_probe:
            raise ValueError(
                "--probe_dataset_options must come with --probe_dataset or --probe_data_dir, got neither."
            )
        if self.clouds and (has_probe or not dataset_arguments.is_default):
            raise ValueError("--clouds must be the only dataset. Leave out the flags of datasets.")


def set_budget(script: ScriptArguments, training: TrainingArguments, recipe: PreTrainingRecipe) -> None:
    """Set the number of steps by `--num_samples`, or shorten the quick recipe if no flag sets its length."""
    if script.num_samples is not None:
        batch_size = training.train_batch_size * training.gradient_accumulation_steps * training.world_size
        training.max_steps = math.ceil(script.num_samples / batch_size)
        return
    if script.recipe == "quick" and not script.passed.keys() & {"max_steps", "num_train_epochs"}:
        training.max_steps = QUICK_STEPS


def build_study(
    script: ScriptArguments, dataset: DatasetArguments, training: TrainingArguments, recipe: PreTrainingRecipe
) -> AblationStudy:
    """Load the data that all rows and seeds share."""
    name, fields, probe = dataset.dataset_name, script.overrides, dataset
    if script.clouds:
        name = Path(script.clouds).stem
        splits = read_point_cloud_tensors(script.clouds)
        if "validation" not in splits:
            splits["train"], splits["validation"] = hold_out(splits["train"], VALIDATION_SHARE)
        splits = probe_splits = {split: clouds.to(training.device) for split, clouds in splits.items()}
        fields = {"num_points": splits["train"].num_points, **fields}
        training.dataloader_pin_memory = False  # clouds on a GPU cannot be pinned
    else:
        if script.probe_dataset or script.probe_data_dir:
            probe = DatasetArguments(script.probe_dataset, script.probe_data_dir, script.probe_dataset_options)
        sizes = setting_values(recipe.dataset_sizes)
        with training.main_process_first(desc="building the datasets"):
            splits = dataset.load(0, VALIDATION_SHARE, **sizes)
            probe_splits = splits if probe is dataset else probe.load(0, **sizes)
    return AblationStudy(
        recipe=recipe,
        training=training,
        splits=splits,
        dataset_name=name,
        probe_splits=probe_splits,
        probe_name=name if probe is dataset else probe.dataset_name,
        fields=fields,
        preset=script.model,
        num_probe_train=script.num_probe_train,
        num_probe_test=script.num_probe_test,
    )


def write_table(script: ScriptArguments, study: AblationStudy, results: list[Result], seconds: float) -> str:
    """Write the table as Markdown and JSON, and return the Markdown."""
    output_dir, last_row = Path(study.training.output_dir), ABLATIONS[script.table][-1]
    settings = {"recipe": script.recipe, **study.recipe.describe(study.training, study.config(last_row))}
    settings |= {"max_steps": study.training.max_steps, "seed": script.seeds}
    data = [{"name": study.dataset_name, "num_samples": len(study.splits["train"])}]
    facts = collect_run_facts(seconds) | {"recipe": settings, "training_data": data}
    rendered = render_ablation(results, script.table)
    write_results(output_dir / f"table_{script.table}.json", [*results, *paired_gains(results)], facts)
    (output_dir / f"table_{script.table}.md").write_text(rendered, encoding="utf-8")
    return rendered


def main() -> None:
    """Run every row with every seed, then write the table."""
    start = time.time()
    defaults = {"eval_strategy": "no", "save_total_limit": 1, "report_to": "none"}
    script, dataset, training, recipe = parse_pretraining_arguments(ScriptArguments, "ablation", **defaults)
    set_budget(script, training, recipe)
    push_to_hub, training.push_to_hub = training.push_to_hub, False  # the last row, once, at the end
    set_up_process(training)
    study = build_study(script, dataset, training, recipe)
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
    rendered = write_table(script, study, results, time.time() - start)
    output_dir = Path(training.output_dir)
    print(f"\n{rendered}\ntable, results and checkpoints: {output_dir}")
    last_row = study.folder(ABLATIONS[script.table][-1], script.seeds[0])
    if address := finish_run(last_row, training, push_to_hub):
        print(f"published: {address}")


if __name__ == "__main__":
    main()
