"""Pictures of point clouds, depth maps and reconstructions."""

from .model_reconstruction import draw_reconstructions, reconstruct
from .reconstruction_figure import reconstruction_figure, save_figure
from .sphere_renderer import render_points


__all__ = ["draw_reconstructions", "reconstruct", "reconstruction_figure", "render_points", "save_figure"]
