"""Fine-tune a pre-trained encoder to classify point clouds: Tables 2 and 3, or your own classes.

    accelerate launch examples/run_classification.py
    accelerate launch examples/run_classification.py --model outputs/mine --data_dir my_clouds
    accelerate launch examples/run_classification.py --model outputs/mine --recipe paper --dataset modelnet40 \
        --data_dir ModelNet40 --bf16
    accelerate launch examples/run_classification.py --model outputs/mine --recipe paper --data_dir h5_files \
        --subset OBJ_BG --augmentation rotate_y --bf16

Without flags it takes less than 3 minutes on 2 CPU cores: a small model is pre-trained on the real objects of the package
for a minute, then fine-tuned on them. `--recipe paper` is for one or more GPUs; divide its batch by their number. Reports
overall and class accuracy of the last epoch and of the best epoch on validation, with and without voting. `--from_scratch True` measures the
model without pre-training. Flags of `transformers.TrainingArguments` replace the values of the recipe.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from transformers import set_seed

from jointmae_hf import JointMAEForPointCloudClassification
from jointmae_hf.data import PointCloudDataset
from jointmae_hf.evaluation import read_provenance, render_results
from jointmae_hf.hub import finish_run
from jointmae_hf.training import (
    DatasetArguments,
    FineTuningArguments,
    PointSampling,
    build_fine_tuning_trainer,
    parse_fine_tuning_arguments,
    set_up_process,
)
from jointmae_hf.training.finetuning import (
    load_fine_tuning_dataset,
    measure_epochs,
    result_template,
    save_fine_tuned,
)
from jointmae_hf.training.point_cloud_trainer import build_model


@dataclass
class ScriptArguments(FineTuningArguments):
    """Flags of this script in addition to those of `transformers.TrainingArguments`."""

    subset: str | None = field(
        default=None, metadata={"help": "Subset of ScanObjectNN: OBJ_BG, OBJ_ONLY or PB_T50_RS."}
    )

    def adjust(self, dataset_arguments: DatasetArguments) -> None:
        """Set the dataset and its option by `--subset`."""
        if self.subset is None:
            return
        if not dataset_arguments.is_unnamed and dataset_arguments.dataset != "scanobjectnn":
            raise ValueError(f"`subset` must come with `dataset` scanobjectnn, got {dataset_arguments.dataset}.")
        if "subset" in dataset_arguments.options:
            raise ValueError(f"`subset` must not be in `dataset_options` too, got {self.subset}.")
        dataset_arguments.dataset = "scanobjectnn"
        dataset_arguments.options["subset"] = self.subset.lower()


def main() -> None:
    """Fine-tune, measure, and write model, results and card."""
    start = time.time()
    script, dataset_arguments, training, recipe = parse_fine_tuning_arguments("classification", ScriptArguments)
    push_to_hub, training.push_to_hub = training.push_to_hub, False  # once, at the end, and only the final files
    set_up_process(training)
    checkpoint = script.find_checkpoint(Path(training.output_dir).parent, training.seed)
    splits = load_fine_tuning_dataset(script, dataset_arguments, training, recipe)
    classes = splits["train"].features["label"].names
    labels = {"id2label": dict(enumerate(classes)), "label2id": {name: label for label, name in enumerate(classes)}}
    config = script.build_config(recipe, checkpoint, **labels)
    clouds = {name: PointCloudDataset(split) for name, split in splits.items()}
    sampling = PointSampling(clouds["train"], recipe, config.num_points, training.seed)
    set_seed(training.seed)  # the weights of the head do not depend on whether a checkpoint was trained before
    model = build_model(JointMAEForPointCloudClassification, config, checkpoint)
    used = clouds["train"], clouds.get("validation")
    trainer = build_fine_tuning_trainer(model, training, sampling, *used, sync_batch_norm=script.sync_batch_norm)
    trainer.train(training.resume_from_checkpoint)

    pre_training = read_provenance(checkpoint)
    template = result_template(splits, dataset_arguments.dataset_name, training.seed, pre_training)
    metrics = ("overall_accuracy", "class_accuracy")
    results = measure_epochs(trainer, sampling, clouds[template.split], metrics, template)
    if not training.should_save:
        return
    save_fine_tuned(trainer, sampling, results, pre_training, start)
    output_dir = Path(training.output_dir)
    print(f"\n{render_results(results, 3 if dataset_arguments.dataset == 'scanobjectnn' else 2)}")
    print(f"model ({results[-1].selection_rule}), results and card: {output_dir}")
    if address := finish_run(output_dir, training, push_to_hub):
        print(f"published: {address}")


if __name__ == "__main__":
    main()
