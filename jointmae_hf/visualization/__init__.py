"""Pictures of point clouds, depth maps, reconstructions, attention and losses, and a page to turn them."""

from .alignment_figure import alignment_figure
from .attention_figure import attention_figure, attention_maps
from .figure_layout import empty_figure
from .interactive_page import reconstruction_page
from .loss_figure import loss_figure, loss_terms
from .model_reconstruction import (
    colored_reconstructions,
    draw_reconstructions,
    reconstruct,
    reconstruction_pictures,
)
from .pipeline_figure import pipeline_figure
from .pipeline_trace import PipelineTrace, attention_pairs, trace_pipeline
from .reconstruction_figure import reconstruction_figure, save_figure
from .sphere_renderer import pixel_positions, render_points


__all__ = [
    "PipelineTrace",
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
    "trace_pipeline",
]
