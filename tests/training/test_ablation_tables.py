"""Tables of an ablation: gains paired by seed, and the paper's values next to ours or apart from them."""

import pytest

from jointmae_hf.evaluation import Result
from jointmae_hf.training import ABLATIONS
from jointmae_hf.training.ablation_tables import paired_gains, render_ablation


def result(label, seed, value, **changes):
    fields = {"unit": "%", "split": "test", "selection_rule": "last epoch", "num_train": 5, "num_test": 4}
    fields |= {"dataset": "modelnet40", "pre_training": "Joint-MAE on shapenet55"}
    return Result(name="linear_svm", value=value, seed=seed, protocol=label, **(fields | changes))


def test_gains_are_paired_by_seed():
    results = [result("3D only", 0, 50.0), result("3D only", 1, 60.0)]
    results += [result("Joint-MAE", 1, 63.0), result("Joint-MAE", 0, 51.0)]
    (gain,) = paired_gains(results)
    assert (gain.value, gain.num_runs, gain.unit) == (2.0, 2, "points")
    assert gain.std == pytest.approx(2**0.5)


def test_gains_leave_out_seeds_without_a_partner():
    results = [result("3D only", 0, 50.0), result("3D only", 1, 60.0), result("Joint-MAE", 1, 63.0)]
    assert [(gain.value, gain.std) for gain in paired_gains(results)] == [(3.0, None)]


def test_table_has_means_spreads_and_the_papers_figures():
    rows = [row.label for row in ABLATIONS["6"]]
    results = [result(label, seed, 90.0 + 2 * seed) for label in rows for seed in (0, 1)]
    rendered = render_ablation(results, "6")
    assert "| row | linear SVM | gain of “2D-3D local, 3D-2D local” | paper |" in rendered
    assert "| 2D-3D local, 3D-2D global | 91.0 ± 1.4 % | +0.0 ± 0.0 | 91.8 % |" in rendered


@pytest.mark.parametrize(
    "change", [{"pre_training": "Joint-MAE on modelnet40 (in-domain)"}, {"dataset": "shapes"}, {"split": "validation"}]
)
def test_table_keeps_the_papers_figures_apart_when_they_cannot_be_compared(change):
    results = [result(row.label, 0, 50.0, **change) for row in ABLATIONS["6"]]
    rendered = render_ablation(results, "6")
    assert "| 2D-3D local, 3D-2D global | 50.0 % | +0.0 |\n" in rendered
    assert "| 2D-3D local, 3D-2D global | 91.8 % | +0.6 |\n" in rendered


def test_table_names_its_key_when_it_is_unknown():
    with pytest.raises(ValueError, match="`table` must be one of 2d, 6, 7, 8, supplement, choices, got '9'"):
        render_ablation([result("full", 0, 1.0)], "9")
