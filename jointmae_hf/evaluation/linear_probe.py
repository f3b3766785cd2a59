"""Linear SVM on frozen features: the protocol of the family, and one that chooses nothing on the test split."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .metrics import class_accuracies, mean_class_accuracy, overall_accuracy


C_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
MAX_FOLDS = 5


@dataclass(frozen=True)
class LinearProbeResult:
    """What a linear SVM reaches on the test split, and how its settings were chosen.

    Args:
        accuracy (`float`):
            Share of test samples predicted right, within [0, 1].
        class_accuracy (`float`):
            Mean over the classes of the test split of the accuracy of each.
        C (`float`):
            Weight of the errors in the SVM; smaller is smoother.
        selection (`str`):
            The rule by which `C` and `is_standardized` were chosen, in words.
        is_standardized (`bool`):
            Whether features were scaled to mean 0 and variance 1 by the train split.
        cross_validation_accuracy (`float`, *optional*):
            Mean accuracy over the folds of the train split, where `C` was chosen by it.
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
    """Fit a linear SVM on the train split and measure it once on the test split.

    `C=0.01` without scaling is the protocol of CrossPoint, which Joint-MAE follows; Point-M2AE takes 0.012. Both were
    fixed by their authors for other features. `C=None` chooses among `C_GRID` by stratified cross-validation on the
    train split alone: 5 folds, or as many as the rarest class has samples. Of equally good values the smallest wins.

    Args:
        train_features (`np.ndarray` of shape `(num_train, feature_size)`):
            Frozen features of the train split.
        train_labels (`np.ndarray` of shape `(num_train,)`):
            Class indices.
        test_features (`np.ndarray` of shape `(num_test, feature_size)`):
            Frozen features of the test split; used for nothing but the last measurement.
        test_labels (`np.ndarray` of shape `(num_test,)`):
            Class indices.
        C (`float`, *optional*, defaults to 0.01):
            Weight of the errors. `None` chooses it by cross-validation.
        standardize (`bool`, *optional*, defaults to `False`):
            Whether to scale by the mean and variance of the train split. `None` chooses it by cross-validation.
        seed (`int`, *optional*, defaults to 0):
            Of the division into folds; the SVM itself is deterministic.
        num_jobs (`int`, *optional*, defaults to 1):
            Threads for the cross-validation.

    Returns:
        [`LinearProbeResult`]: Accuracies on the test split, `C`, and the rule that chose it.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If shapes do not fit, values are not finite, there is one class only, or cross-validation meets a
            class with a single sample.
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
    """Return a scaler, off at first, followed by a linear SVM."""
    try:
        from sklearn.pipeline import Pipeline
        from sklearn.svm import SVC
    except ImportError as error:
        raise ImportError('The linear SVM needs scikit-learn: pip install "jointmae_hf[eval]"') from error
    return Pipeline([("scale", "passthrough"), ("svm", SVC(kernel="linear"))])


def _scaler() -> Any:
    """Return a scaler to mean 0 and variance 1 that has seen no data."""
    try:
        from sklearn.preprocessing import StandardScaler
    except ImportError as error:
        raise ImportError('Standardisation needs scikit-learn: pip install "jointmae_hf[eval]"') from error
    return StandardScaler()


def _num_folds(labels: np.ndarray) -> int:
    """Return 5, or the size of the rarest class where that is smaller."""
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
    """Say in words what was chosen on which data."""
    chosen = [name for name, value in (("C", C), ("standardisation", standardize)) if value is None]
    return f"{' and '.join(chosen)} by {folds}-fold stratified cross-validation on the train split, fold seed {seed}"
