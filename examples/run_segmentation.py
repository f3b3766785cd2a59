"""Fine-tune a pre-trained encoder to segment point clouds into parts (Table 5).

    accelerate launch examples/run_segmentation.py
    accelerate launch examples/run_segmentation.py --model outputs/mine --recipe paper --dataset shapenet_part \
        --data_dir hdf5_data --train_on_validation True --bf16
    accelerate launch examples/run_segmentation.py --model outputs/mine --num_groups 512 128

Without flags it takes less than 3 minutes on 2 CPU cores: a small model is pre-trained on the real objects of the package
for a minute, then fine-tuned on the parts of 400 procedural shapes. `--recipe paper` is for one or more GPUs; divide its batch by their number. Reports
instance and class mIoU and the IoU of each category, of the last epoch and of the best epoch on validation; predicted parts
are limited to those of the category. A part that is neither present nor predicted has an IoU of 1. `--use_category False`
hides the category from the model. Flags of `transformers.TrainingArguments` replace the values of the recipe.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from transformers import set_seed

from jointmae_hf import JointMAEForPointCloudSegmentation
from jointmae_hf.data import PointCloudDataset
from jointmae_hf.evaluation import Result, read_provenance, render_results
from jointmae_hf.hub import finish_run
from jointmae_hf.training import (
    FineTuningArguments,
    PointSampling,
    SegmentationTrainer,
    build_fine_tuning_trainer,
    parse_fine_tuning_arguments,
    set_up_process,
)
from jointmae_hf.training.arguments import add_overrides
from jointmae_hf.training.finetuning import (
    load_fine_tuning_dataset,
    part_fields,
    result_template,
    save_fine_tuned,
    to_results,
    weights_to_measure,
)
from jointmae_hf.training.point_cloud_trainer import build_model


@dataclass
class ScriptArguments(FineTuningArguments):
    """Flags of this script in addition to those of `transformers.TrainingArguments`."""

    num_groups: list[int] | None = field(
        default=None,
        metadata={"help": "Number of centers of each scale, instead of the checkpoint's, such as 512 128."},
    )
    use_category: bool = field(default=True, metadata={"help": "Whether the model gets the category."})

    def __post_init__(self) -> None:
        super().__post_init__()
        add_overrides(self.overrides, {"num_groups": self.num_groups})


def measure(
    trainer: SegmentationTrainer, clouds: PointCloudDataset, categories: list[str], template: Result
) -> list[Result]:
    """Measure the mean IoUs and the IoU of each category, of the last and of the best weights."""
    groups = " and ".join(map(str, trainer.unwrapped_model.config.num_groups))
    setting = [f"{groups} groups", None if trainer.use_category else "without category"]
    results = []
    for epoch, selection_rule in weights_to_measure(trainer):
        selected, metrics = replace(template, selection_rule=selection_rule), trainer.measure(clouds)
        results += to_results(metrics, ("instance_miou", "class_miou"), selected, [*setting, epoch])
        for label, category in enumerate(categories):
            if f"category_iou_{label}" in metrics:  # not every category occurs in a small split
                value = {"category_iou": metrics[f"category_iou_{label}"]}
                results += to_results(value, ("category_iou",), selected, [category, *setting, epoch])
    return results


def main() -> None:
    """Fine-tune, measure, and write model, results and card."""
    start = time.time()
    script, dataset_arguments, training, recipe = parse_fine_tuning_arguments(
        "segmentation", ScriptArguments, label_names=["part_labels", "labels"]
    )
    push_to_hub, training.push_to_hub = training.push_to_hub, False  # once, at the end, and only the final files
    set_up_process(training)
    fields = part_fields(str(dataset_arguments.dataset))
    checkpoint = script.find_checkpoint(Path(training.output_dir).parent, training.seed)
    splits = load_fine_tuning_dataset(script, dataset_arguments, training, recipe)
    config = script.build_config(recipe, checkpoint, **fields)
    clouds = {name: PointCloudDataset(split) for name, split in splits.items()}
    sampling = PointSampling(clouds["train"], recipe, config.num_points, training.seed, keep_order=True)
    set_seed(training.seed)  # the weights of the head do not depend on whether a checkpoint was trained before
    trainer = build_fine_tuning_trainer(
        build_model(JointMAEForPointCloudSegmentation, config, checkpoint),
        training,
        sampling,
        clouds["train"],
        clouds.get("validation"),
        SegmentationTrainer,
        sync_batch_norm=script.sync_batch_norm,
        use_category=script.use_category,
    )
    trainer.train(training.resume_from_checkpoint)

    pre_training = read_provenance(checkpoint)
    template = result_template(splits, dataset_arguments.dataset_name, training.seed, pre_training)
    results = measure(trainer, clouds[template.split], splits["train"].features["label"].names, template)
    if not training.should_save:
        return
    save_fine_tuned(trainer, sampling, results, pre_training, start)
    output_dir = Path(training.output_dir)
    print(f"\n{render_results(results, 5)}")
    print(f"model ({results[-1].selection_rule}), results and card: {output_dir}")
    if address := finish_run(output_dir, training, push_to_hub):
        print(f"published: {address}")


if __name__ == "__main__":
    main()
