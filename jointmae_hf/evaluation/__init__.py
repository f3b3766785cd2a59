"""Measuring what a checkpoint is worth: features, linear probes, metrics and the file that keeps the results."""

from .features import POOLINGS, extract_features
from .linear_probe import C_GRID, LinearProbeResult, linear_svm
from .metrics import class_accuracies, mean_class_accuracy, overall_accuracy
from .paper_figures import PAPER_FIGURES, PaperFigure, paper_figure
from .pre_training import PreTraining, read_pre_training
from .probing import LeadingPoints, probe_encoder, sample_clouds
from .results import Result, collect_run_facts, read_results, write_results
from .tables import merge_seeds, paper_value, render_results


__all__ = [
    "C_GRID",
    "PAPER_FIGURES",
    "POOLINGS",
    "LeadingPoints",
    "LinearProbeResult",
    "PaperFigure",
    "PreTraining",
    "Result",
    "class_accuracies",
    "collect_run_facts",
    "extract_features",
    "linear_svm",
    "mean_class_accuracy",
    "merge_seeds",
    "overall_accuracy",
    "paper_figure",
    "paper_value",
    "probe_encoder",
    "read_pre_training",
    "read_results",
    "render_results",
    "sample_clouds",
    "write_results",
]
