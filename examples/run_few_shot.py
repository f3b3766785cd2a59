"""Few-shot classification (Table 4): mean and standard deviation over ten folds of each setting.

    python examples/run_few_shot.py
    accelerate launch examples/run_few_shot.py --model outputs/mine --recipe paper --dataset modelnet_few_shot \
        --data_dir ModelNetFewshot --bf16
    python examples/run_few_shot.py --model outputs/mine --dataset modelnet40 --data_dir ModelNet40

Without flags it takes less than 3 minutes on 2 CPU cores: a small model is pre-trained on real objects of the package for a
minute, then probed on folds of them. `--recipe paper` is for a GPU. Folds are the published ones of `modelnet_few_shot`, or drawn by
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
    DatasetArguments,
    FineTuningArguments,
    FineTuningRecipe,
    parse_fine_tuning_arguments,
    set_up_process,
)
from jointmae_hf.training.few_shot import CLASSIFIERS, MeasuredFolds, fine_tune_fold, load_fold, probe_fold
from jointmae_hf.training.finetuning import write_fine_tuning_results
from jointmae_hf.training.point_cloud_trainer import build_model
from jointmae_hf.training.recipes import setting_values
from jointmae_hf.training.training_flags import REFUSED_BY_TASK, SVM_TRAINS_NO_MODEL, Refusal


NUM_TEST_SAMPLE_SHAPES = 6
"""Test objects of each class of a fold of `sample_shapes`: its classes have 4 to 15."""

_NOTHING_HELD_OUT = {"train_on_validation": Refusal((False,), "A fold has no validation split.")}
EXCLUDED_BY_CLASSIFIER = {
    "fine_tuning": _NOTHING_HELD_OUT,
    "linear_svm": {
        **REFUSED_BY_TASK["linear_svm"],
        **_NOTHING_HELD_OUT,
        "augmentation": Refusal((), SVM_TRAINS_NO_MODEL),
        "sync_batch_norm": Refusal((False,), SVM_TRAINS_NO_MODEL),
    },
}
"""Flags that have no effect with a classifier."""


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
    num_test: int | None = field(
        default=None,
        metadata={"help": f"Number of test clouds of each class; by default {NUM_TEST_SHAPES}, 6 of sample_shapes."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classifier is None:
            self.classifier = "linear_svm" if self.recipe == "quick" else "fine_tuning"
        if self.classifier not in CLASSIFIERS:
            raise ValueError(f"`classifier` must be one of {', '.join(CLASSIFIERS)}, got {self.classifier!r}.")
        for name in ("num_folds", "num_test"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")

    def excluded_flags(self, dataset_arguments: DatasetArguments) -> dict[str, Refusal]:
        """Return the flags that have no effect with the classifier and the dataset."""
        excluded = dict(EXCLUDED_BY_CLASSIFIER[self.classifier])
        if dataset_arguments.dataset == "modelnet_few_shot":
            excluded |= dict.fromkeys(("num_test", "validation_share"), Refusal((), "Its folds are published."))
        return excluded

    def num_test_of(self, dataset: str) -> int:
        """Return the number of test clouds of each class of a fold."""
        return self.num_test or {"sample_shapes": NUM_TEST_SAMPLE_SHAPES}.get(dataset, NUM_TEST_SHAPES)


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
    num_test: int,
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
                num_test=ways * num_test,
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
            splits = script.load_splits(dataset_arguments, training.seed, **setting_values(recipe.dataset_sizes))
        split = "test" if "test" in splits else "validation"
    is_quiet, training.disable_tqdm = training.disable_tqdm or not training.should_save, True  # one bar, over folds
    pre_training, output_dir = read_provenance(checkpoint), Path(training.output_dir)
    described = recipe.describe(training, script.build_config(recipe, checkpoint)) | {"classifier": script.classifier}
    num_test = script.num_test_of(str(dataset_arguments.dataset))
    run = {
        **described,
        "num_test": num_test,
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
            fold = load_fold(dataset_arguments, splits, ways, shots, number, training.seed, num_test)
            before = time.time()
            accuracy = measure_fold(script, training, recipe, checkpoint, fold)
            folds.add(setting, number, accuracy, time.time() - before)
    if not training.should_save:
        return
    results = summarize(script, dataset_arguments.dataset_name, split, num_test, training.seed, folds, pre_training)
    start = min(start, time.time() - folds.seconds)  # includes folds of earlier starts
    write_fine_tuning_results(output_dir, results, described, pre_training, start)
    print(f"\n{render_results(results, 4)}\nresults: {output_dir}")


if __name__ == "__main__":
    main()
