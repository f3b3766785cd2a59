"""Measuring what a checkpoint is worth: features, linear probes, metrics and the file that keeps the results."""

from .features import POOLINGS, extract_features
from .linear_probe import C_GRID, LinearProbeResult, linear_svm
from .metrics import class_accuracies, mean_class_accuracy, overall_accuracy
from .probing import probe_encoder, sample_clouds
from .results import Result, collect_run_facts, read_results, write_results


__all__ = [
    "C_GRID",
    "POOLINGS",
    "LinearProbeResult",
    "Result",
    "class_accuracies",
    "collect_run_facts",
    "extract_features",
    "linear_svm",
    "mean_class_accuracy",
    "overall_accuracy",
    "probe_encoder",
    "read_results",
    "sample_clouds",
    "write_results",
]
