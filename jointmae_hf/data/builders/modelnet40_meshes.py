"""ModelNet40 from its meshes: points are sampled from the surface and brought to the axes of the published clouds."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from jointmae_hf.data.readers.formats import read_point_cloud

from .modelnet40_names import CLASSES, MODELNET40_CLASSES, OFFICIAL_COUNTS, class_of_shape
from .source_files import Clouds, ListedFile, ListedFiles
from .split_lists import first_of, warn_of_counts


logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelNet40Meshes(ListedFiles):
    """Files of the mesh layout; see `SourceFiles`."""

    num_points: int
    seed: int

    def read(self, part: Sequence[ListedFile]) -> Clouds:
        """Sample some meshes."""
        return Clouds(
            points=[self._sample(file) for file in part],
            ids=[file.id for file in part],
            labels=[file.label for file in part],
        )

    def _sample(self, file: ListedFile) -> np.ndarray:
        """Points of one mesh, which depend on the seed and the name of the shape alone."""
        rng = np.random.default_rng([self.seed, crc32(file.id.encode())])
        points = read_point_cloud(file.path, self.num_points, rng=rng)
        if len(points) != self.num_points:
            raise ValueError(f"`{file.path}` must have faces to sample points from, got vertices alone.")
        # The meshes have z up; the published clouds are their mirror image with y up, not turned copies.
        points = points[:, [0, 2, 1]]
        points = points - points.mean(axis=0)
        return points / np.linalg.norm(points, axis=1).max()


def _class_folders(root: Path, num_classes: int) -> list[Path]:
    """Folders of the classes, after checking that no other is there."""
    folders = {path.name for path in root.iterdir() if path.is_dir() and path.name[0] not in "._"}
    unknown = sorted(folders - set(MODELNET40_CLASSES))
    if unknown:
        raise ValueError(f"`{root}` must hold folders of the classes of ModelNet, got {unknown[:3]}.")
    missing = [name for name in CLASSES[num_classes] if name not in folders]
    if missing:
        raise ValueError(
            f"`{root}` must hold the {num_classes} classes of ModelNet{num_classes}, got none of {missing[:3]} "
            f"({len(missing)} missing). For ModelNet10 set `num_classes=10`."
        )
    return [root / name for name in CLASSES[num_classes]]


def _listed_files(folder: Path, label: int) -> list[ListedFile]:
    """Meshes of one split of one class."""
    if not folder.is_dir():
        raise ValueError(f"`{folder}` must be a folder of meshes, got none.")
    visible = sorted(path for path in folder.iterdir() if path.name[0] != ".")
    others = [path.name for path in visible if path.suffix.lower() != ".off"]
    if others:
        logger.warning("ModelNet: %d files in %s are no meshes: %s", len(others), folder, first_of(others))
    files = [ListedFile(path, path.stem, label) for path in visible if path.suffix.lower() == ".off"]
    if not files:
        raise ValueError(f"`{folder}` must hold meshes `.off`, got none.")
    for file in files:
        if class_of_shape(file.id) != folder.parent.name:
            raise ValueError(f"`{file.path}` must be named `{folder.parent.name}_<number>.off` as its class.")
    return files


def find_modelnet40_meshes(root: Path, num_classes: int, num_points: int, seed: int) -> ModelNet40Meshes:
    """Find the files of the mesh layout.

    Args:
        root (`pathlib.Path`):
            The folder `ModelNet40` or `ModelNet10`.
        num_classes (`int`):
            40 or 10.
        num_points (`int`):
            Points to sample from every mesh.
        seed (`int`):
            Seed of the points.

    Returns:
        `ModelNet40Meshes`: The files, by class and number.

    Raises:
        ValueError: If a class or a split is missing or empty, or a name is not of its class.
    """
    folders = _class_folders(root, num_classes)
    files = {
        split: [file for label, folder in enumerate(folders) for file in _listed_files(folder / split, label)]
        for split in ("train", "test")
    }
    counts = {split: len(members) for split, members in files.items()}
    warn_of_counts(f"ModelNet{num_classes}", counts, OFFICIAL_COUNTS[num_classes])
    return ModelNet40Meshes(files, [], num_points, seed)
