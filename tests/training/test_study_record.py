"""`results.json` of a study: finished stages are read again, and rows of one budget compared."""

import pytest

from jointmae_hf.evaluation import Result, read_results
from jointmae_hf.training import STUDIES, FineTuningStage, PreTrainingStage, StudyRecord


def svm(protocol, value, seed=0, split="test"):
    sizes = {"num_train": 10, "num_test": 5, "dataset": "shapes"}
    return Result("linear_svm", value, "%", split, "last step", seed, protocol=protocol, **sizes)


@pytest.fixture
def record(tmp_path):
    return StudyRecord(tmp_path / "results.json", {"scale": 1.0})


def test_finished_stages_are_read_by_the_next_call(tmp_path, record):
    record.add(
        "a", [svm("3D only, 2 minutes", 50.0), svm("3D only, 2 minutes", 60.0, split="validation")], {"steps": 7}
    )
    record.add("b", [svm("Joint-MAE, 2 minutes", 52.0)], {})
    again = StudyRecord(tmp_path / "results.json", {"scale": 1.0})
    assert again.to_results("a") == record.to_results("a")
    assert again.results() == record.results()
    assert again.stages["a"]["steps"] == 7
    assert "b" in again
    assert "c" not in again


def test_gains_are_those_of_joint_mae_in_each_budget_paired_by_seed(tmp_path, record):
    for seed, gain in ((1, 1.0), (2, 3.0)):
        record.add(f"3d_{seed}", [svm("3D only, 2 minutes", 50.0, seed)], {})
        record.add(f"joint_{seed}", [svm("Joint-MAE, 2 minutes", 50.0 + gain, seed)], {})
    record.add("long", [svm("Joint-MAE, 5 minutes", 80.0)], {})
    (gain,) = record.gains()
    assert gain.protocol == "Joint-MAE, 2 minutes minus 3D only, 2 minutes, paired by seed"
    assert (gain.value, gain.num_runs) == (2.0, 2)
    assert read_results(tmp_path / "results.json")[0] == [*record.results(), gain]


def test_splits_are_not_mixed(record):
    record.add("a", [svm("3D only, 2 minutes", 50.0), svm("3D only, 2 minutes", 10.0, split="validation")], {})
    record.add("b", [svm("Joint-MAE, 2 minutes", 51.0), svm("Joint-MAE, 2 minutes", 14.0, split="validation")], {})
    assert {gain.split: gain.value for gain in record.gains()} == {"test": 1.0, "validation": 4.0}


def test_another_study_in_the_folder_is_refused(tmp_path, record):
    record.add("a", [svm("3D only, 2 minutes", 50.0)], {})
    with pytest.raises(ValueError, match="they differ in scale"):
        StudyRecord(tmp_path / "results.json", {"scale": 0.5})


def test_names_of_all_stages_differ():
    names = [stage.name for stages in STUDIES.values() for stage in stages]
    assert len(set(names)) == len(names)


def test_claim_is_a_long_run_and_pairs_of_one_budget_and_seed():
    long, *pairs = STUDIES["claim"]
    assert (long.minutes, long.recipe, long.keeps_weights) == (10.0, "best", True)
    for only_3d, joint in zip(pairs[::2], pairs[1::2], strict=True):
        assert only_3d.row.overrides == {"use_2d_branch": False}
        assert not joint.row.overrides
        assert (only_3d.minutes, only_3d.seed) == (joint.minutes, joint.seed)
    assert [(stage.minutes, stage.seed) for stage in pairs[::2]] == [(5.0, 0), (2.0, 1), (2.0, 2)]


def test_ablations_have_a_reference_of_their_budget():
    stages = STUDIES["ablations"]
    assert all(isinstance(stage, PreTrainingStage) and (stage.minutes, stage.seed) == (2.0, 0) for stage in stages)
    assert sum(stage.row.label == "Joint-MAE" for stage in stages) == 1


def test_weights_that_are_fine_tuned_or_balanced_are_kept_before():
    kept = {stage.name for stage in STUDIES["claim"] if stage.keeps_weights}
    sources = {stage.source for stage in STUDIES["fine_tuning"] if isinstance(stage, FineTuningStage)}
    balanced = {stage.balances for stage in STUDIES["ablations"]} - {None}
    assert sources == balanced == kept
