"""Measuring what a checkpoint is worth: features, linear probes, metrics and the file that keeps the results."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .evaluate_metrics import PartIoU, PointCloudAccuracy
    from .features import POOLINGS, extract_features
    from .few_shot import NUM_TEST_SHAPES, FewShotFold, FewShotSplit, as_fold, draw_fold
    from .linear_probe import C_GRID, LinearProbeResult, linear_svm
    from .metrics import class_accuracies, classification_metrics, mean_class_accuracy, overall_accuracy
    from .paper_numbers import PAPER_FIGURES, PaperFigure, paper_figure
    from .pre_training import CheckpointProvenance, read_pre_training
    from .probing import LeadingPoints, probe_encoder, sample_clouds
    from .results import Result, collect_run_facts, num_cores, read_results, write_results
    from .segmentation_metrics import SegmentationScores, segmentation_scores, shape_iou
    from .tables import merge_seeds, paper_value, render_results
    from .voting import Voting, vote_logits
else:
    __getattr__, __dir__ = lazy_names(__name__, __file__)


__all__ = [
    "C_GRID",
    "NUM_TEST_SHAPES",
    "PAPER_FIGURES",
    "POOLINGS",
    "CheckpointProvenance",
    "FewShotFold",
    "FewShotSplit",
    "LeadingPoints",
    "LinearProbeResult",
    "PaperFigure",
    "PartIoU",
    "PointCloudAccuracy",
    "Result",
    "SegmentationScores",
    "Voting",
    "as_fold",
    "class_accuracies",
    "classification_metrics",
    "collect_run_facts",
    "draw_fold",
    "extract_features",
    "linear_svm",
    "mean_class_accuracy",
    "merge_seeds",
    "num_cores",
    "overall_accuracy",
    "paper_figure",
    "paper_value",
    "probe_encoder",
    "read_pre_training",
    "read_results",
    "render_results",
    "sample_clouds",
    "segmentation_scores",
    "shape_iou",
    "vote_logits",
    "write_results",
]
