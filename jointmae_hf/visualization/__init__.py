"""Figures of point clouds, depth maps, reconstructions, attention and losses, an interactive viewer, and pages of search results."""

from .alignment_figure import alignment_figure
from .attention_figure import attention_figure, attention_maps
from .figure_layout import empty_figure, save_figure
from .interactive_page import reconstruction_page
from .loss_figure import loss_figure, loss_terms
from .pipeline_figure import pipeline_figure
from .pipeline_trace import PipelineTrace, attention_pairs, reconstruct, trace_pipeline
from .reconstruction_figure import (
    colored_reconstructions,
    draw_reconstructions,
    reconstruction_figure,
    reconstruction_pictures,
)
from .search_page import ShapeTile, search_page
from .sphere_renderer import pixel_positions, render_points


__all__ = [
    "PipelineTrace",
    "ShapeTile",
    "alignment_figure",
    "attention_figure",
    "attention_maps",
    "attention_pairs",
    "colored_reconstructions",
    "draw_reconstructions",
    "empty_figure",
    "loss_figure",
    "loss_terms",
    "pipeline_figure",
    "pixel_positions",
    "reconstruct",
    "reconstruction_figure",
    "reconstruction_page",
    "reconstruction_pictures",
    "render_points",
    "save_figure",
    "search_page",
    "trace_pipeline",
]
