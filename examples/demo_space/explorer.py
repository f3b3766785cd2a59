"""Content of the demo, independent of gradio."""

import html
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from torch import Tensor

from jointmae_hf import JointMAEFeatureExtractor, JointMAEForPreTraining
from jointmae_hf.data import load_point_clouds, read_point_cloud
from jointmae_hf.evaluation import ShapeIndex, extract_features, nearest_shapes, sample_clouds
from jointmae_hf.training.visualization_arguments import cloud_titles
from jointmae_hf.visualization import (
    attention_figure,
    pixel_positions,
    reconstruct,
    reconstruction_page,
    reconstruction_pictures,
    render_points,
)


TILE_PIXELS = 360
SHAPE_COLOR, TILE_COLOR = (0.35, 0.52, 0.71), (0.965, 0.97, 0.975)
DATASET = "sample_shapes"
"""Real objects in the package: the train split is compared with uploads, the test split holds an example of each class."""


@dataclass(frozen=True)
class Camera:
    """Hold the viewing angles of a cloud.

    Args:
        azimuth (`float`, *optional*, defaults to 35.0):
            Degrees about the up axis.
        elevation (`float`, *optional*, defaults to 20.0):
            Degrees above the horizontal plane.
    """

    azimuth: float = 35.0
    elevation: float = 20.0


class Explorer:
    """Explore a pre-trained model on a cloud, and compare clouds with the objects of `sample_shapes`.

    Args:
        model (`JointMAEForPreTraining`):
            Model with both branches.

    Raises:
        ValueError: If the model has no 2D branch.
    """

    def __init__(self, model: JointMAEForPreTraining):
        if not model.config.use_2d_branch:
            raise ValueError("`model` must have a 2D branch to show depth maps, got `use_2d_branch=False`.")
        self.model, self._lock = model.eval(), threading.Lock()
        splits = load_point_clouds(DATASET)
        self.shapes, self.classes = self._clouds_of(splits["train"])
        examples = splits["test"].select(np.unique(splits["test"]["label"], return_index=True)[1])
        clouds, names = self._clouds_of(examples)
        self.examples = {name: clouds[names.index(name)] for name in sorted(names)}
        features, _ = extract_features(model.jointmae, [{"points": cloud} for cloud in self.shapes])
        self._index = ShapeIndex(features, self.classes)

    @classmethod
    def from_pretrained(cls, name: str) -> "Explorer":
        """Load the model from the Hub or from a local folder."""
        return cls(JointMAEForPreTraining.from_pretrained(name))

    def read(self, path: str | Path, up_axis: str = "y") -> Tensor:
        """Read a file; return points `(num_points, 3)` in the unit sphere, y up."""
        extractor = JointMAEFeatureExtractor(num_points=self.model.config.num_points, up_axis=up_axis)
        return extractor(read_point_cloud(path), return_tensors="pt")["points"][0]

    def pictures(self, points: Tensor, mask_ratio: float, seed: int, camera: Camera) -> dict[str, np.ndarray]:
        """Return the enlarged pictures of `reconstruction_pictures`."""
        with self._hiding(mask_ratio):
            pictures = reconstruction_pictures(
                self.model, points, seed, camera.azimuth, camera.elevation, size=TILE_PIXELS
            )
        return {name: np.kron(picture, _enlargement(picture)) for name, picture in pictures.items()}

    def page(self, points: Tensor, mask_ratio: float, seed: int, camera: Camera) -> str:
        """Return an HTML frame with an interactive viewer, sandboxed to its own script."""
        with self._hiding(mask_ratio):
            page = reconstruction_page(self.model, points[None], ["cloud"], seed, camera.azimuth, camera.elevation)
        frame = '<iframe title="Interactive viewer" sandbox="allow-scripts" style="width:100%;height:760px;border:0"'
        return f'{frame} srcdoc="{html.escape(page)}"></iframe>'

    def token_at(self, points: Tensor, column: float, row: float, mask_ratio: float, seed: int, camera: Camera) -> int:
        """Return the 3D token whose center is drawn nearest to a pixel of the picture of centers."""
        with self._hiding(mask_ratio):
            centers = reconstruct(self.model, points[None], seed).centers[0].numpy()
        drawn = pixel_positions(centers, TILE_PIXELS, camera.azimuth, camera.elevation)
        return int(np.linalg.norm(drawn - [column, row], axis=1).argmin())

    def attention(self, points: Tensor, token: int | None, camera: Camera) -> np.ndarray:
        """Return the attention figure of a 3D token as RGB `(height, width, 3)`, see `attention_figure`."""
        with self._lock:
            figure = attention_figure(self.model, points, token, azimuth=camera.azimuth, elevation=camera.elevation)
        figure.set_dpi(110)
        figure.canvas.draw()
        return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()

    def nearest(self, points: Tensor, count: int = 6) -> list[tuple[np.ndarray, str]]:
        """Return pictures of the sample shapes that resemble a cloud most, with class and score, see [`ShapeIndex`]."""
        with self._lock:
            matches = nearest_shapes(self.model.jointmae, points, self._index, count)
        return [
            (
                render_points(self.shapes[match.row].numpy(), SHAPE_COLOR, 220, background=TILE_COLOR),
                f"{match.name}, {match.score:.2f}",
            )
            for match in matches
        ]

    def _clouds_of(self, split: Dataset) -> tuple[Tensor, list[str]]:
        """Return all clouds of a split and their classes."""
        batch = sample_clouds(split, len(split), self.model.config.num_points)
        return batch["points"], cloud_titles(split, batch)

    @contextmanager
    def _hiding(self, mask_ratio: float) -> Iterator[None]:
        """Set the mask ratio of the model temporarily, for one thread at a time."""
        config = self.model.config
        with self._lock:
            before = config.mask_ratio, config.mask_ratio_2d
            config.mask_ratio = config.mask_ratio_2d = mask_ratio
            try:
                yield
            finally:
                config.mask_ratio, config.mask_ratio_2d = before


def _enlargement(picture: np.ndarray) -> np.ndarray:
    """Return the factor of `np.kron` that enlarges small pictures to about the size of tiles."""
    factor = max(1, TILE_PIXELS // len(picture))
    return np.ones((factor, factor, 1), dtype=picture.dtype)
