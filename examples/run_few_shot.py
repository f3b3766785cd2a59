"""Few-shot classification (Table 4): mean and standard deviation over ten folds of each setting.

    python examples/run_few_shot.py
    accelerate launch examples/run_few_shot.py --model outputs/mine --recipe paper --dataset modelnet_few_shot \
        --data_dir ModelNetFewshot --bf16
    python examples/run_few_shot.py --model outputs/mine --dataset modelnet40 --data_dir ModelNet40

Without flags it takes less than 3 minutes on 2 CPU cores: a small model is pre-trained on embedded shapes for a minute, then
probed on folds of them. `--recipe paper` is for a GPU. Folds are the published ones of `modelnet_few_shot`, or drawn by
`--seed` from any labeled dataset. `--classifier linear_svm` fits a linear SVM on frozen features (default of recipe `quick`);
`fine_tuning` trains the whole model (default of recipe `paper`) and reports its last epoch. Measured folds are kept in
`folds.json`, and an interrupted run resumes with the next fold. Writes `results.json`, no model.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm
from transformers import TrainingArguments, set_seed

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEModel
from jointmae_hf.evaluation import (
    NUM_TEST_SHAPES,
    CheckpointProvenance,
    FewShotFold,
    Result,
    read_provenance,
    render_results,
)
from jointmae_hf.training import (
    FineTuningArguments,
    FineTuningRecipe,
    parse_fine_tuning_arguments,
    set_up_process,
)
from jointmae_hf.training.few_shot import CLASSIFIERS, MeasuredFolds, fine_tune_fold, load_fold, probe_fold
from jointmae_hf.training.finetuning import build_model, write_fine_tuning_results
from jointmae_hf.training.recipes import setting_values
from jointmae_hf.training.training_flags import REFUSED_BY_TASK, Refusal


@dataclass
class ScriptArguments(FineTuningArguments):
    """Flags of this script in addition to those of `transformers.TrainingArguments`."""

    classifier: str | None = field(
        default=None, metadata={"help": f"{' or '.join(CLASSIFIERS)}; by default linear_svm with recipe quick."}
    )
    num_ways: list[int] = field(default_factory=lambda: [5, 10], metadata={"help": "Number of classes of a fold."})
    num_shots: list[int] = field(
        default_factory=lambda: [10, 20], metadata={"help": "Number of training clouds of each class."}
    )
    num_folds: int = field(default=10, metadata={"help": "Number of folds of each setting."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classifier is None:
            self.classifier = "linear_svm" if self.recipe == "quick" else "fine_tuning"
        if self.classifier not in CLASSIFIERS:
            raise ValueError(f"`classifier` must be one of {', '.join(CLASSIFIERS)}, got {self.classifier!r}.")
        if self.num_folds < 1:
            raise ValueError(f"`num_folds` must be at least 1, got {self.num_folds}.")

    def excluded_flags(self) -> dict[str, Refusal]:
        """Return the flags of `TrainingArguments` that have no effect with the classifier."""
        return REFUSED_BY_TASK["linear_svm"] if self.classifier == "linear_svm" else super().excluded_flags()


def measure_fold(
    script: ScriptArguments,
    training: TrainingArguments,
    recipe: FineTuningRecipe,
    checkpoint: str | None,
    fold: FewShotFold,
) -> float:
    """Return the accuracy of one fold, starting from the weights of the checkpoint."""
    set_seed(training.seed)
    config = script.build_config(recipe, checkpoint, id2label=dict(enumerate(fold.class_names)))
    if script.classifier == "linear_svm":
        encoder = build_model(JointMAEModel, config, checkpoint, add_2d_branch=False).to(training.device)
        return probe_fold(encoder, fold, recipe, config.num_points, training.seed)
    model = build_model(JointMAEForPointCloudClassification, config, checkpoint)
    return fine_tune_fold(model, training, fold, recipe, script.sync_batch_norm)


def summarize(
    script: ScriptArguments,
    dataset_name: str,
    split: str,
    seed: int,
    folds: MeasuredFolds,
    pre_training: CheckpointProvenance,
) -> list[Result]:
    """Return mean and standard deviation over the folds of each setting."""
    rule = "last epoch" if script.classifier == "fine_tuning" else "C by cross-validation on the fold's train"
    results = []
    for ways in dict.fromkeys(script.num_ways):
        for shots in dict.fromkeys(script.num_shots):
            mean, std = folds.mean_and_std(f"{ways}-way {shots}-shot")
            result = Result(
                name="few_shot_accuracy",
                value=mean,
                unit="%",
                split=split,
                selection_rule=rule,
                seed=seed,
                num_train=ways * shots,
                num_test=ways * NUM_TEST_SHAPES,
                dataset=dataset_name,
                std=std,
                num_runs=script.num_folds,
                protocol=f"{ways}-way {shots}-shot, {script.classifier}",
                pre_training=pre_training.describe(dataset_name),
            )
            results.append(result)
    return results


def main() -> None:
    """Measure every fold of every setting and write the results."""
    start = time.time()
    quiet = {"save_strategy": "no", "logging_strategy": "no", "report_to": "none"}
    script, dataset_arguments, training, recipe = parse_fine_tuning_arguments("few_shot", ScriptArguments, **quiet)
    set_up_process(training)
    checkpoint = script.find_checkpoint(Path(training.output_dir).parent, training.seed)
    splits, split = None, "test"
    if dataset_arguments.dataset != "modelnet_few_shot":
        with training.main_process_first(desc="building the dataset"):
            sizes = setting_values(recipe.dataset_sizes)
            splits = dataset_arguments.load(training.seed, script.validation_share, **sizes)
        split = "test" if "test" in splits else "validation"
    is_quiet, training.disable_tqdm = training.disable_tqdm or not training.should_save, True  # one bar, over folds
    pre_training, output_dir = read_provenance(checkpoint), Path(training.output_dir)
    described = recipe.describe(training, script.build_config(recipe, checkpoint)) | {"classifier": script.classifier}
    run = {
        **described,
        "dataset": dataset_arguments.dataset_name,
        "options": dataset_arguments.options,
        "checkpoint": pre_training.checkpoint,
    }
    folds = MeasuredFolds(output_dir / "folds.json", run, training.should_save)
    grid = [
        (ways, shots, fold)
        for ways in script.num_ways
        for shots in script.num_shots
        for fold in range(script.num_folds)
    ]
    for ways, shots, number in tqdm(grid, desc="folds", disable=is_quiet):
        setting = f"{ways}-way {shots}-shot"
        if folds.get(setting, number) is None:
            fold = load_fold(dataset_arguments, splits, ways, shots, number, training.seed)
            before = time.time()
            accuracy = measure_fold(script, training, recipe, checkpoint, fold)
            folds.add(setting, number, accuracy, time.time() - before)
    if not training.should_save:
        return
    results = summarize(script, dataset_arguments.dataset_name, split, training.seed, folds, pre_training)
    start = min(start, time.time() - folds.seconds)  # includes folds of earlier starts
    write_fine_tuning_results(output_dir, results, described, pre_training, start)
    print(f"\n{render_results(results, 4)}\nresults: {output_dir}")


if __name__ == "__main__":
    main()
