"""The linear SVM and the probe of an encoder."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch


pytest.importorskip("sklearn")

from sklearn.svm import SVC

from jointmae_hf.evaluation import C_GRID, linear_svm, probe_encoder, sample_clouds


class ExtentEncoder(torch.nn.Module):
    """Encoder whose features are the extents along the axes: enough to tell a laptop from a bottle."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, points):
        return SimpleNamespace(pooler_output=self.scale * points.abs().amax(dim=1))


def blobs(num_samples: int, seed: int, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(num_samples) % 3
    centers = np.array([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    return centers[labels] + spread * random.standard_normal((num_samples, 4)), labels


@pytest.fixture
def splits() -> tuple[np.ndarray, ...]:
    return (*blobs(60, seed=0), *blobs(30, seed=1))


def test_linear_svm_is_perfect_when_classes_are_apart():
    result = linear_svm(*blobs(60, 0, spread=0.1), *blobs(30, 1, spread=0.1), C=1.0)
    assert (result.accuracy, result.class_accuracy) == (1.0, 1.0)


def test_linear_svm_equals_scikit_learn_when_c_is_fixed(splits):
    train, train_labels, test, test_labels = splits
    expected = SVC(kernel="linear", C=0.012).fit(train, train_labels).score(test, test_labels)
    assert linear_svm(*splits, C=0.012).accuracy == pytest.approx(expected)


def test_linear_svm_says_that_c_was_fixed(splits):
    assert linear_svm(*splits).selection == "fixed in advance"


def test_linear_svm_takes_c_of_the_paper_by_default(splits):
    assert linear_svm(*splits).C == 0.01


def test_linear_svm_chooses_c_on_the_train_split(splits):
    result = linear_svm(*splits, C=None)
    assert result.C in C_GRID
    assert result.selection == "C by 5-fold stratified cross-validation on the train split, fold seed 0"


def test_linear_svm_choice_does_not_see_the_test_split(splits):
    train, train_labels, test, test_labels = splits
    other = linear_svm(train, train_labels, 100.0 * test, test_labels[::-1], C=None, standardize=None)
    same = linear_svm(*splits, C=None, standardize=None)
    assert (same.C, same.is_standardized) == (other.C, other.is_standardized)
    assert same.cross_validation_accuracy == other.cross_validation_accuracy


def test_linear_svm_takes_the_smallest_c_among_equals():
    result = linear_svm(*blobs(60, 0, spread=0.01), *blobs(30, 1, spread=0.01), C=None)
    assert (result.cross_validation_accuracy, result.C) == (1.0, C_GRID[0])


def test_linear_svm_scales_by_the_train_split(splits):
    train, train_labels, test, test_labels = splits
    mean, deviation = train.mean(0), train.std(0)
    scaled = linear_svm((train - mean) / deviation, train_labels, (test - mean) / deviation, test_labels, C=0.1)
    assert linear_svm(*splits, C=0.1, standardize=True).accuracy == scaled.accuracy


def test_linear_svm_chooses_scaling_when_one_feature_drowns_the_others(splits):
    train, train_labels, test, test_labels = splits
    scale = np.array([1e-4, 1e-4, 1e-4, 1.0])
    result = linear_svm(train * scale, train_labels, test * scale, test_labels, standardize=None)
    assert result.is_standardized


def test_linear_svm_uses_fewer_folds_when_a_class_is_rare(splits):
    train, train_labels, test, test_labels = splits
    kept = np.r_[np.flatnonzero(train_labels != 2), np.flatnonzero(train_labels == 2)[:3]]
    result = linear_svm(train[kept], train_labels[kept], test, test_labels, C=None)
    assert "3-fold" in result.selection


def test_linear_svm_names_the_class_when_it_has_one_sample(splits):
    train, train_labels, test, test_labels = splits
    kept = np.r_[np.flatnonzero(train_labels != 2), np.flatnonzero(train_labels == 2)[:1]]
    with pytest.raises(ValueError, match="got 1 of class 2"):
        linear_svm(train[kept], train_labels[kept], test, test_labels, C=None)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, np.zeros(60), "`train_features` must have shape"),
        (0, np.full((60, 4), np.inf), "`train_features` must be finite"),
        (1, np.zeros(60), "`train_labels` must hold at least 2 classes"),
        (1, np.zeros(59), "`train_labels` must have shape"),
        (2, np.zeros((30, 5)), "`test_features` must be as wide"),
        (3, np.zeros(31), "`test_labels` must have shape"),
    ],
)
def test_linear_svm_names_the_argument_when_it_is_wrong(splits, position, value, message):
    arguments = [*splits[:position], value, *splits[position + 1 :]]
    with pytest.raises(ValueError, match=message):
        linear_svm(*arguments)


def test_linear_svm_refuses_a_negative_c(splits):
    with pytest.raises(ValueError, match="`C` must be positive"):
        linear_svm(*splits, C=-1.0)


def test_linear_svm_names_the_extra_when_scikit_learn_is_missing(splits, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.svm", None)
    with pytest.raises(ImportError, match=r"jointmae_hf\[eval\]"):
        linear_svm(*splits)


def test_probe_beats_chance_and_says_how_it_chose(dataset):
    train, test = (sample_clouds(dataset[split], 100, 64) for split in ("train", "test"))
    measured = probe_encoder(ExtentEncoder(), train, test)
    assert measured.accuracy > 0.3
    assert "cross-validation on the train split" in measured.selection
