"""Linear SVM on frozen features: the standard protocol, and C chosen by cross-validation on the train split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .features import extract_features
from .metrics import class_accuracies, mean_class_accuracy, overall_accuracy


C_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Values of `C` that [`linear_svm`] chooses from."""

MAX_FOLDS = 5


@dataclass(frozen=True)
class LinearProbeResult:
    """Hold the accuracy of a linear SVM on the test split, and how its settings were chosen.

    Args:
        accuracy (`float`):
            Fraction of correctly predicted test samples, within [0, 1].
        class_accuracy (`float`):
            Mean of the per-class accuracies on the test split.
        C (`float`):
            Penalty of the SVM; smaller means stronger regularization.
        selection (`str`):
            How `C` and `is_standardized` were chosen, in words.
        is_standardized (`bool`):
            Whether features were standardized with the statistics of the train split.
        cross_validation_accuracy (`float`, *optional*):
            Mean accuracy over the folds of the train split, if a setting was chosen by it.
        per_class_accuracy (`dict[int, float]`):
            Class index to accuracy on the test split.
    """

    accuracy: float
    class_accuracy: float
    C: float
    selection: str
    is_standardized: bool
    cross_validation_accuracy: float | None
    per_class_accuracy: dict[int, float]


def linear_svm(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    C: float | None = 0.01,  # noqa: N803
    standardize: bool | None = False,
    seed: int = 0,
    num_jobs: int = 1,
) -> LinearProbeResult:
    """Fit a linear SVM on the train split and evaluate it once on the test split.

    `C=0.01` without standardization is the protocol of CrossPoint, which Joint-MAE follows; Point-M2AE uses 0.012.
    Both were tuned by their authors for other features. `C=None` chooses from `C_GRID` by stratified cross-validation
    on the train split alone: 5 folds, or as many as the rarest class has samples. Ties go to the smallest value.

    Args:
        train_features (`np.ndarray` of shape `(num_train, feature_size)`):
            Frozen features of the train split.
        train_labels (`np.ndarray` of shape `(num_train,)`):
            Class indices.
        test_features (`np.ndarray` of shape `(num_test, feature_size)`):
            Frozen features of the test split; used only for the final evaluation.
        test_labels (`np.ndarray` of shape `(num_test,)`):
            Class indices.
        C (`float`, *optional*, defaults to 0.01):
            Penalty of the SVM. `None` chooses it by cross-validation.
        standardize (`bool`, *optional*, defaults to `False`):
            Whether to standardize with the mean and variance of the train split. `None` chooses by cross-validation.
        seed (`int`, *optional*, defaults to 0):
            Seed for the split into folds; the SVM itself is deterministic.
        num_jobs (`int`, *optional*, defaults to 1):
            Threads for the cross-validation.

    Returns:
        [`LinearProbeResult`]: Accuracies on the test split, `C`, and the rule that chose it.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If shapes do not match, values are not finite, there is only one class, or cross-validation meets
            a class with a single sample.
    """
    train_features, train_labels = _validate_split("train", train_features, train_labels)
    test_features, test_labels = _validate_split("test", test_features, test_labels)
    if train_features.shape[1] != test_features.shape[1]:
        raise ValueError(
            f"`test_features` must be as wide as `train_features`, got {test_features.shape[1]} and "
            f"{train_features.shape[1]}."
        )
    if len(np.unique(train_labels)) < 2:
        raise ValueError(f"`train_labels` must hold at least 2 classes, got only {train_labels[0]}.")
    if C is not None and not C > 0.0:
        raise ValueError(f"`C` must be positive, got {C}. Pass `None` to choose it by cross-validation.")
    candidates = [
        {"svm__C": value, "scale": "passthrough" if not is_scaled else _scaler()}
        for is_scaled in ((False, True) if standardize is None else (standardize,))
        for value in (C_GRID if C is None else (C,))
    ]
    score = None
    chosen, selection = candidates[0], "fixed in advance"
    if len(candidates) > 1:
        folds = _num_folds(train_labels)
        chosen, score = _cross_validate(candidates, train_features, train_labels, folds, seed, num_jobs)
        selection = _selection_rule(C, standardize, folds, seed)
    pipeline = _pipeline().set_params(**chosen).fit(train_features, train_labels)
    predictions = pipeline.predict(test_features)
    return LinearProbeResult(
        accuracy=overall_accuracy(predictions, test_labels),
        class_accuracy=mean_class_accuracy(predictions, test_labels),
        C=float(chosen["svm__C"]),
        selection=selection,
        is_standardized=chosen["scale"] != "passthrough",
        cross_validation_accuracy=score,
        per_class_accuracy=class_accuracies(predictions, test_labels),
    )


def probe_encoder(
    encoder: torch.nn.Module,
    train: dict[str, Tensor],
    test: dict[str, Tensor],
    C: float | None = None,  # noqa: N803
    standardize: bool | None = True,
    device: torch.device | str | None = None,
    num_jobs: int = 1,
) -> LinearProbeResult:
    """Evaluate an encoder by a linear SVM on its frozen features.

    Args:
        encoder (`torch.nn.Module`):
            Model such as `JointMAEModel`, see [`extract_features`].
        train (`dict[str, torch.Tensor]`):
            `points` and `labels` to fit the SVM on, see [`sample_clouds`].
        test (`dict[str, torch.Tensor]`):
            `points` and `labels` to evaluate it on.
        C (`float`, *optional*):
            Penalty of the SVM; by default chosen by cross-validation on `train`.
        standardize (`bool`, *optional*, defaults to `True`):
            Whether to standardize features; `None` chooses by cross-validation.
        device (`torch.device` or `str`, *optional*, defaults to that of the encoder):
            Device to compute features on.
        num_jobs (`int`, *optional*, defaults to 1):
            Threads for the cross-validation.

    Returns:
        [`LinearProbeResult`]: Accuracies, `C` and how it was chosen.

    Raises:
        ValueError: If a batch has no labels.
    """
    if "labels" not in train or "labels" not in test:
        raise ValueError(f"`train` and `test` must hold labels, got {sorted(train)} and {sorted(test)}.")
    train_features, _ = extract_features(encoder, _rows(train), device=device)
    test_features, _ = extract_features(encoder, _rows(test), device=device)
    labels = train["labels"].cpu().numpy(), test["labels"].cpu().numpy()
    options: dict[str, Any] = {"C": C, "standardize": standardize, "num_jobs": num_jobs}
    return linear_svm(train_features, labels[0], test_features, labels[1], **options)


def _rows(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the clouds of a batch as samples for `extract_features`."""
    return [{"points": cloud} for cloud in batch["points"]]


def _validate_split(split: str, features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return features as float64 `(num_samples, feature_size)` and labels `(num_samples,)`."""
    features, labels = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if features.ndim != 2 or features.size == 0:
        raise ValueError(f"`{split}_features` must have shape (num_samples, feature_size), got {features.shape}.")
    if not np.isfinite(features).all():
        raise ValueError(f"`{split}_features` must be finite, got NaN or infinity.")
    if labels.shape != features.shape[:1]:
        raise ValueError(f"`{split}_labels` must have shape {features.shape[:1]}, got {labels.shape}.")
    return features, labels


def _pipeline() -> Any:
    """Return a pipeline of a disabled scaler and a linear SVM."""
    try:
        from sklearn.pipeline import Pipeline
        from sklearn.svm import SVC
    except ImportError as error:
        raise ImportError('The linear SVM needs scikit-learn: pip install "jointmae_hf[eval]"') from error
    return Pipeline([("scale", "passthrough"), ("svm", SVC(kernel="linear"))])


def _scaler() -> Any:
    """Return an unfitted standard scaler."""
    try:
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise ImportError('Standardization needs scikit-learn: pip install "jointmae_hf[eval]"') from error
    return StandardScaler()


def _num_folds(labels: np.ndarray) -> int:
    """Return 5, or the size of the rarest class if that is smaller."""
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"`train_labels` must hold at least 2 samples of each class for cross-validation, got 1 of class "
            f"{classes[counts.argmin()]}. Pass a fixed `C` and `standardize`."
        )
    return int(min(MAX_FOLDS, counts.min()))


def _cross_validate(
    candidates: list[dict[str, Any]], features: np.ndarray, labels: np.ndarray, folds: int, seed: int, num_jobs: int
) -> tuple[dict[str, Any], float]:
    """Return the best candidate, the first among equals, and its mean accuracy over the folds."""
    from joblib import parallel_config  # a dependency of scikit-learn
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    grid = [{name: [value] for name, value in candidate.items()} for candidate in candidates]
    search = GridSearchCV(
        _pipeline(), grid, scoring="accuracy", cv=splitter, refit=False, n_jobs=num_jobs, error_score="raise"
    )
    with parallel_config(backend="threading"):  # libsvm releases the GIL; processes would start next to CUDA
        search.fit(features, labels)
    best = int(np.argmax(search.cv_results_["mean_test_score"]))
    return candidates[best], float(search.cv_results_["mean_test_score"][best])


def _selection_rule(C: float | None, standardize: bool | None, folds: int, seed: int) -> str:  # noqa: N803
    """Describe what was chosen, and on which data."""
    chosen = [name for name, value in (("C", C), ("standardization", standardize)) if value is None]
    return f"{' and '.join(chosen)} by {folds}-fold stratified cross-validation on the train split, fold seed {seed}"
