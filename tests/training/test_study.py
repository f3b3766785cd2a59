"""A study in seconds: stages that are stopped go on to the same result, finished ones stand in the record."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jointmae_hf import JointMAEConfig, JointMAEForPreTraining
from jointmae_hf.data import PointCloudTensors, generate_shape
from jointmae_hf.evaluation import draw_fold
from jointmae_hf.training import (
    STUDIES,
    Ablation,
    Deadline,
    FineTuningStage,
    PreTrainingStage,
    Study,
    StudyRecord,
    balanced_weights,
    find_steps_per_minute,
    part_fields_of_clouds,
    run_fine_tuning,
    study_finetuning,
    study_pretraining,
)


FIELDS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "num_groups": [32, 16],
    "group_size": [4, 4],
    "image_size": 32,
    "target_group_size": 4,
    "classifier_hidden_sizes": [16, 16],
    "propagation_hidden_sizes": [32, 24],
    "segmentation_hidden_sizes": [24, 16],
    "category_embedding_size": 8,
}
HEADER = 20_000
"""Most bytes that names and shapes of the tensors take in a file."""

STAGE = PreTrainingStage("joint", Ablation("Joint-MAE"), 2.0, keeps_weights=True)


@pytest.fixture(scope="module")
def clouds():
    def split(first, count):
        shapes = [
            generate_shape(0, "train", 20 * (index // 4) + index % 4, num_points=64) for index in range(first, count)
        ]
        arrays = [np.stack([getattr(shape, name) for shape in shapes]) for name in ("points", "label", "part_labels")]
        return PointCloudTensors(
            torch.from_numpy(arrays[0]), *(torch.from_numpy(array).long() for array in arrays[1:])
        )

    return {"train": split(0, 48), "validation": split(48, 60), "test": split(60, 72)}


@pytest.fixture
def build_study(clouds, tmp_path):
    def build(name="study", **changes):
        own = {"training": {"use_cpu": True}, "pretraining": {"per_device_train_batch_size": 8}, "fields": FIELDS}
        folders = {"output_dir": tmp_path / name, "work_dir": tmp_path / name / "work"}
        return Study(dataset="shapes", **{"clouds": clouds, **own, **folders, **changes})

    return build


@pytest.fixture(autouse=True)
def one_process(monkeypatch):
    """Processes for nine fits of 48 clouds would take longer than the fits."""
    monkeypatch.setattr(study_pretraining, "num_cores", lambda: 1)


def record_of(study):
    return StudyRecord(study.output_dir / "results.json", study.describe())


class StepClock:
    """Deadline that lets a number of training steps pass in each call."""

    def __init__(self, num_steps):
        self.left = num_steps

    def has_time_for(self, seconds):
        if seconds != 15.0:  # not the question after a step
            return self.left > 0
        self.left -= 1
        return self.left > 0


@pytest.fixture
def finished(build_study):
    study = build_study()
    record = record_of(study)
    assert study.run(STAGE, record, Deadline(), steps_per_minute=2.0)
    return study, record


def test_stage_probes_on_validation_and_test(finished):
    study, record = finished
    results = record.to_results("joint")
    assert [result.split for result in results] == ["validation", "test"]
    assert [(result.num_train, result.num_test) for result in results] == [(48, 12), (60, 12)]
    assert all(result.pre_training == "Joint-MAE on shapes (in-domain)" for result in results)
    assert all("cross-validation on the train split" in result.selection_rule for result in results)
    assert record.stages["joint"]["steps"] == 4
    assert not (study.work_dir / "joint").exists()


def test_kept_weights_are_small_files_in_bfloat16(finished, monkeypatch):
    study, _ = finished
    files = list((study.output_dir / "joint").glob("*.safetensors"))
    assert {tensor.dtype for file in files for tensor in load_file(file).values()} == {torch.bfloat16, torch.int64}
    model = JointMAEForPreTraining.from_pretrained(study.output_dir / "joint")
    monkeypatch.setattr(study_pretraining, "MAX_SHARD_SIZE", 100_000)
    study_pretraining.export_weights(model, study.output_dir / "shards")
    shards = list((study.output_dir / "shards").glob("*.safetensors"))
    assert len(shards) > 1
    assert all(shard.stat().st_size < 100_000 + HEADER for shard in shards)


def test_stopped_stage_goes_on_to_the_result_of_one_go(build_study, finished):
    _, expected = finished
    study = build_study("stopped")
    calls = 0
    while STAGE.name not in (record := record_of(study)):
        study.run(STAGE, record, StepClock(1) if calls < 2 else Deadline(), steps_per_minute=2.0)
        calls += 1
    assert calls == 3
    assert record.to_results("joint") == expected.to_results("joint")
    expected_norms = expected.stages["joint"]["gradient_norms"]
    assert record.stages["joint"]["gradient_norms"] == expected_norms


def test_trained_stage_is_not_trained_again_when_there_was_no_time_to_probe(build_study, monkeypatch):
    study = build_study()

    class EnoughToTrain:
        def has_time_for(self, seconds):
            return seconds < study_pretraining.SECONDS_TO_PROBE

    assert not study.run(STAGE, record_of(study), EnoughToTrain(), steps_per_minute=2.0)
    monkeypatch.setattr(study_pretraining, "_train", lambda *args: pytest.fail("trained again"))
    assert study.run(STAGE, record_of(study), Deadline(), steps_per_minute=2.0)


def test_nothing_is_started_without_time(build_study):
    study = build_study()
    assert not study.run(STAGE, record_of(study), Deadline(0.0), steps_per_minute=2.0)
    assert not study.work_dir.exists()


def test_rows_change_the_configuration_of_their_recipe(build_study):
    study = build_study()
    record = record_of(study)
    flat = study.config(PreTrainingStage("flat", Ablation("flat", {"embedding_3d": "flat"}), 2.0), record)
    assert (flat.num_groups, flat.num_points, flat.neighborhood) == ([16], 64, "visible")
    paper = study.config(PreTrainingStage("paper", Ablation("paper"), 2.0, recipe="paper"), record)
    assert (paper.neighborhood, paper.fps_start) == ("all", "farthest")


def test_balanced_losses_leave_3d_half_of_the_gradient(build_study):
    record = record_of(build_study())
    record.stages["joint"] = {
        "gradient_norms": {"gradient_norm_3d": 3.0, "gradient_norm_2d": 10.0, "gradient_norm_3d_2d": 2.0}
    }
    assert balanced_weights(record, "joint") == {"loss_2d_weight": 0.25, "loss_3d_2d_weight": 0.25}
    record.stages["joint"]["gradient_norms"]["gradient_norm_3d"] = 50.0
    assert balanced_weights(record, "joint") == {"loss_2d_weight": 1.0, "loss_3d_2d_weight": 1.0}
    stage = PreTrainingStage("balanced", Ablation("balanced"), 2.0, balances="joint")
    assert build_study().config(stage, record).loss_2d_weight == 1.0
    with pytest.raises(ValueError, match="`absent` must be finished"):
        balanced_weights(record, "absent")


def test_steps_of_a_minute_are_measured_once(build_study):
    study = build_study()
    first = find_steps_per_minute(study, record_of(study), num_first=1, num_steps=3)
    assert first > 0
    assert find_steps_per_minute(study, record_of(study), num_first=1, num_steps=3) == first
    record = record_of(study)
    record.stages["some"] = {"steps_per_minute": 7.0}
    assert find_steps_per_minute(study, record) == 7.0


def tune(study, record, task, deadline=None, **training):
    values = {"num_train_epochs": 2, "per_device_train_batch_size": 8, **training}
    stage = FineTuningStage(task, task, "joint", values)
    return run_fine_tuning(study, stage, record, deadline or Deadline(), study)


def test_classification_measures_the_last_and_the_best_epoch(finished):
    study, record = finished
    assert tune(study, record, "classification")
    results = record.to_results("classification")
    assert {result.selection_rule for result in results} == {"last epoch", "best overall_accuracy on validation"}
    assert all(result.pre_training == "Joint-MAE on shapes (in-domain)" for result in results)


def test_stopped_fine_tuning_goes_on_to_the_result_of_one_go(finished, tmp_path):
    study, record = finished
    assert tune(study, record, "segmentation")
    expected = record.to_results("segmentation")
    assert {result.name for result in expected} == {"instance_miou", "class_miou"}
    assert not tune(study, record, "segmentation", StepClock(3))
    assert tune(study, record, "segmentation")
    assert record.to_results("segmentation") == expected


def test_few_shot_goes_on_with_the_next_fold(finished, monkeypatch):
    study, record = finished
    monkeypatch.setattr(study_finetuning, "FEW_SHOT_SETTINGS", ((2, 4),))
    monkeypatch.setattr(study_finetuning, "NUM_FOLDS", 3)
    # three test shapes are what each class has here
    monkeypatch.setattr(study_finetuning, "draw_fold", lambda *args: draw_fold(*args, num_test=3))
    measured = []
    original = study_finetuning.fine_tune_fold
    monkeypatch.setattr(study_finetuning, "fine_tune_fold", lambda *args: measured.append(1) or original(*args))

    class TwoFolds:
        def __init__(self):
            self.left = 3  # one question before the stage

        def has_time_for(self, seconds):
            self.left -= 1
            return self.left >= 0

    assert not tune(study, record, "few_shot", TwoFolds(), num_train_epochs=1, per_device_train_batch_size=4)
    assert len(measured) == 2
    assert tune(study, record, "few_shot", num_train_epochs=1, per_device_train_batch_size=4)
    (result,) = record.to_results("few_shot")
    assert (len(measured), result.num_runs, result.protocol) == (3, 3, "2-way 4-shot, fine_tuning")


def test_weights_that_are_not_there_are_named(build_study):
    study = build_study()
    with pytest.raises(ValueError, match="`joint` must be finished before it can be fine-tuned"):
        tune(study, record_of(study), "classification")


def test_parts_of_each_category_follow_from_the_clouds():
    parts = torch.tensor([[0, 0, 2], [1, 1, 1], [0, 2, 2]])
    clouds = {"train": PointCloudTensors(torch.rand(3, 3, 3), torch.tensor([0, 1, 0]), parts)}
    clouds["test"] = PointCloudTensors(torch.rand(1, 3, 3), torch.tensor([1]), torch.tensor([[3, 1, 1]]))
    fields = part_fields_of_clouds(clouds)
    assert fields["category_labels"] == [[0, 2], [1, 3]]
    assert fields["num_categories"] == 2
    assert len(fields["id2label"]) == 4
    assert JointMAEConfig(**fields).num_labels == 4


@pytest.mark.parametrize("stage", [*STUDIES["claim"], *STUDIES["ablations"]], ids=lambda stage: stage.name)
def test_every_stage_has_a_configuration_of_full_size(build_study, stage):
    study = build_study(fields={}, clouds={"train": PointCloudTensors(torch.rand(1, 1024, 3))})
    record = StudyRecord(study.output_dir / "results.json", {})
    norms = {"gradient_norm_3d": 1.0, "gradient_norm_2d": 1.0, "gradient_norm_3d_2d": 1.0}
    record.stages["joint_mae_10_minutes"] = {"gradient_norms": norms}
    config = study.config(stage, record)
    assert (config.hidden_size, config.num_points) == (384, 1024)
    assert all(getattr(config, name) == value for name, value in stage.row.overrides.items())
    assert config.loss_2d_weight == (0.5 if stage.balances else 1.0)
