from dataclasses import replace

import pytest

from jointmae_hf.evaluation import Result
from jointmae_hf.evaluation.paper_numbers import PAPER_NUMBERS
from jointmae_hf.evaluation.tables import PAPER_COLUMNS, merge_seeds, paper_value, render_results


JOINT = Result(
    "linear_svm", 90.0, "%", "test", "last epoch", 0, 9843, 2468, "modelnet40", pre_training="Joint-MAE on shapenet55"
)
SCRATCH = replace(JOINT, value=80.5, pre_training="from scratch")


def test_merge_seeds_gives_mean_and_sample_deviation():
    (merged,) = merge_seeds([JOINT, replace(JOINT, value=92.0, seed=1)])
    assert (merged.value, merged.num_runs, merged.seed) == (91.0, 2, 0)
    assert merged.std == pytest.approx(2**0.5)


def test_merge_seeds_keeps_different_protocols_apart():
    assert merge_seeds([JOINT, other := replace(JOINT, protocol="C by cross-validation")]) == [JOINT, other]


def test_merge_seeds_refuses_two_values_of_one_seed():
    with pytest.raises(ValueError, match=r"one value of 'linear_svm' per seed, got 90.0 and 91.0 for seed 0"):
        merge_seeds([JOINT, replace(JOINT, value=91.0)])


def test_paper_value_finds_the_method_of_the_table():
    assert (paper_value(JOINT), paper_value(replace(JOINT, pre_training="Point-MAE on shapenet55"))) == (92.4, 91.0)


@pytest.mark.parametrize(
    "change",
    [
        {"pre_training": "Joint-MAE on modelnet40 (in-domain)"},
        {"split": "validation"},
        {"dataset": "ldraw"},
        {"name": "class_accuracy"},
        {"num_test": 1000},
    ],
)
def test_paper_value_is_none_where_the_paper_measured_something_else(change):
    assert paper_value(replace(JOINT, **change)) is None


def test_every_paper_column_has_a_result_of_ours():
    columns = {(number.table, number.column) for number in PAPER_NUMBERS if number.table <= 5}
    assert columns == set(PAPER_COLUMNS)


def test_render_results_tells_the_improvement_over_a_baseline():
    lines = render_results([SCRATCH, JOINT], table=1).splitlines()
    assert lines[2].startswith("| from scratch | modelnet40 | linear_svm | 80.5 % |  | test; last epoch | 0 |")
    assert lines[3].split("|")[4:6] == [" 90.0 % ", " 92.4 % "]
    assert lines[4].startswith("| improvement over from scratch | modelnet40 | linear_svm | +9.5 points |  |")


def test_render_results_compares_nothing_that_was_measured_differently():
    assert "improvement" not in render_results([replace(SCRATCH, num_train=100), JOINT])


def test_render_results_compares_only_the_same_data():
    other = replace(JOINT, pre_training="3D only on synthetic_shapes")
    assert "improvement" not in render_results([other, JOINT])
