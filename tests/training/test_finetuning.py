"""Trainers of fine-tuning: losses, metrics, votes, weights that are measured, samples counted once."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import TrainingArguments, set_seed

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEForPointCloudSegmentation
from jointmae_hf.data import PointCloudCollator
from jointmae_hf.evaluation import Voting
from jointmae_hf.training import ClassificationTrainer, RunningStatisticsCallback, SegmentationTrainer
from jointmae_hf.training.finetuning import part_fields, weights_to_measure


CATEGORY_LABELS = [[0, 1], [2, 3, 4]]


def samples(count=7, num_points=64):
    rng = np.random.default_rng(0)
    rows = []
    for index in range(count):
        category = index % 2
        parts = rng.choice(CATEGORY_LABELS[category], num_points)
        points = rng.normal(size=(num_points, 3)).astype(np.float32)
        rows.append({"points": points, "index": index, "labels": category, "part_labels": parts})
    return rows


@pytest.fixture
def make_trainer(build_tiny_config, tmp_path):
    def make(trainer_class=ClassificationTrainer, options=None, **arguments):
        set_seed(0)
        is_segmentation = trainer_class is SegmentationTrainer
        model_class = JointMAEForPointCloudSegmentation if is_segmentation else JointMAEForPointCloudClassification
        fields = {"num_labels": 5, "num_categories": 2, "category_labels": CATEGORY_LABELS} if is_segmentation else {}
        defaults = {
            "output_dir": str(tmp_path / "run"),
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 2,
            "max_steps": 2,
            "learning_rate": 1e-2,
            "save_strategy": "no",
            "remove_unused_columns": False,
            "label_names": ["part_labels", "labels"] if is_segmentation else ["labels"],
            "disable_tqdm": True,
            "use_cpu": True,
            "report_to": "none",
        }
        return trainer_class(
            model=model_class(build_tiny_config(**fields)),
            args=TrainingArguments(**defaults | arguments),
            train_dataset=samples(),
            eval_dataset=samples(),
            data_collator=PointCloudCollator(),
            **(options or {}),
        )

    return make


@pytest.mark.parametrize("trainer_class", [ClassificationTrainer, SegmentationTrainer])
def test_batch_norm_averages_the_first_batches(make_trainer, trainer_class):
    callbacks = make_trainer(trainer_class).callback_handler.callbacks
    assert sum(isinstance(callback, RunningStatisticsCallback) for callback in callbacks) == 1


def test_classification_measures_every_sample_once(make_trainer):
    trainer = make_trainer(dataloader_drop_last=True)
    output = trainer.predict(samples())
    assert output.predictions.shape == (7, 2)
    assert output.label_ids.tolist() == [0, 1, 0, 1, 0, 1, 0]
    right = (output.predictions.argmax(axis=-1) == output.label_ids).mean()
    assert output.metrics["test_overall_accuracy"] == pytest.approx(right)


def test_label_smoothing_is_that_of_cross_entropy(make_trainer):
    trainer = make_trainer(label_smoothing_factor=0.3)
    trainer.model.train()
    batch = PointCloudCollator()(samples(4))
    torch.manual_seed(0)
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    expected = torch.nn.functional.cross_entropy(outputs["logits"], batch["labels"], label_smoothing=0.3)
    torch.testing.assert_close(loss, expected)
    trainer.model.eval()
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(outputs["logits"], batch["labels"]))


def test_accumulated_batches_are_averaged(make_trainer):
    trainer = make_trainer(gradient_accumulation_steps=2, per_device_train_batch_size=2, max_steps=1)
    assert not trainer.model_accepts_loss_kwargs
    trainer.train()
    assert trainer.state.log_history[-1]["train_loss"] < 3.0  # a sum of two would be twice as large


def test_vote_replaces_one_pass_and_is_undone(make_trainer):
    trainer = make_trainer()
    before = trainer.measure(samples())
    voted = trainer.measure(samples(), Voting(64, num_votes=2))
    assert voted["loss"] != before["loss"]
    assert trainer.measure(samples())["loss"] == before["loss"]


def test_segmentation_predicts_parts_of_the_category_alone(make_trainer):
    output = make_trainer(SegmentationTrainer).predict(samples())
    assert output.predictions.shape == (7, 64)
    for row, category in zip(output.predictions, output.label_ids[1], strict=True):
        assert set(row.tolist()) <= set(CATEGORY_LABELS[category])


def test_segmentation_without_category_does_not_depend_on_it(make_trainer):
    trainer = make_trainer(SegmentationTrainer, {"use_category": False})
    assert trainer._arguments(PointCloudCollator()(samples(2)))["category"] is None
    predicted = trainer.predict(samples()).predictions
    assert any(set(row.tolist()) - set(CATEGORY_LABELS[index % 2]) for index, row in enumerate(predicted))


def test_segmentation_reports_each_category(make_trainer):
    metrics = make_trainer(SegmentationTrainer).measure(samples())
    ious = [metrics["category_iou_0"], metrics["category_iou_1"]]
    assert metrics["class_miou"] == pytest.approx(np.mean(ious))
    assert metrics["instance_miou"] == pytest.approx((4 * ious[0] + 3 * ious[1]) / 7)


def test_last_weights_are_measured_before_the_best(make_trainer):
    trainer = make_trainer(
        max_steps=4,
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=1,
        save_steps=1,
        save_total_limit=1,
        metric_for_best_model="overall_accuracy",
        greater_is_better=True,
    )
    trainer.train()
    seen = {
        epoch: (rule, trainer.measure(samples())["overall_accuracy"]) for epoch, rule in weights_to_measure(trainer)
    }
    assert seen["last epoch"] == ("last epoch", trainer.state.log_history[-2]["eval_overall_accuracy"])
    assert seen["best epoch"] == ("best overall_accuracy on validation", trainer.state.best_metric)


def test_measuring_in_half_precision_keeps_the_weights(make_trainer):
    trainer = make_trainer(bf16_full_eval=True)
    trainer.train()
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    trainer.measure(samples())
    after = trainer.model.state_dict()
    assert all(after[key].dtype == value.dtype and after[key].equal(value) for key, value in before.items())


def test_without_validation_the_last_weights_alone_are_measured(make_trainer):
    trainer = make_trainer()
    trainer.train()
    assert list(weights_to_measure(trainer)) == [("last epoch", "last epoch")]


def test_parts_of_a_dataset_without_parts_are_refused():
    with pytest.raises(ValueError, match="`dataset` must have parts: shapenet_part or synthetic_shapes, got 'folder'"):
        part_fields("folder")


TWO_PROCESSES = """
import json, sys
import numpy as np
from transformers import TrainingArguments, set_seed
from jointmae_hf import JointMAEConfig, JointMAEForPointCloudClassification
from jointmae_hf.data import PointCloudCollator
from jointmae_hf.training import ClassificationTrainer
set_seed(0)
rng = np.random.default_rng(0)
samples = [{"points": rng.normal(size=(64, 3)).astype("f4"), "index": i, "labels": i % 2} for i in range(7)]
config = JointMAEConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_groups=[32, 16], num_points=64)
trainer = ClassificationTrainer(
    model=JointMAEForPointCloudClassification(config),
    args=TrainingArguments(sys.argv[1], use_cpu=True, per_device_eval_batch_size=2, remove_unused_columns=False,
                           label_names=["labels"], report_to="none", disable_tqdm=True),
    data_collator=PointCloudCollator())
output = trainer.predict(samples)
if trainer.args.should_save:
    print(json.dumps([trainer.args.world_size, output.label_ids.tolist(), output.predictions.tolist()]))
"""


@pytest.mark.slow
def test_two_processes_count_each_sample_once(tmp_path):
    script = tmp_path / "predict.py"
    script.write_text(TWO_PROCESSES)
    outputs = []
    for count in (1, 2):
        launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        command = [sys.executable, *launch, str(script), str(tmp_path / "run")]
        finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert finished.returncode == 0, finished.stderr
        outputs.append(json.loads(finished.stdout.strip().splitlines()[-1]))
    assert [output[0] for output in outputs] == [1, 2]
    assert outputs[0][1] == outputs[1][1] == [0, 1, 0, 1, 0, 1, 0]
    assert outputs[0][2] == [pytest.approx(row, abs=1e-5) for row in outputs[1][2]]
