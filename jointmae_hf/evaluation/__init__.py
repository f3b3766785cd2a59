"""Evaluate checkpoints: features, linear probes, few-shot folds, voting, search by shape, metrics and the results file."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .embedding_shards import read_embedding_metadata
    from .embeddings import EmbeddingSettings, FileEmbedder, FileReader
    from .evaluate_metrics import PartIoU, PointCloudAccuracy
    from .features import LeadingPoints, extract_features, sample_clouds
    from .few_shot import NUM_TEST_SHAPES, FewShotFold, FewShotSplit, as_fold, draw_fold
    from .folder_embeddings import EmbeddedFolder, embed_folder
    from .linear_probe import C_GRID, LinearProbeResult, linear_svm, probe_encoder
    from .metrics import (
        SegmentationScores,
        class_accuracies,
        classification_metrics,
        mean_class_accuracy,
        overall_accuracy,
        segmentation_scores,
        shape_iou,
    )
    from .paper_numbers import PAPER_NUMBERS, PaperNumber, paper_number
    from .provenance import CheckpointProvenance, read_provenance
    from .results import Result, collect_run_facts, num_cores, read_results, write_results
    from .retrieval import distance_histograms, mean_average_precision
    from .shape_features import embed_rotated, nearest_shapes, reference_clouds, rotate_about_up_axis
    from .shape_index import FolderIndex, index_folder
    from .shape_search import FeatureWhitening, ShapeIndex, ShapeMatch
    from .tables import merge_seeds, paper_value, render_results
    from .voting import Voting, vote_logits
else:
    __getattr__, __dir__ = lazy_names(__name__, __file__)


__all__ = [
    "C_GRID",
    "NUM_TEST_SHAPES",
    "PAPER_NUMBERS",
    "CheckpointProvenance",
    "EmbeddedFolder",
    "EmbeddingSettings",
    "FeatureWhitening",
    "FewShotFold",
    "FewShotSplit",
    "FileEmbedder",
    "FileReader",
    "FolderIndex",
    "LeadingPoints",
    "LinearProbeResult",
    "PaperNumber",
    "PartIoU",
    "PointCloudAccuracy",
    "Result",
    "SegmentationScores",
    "ShapeIndex",
    "ShapeMatch",
    "Voting",
    "as_fold",
    "class_accuracies",
    "classification_metrics",
    "collect_run_facts",
    "distance_histograms",
    "draw_fold",
    "embed_folder",
    "embed_rotated",
    "extract_features",
    "index_folder",
    "linear_svm",
    "mean_average_precision",
    "mean_class_accuracy",
    "merge_seeds",
    "nearest_shapes",
    "num_cores",
    "overall_accuracy",
    "paper_number",
    "paper_value",
    "probe_encoder",
    "read_embedding_metadata",
    "read_provenance",
    "read_results",
    "reference_clouds",
    "render_results",
    "rotate_about_up_axis",
    "sample_clouds",
    "segmentation_scores",
    "shape_iou",
    "vote_logits",
    "write_results",
]
