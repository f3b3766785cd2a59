"""ModelNet40 from Point-BERT's cache: two pickles of 8,192 points a shape, chosen farthest first from 10,000."""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jointmae_hf.data.label_checks import check_labels
from jointmae_hf.data.readers.safe_pickle import read_safe_pickle
from jointmae_hf.data.readers.validation import check_points

from .modelnet40_names import label_of_shape
from .source_files import Clouds
from .split_lists import read_names


NUM_POINTS = 8192

# The file of the train split has 1.9 GB.
_MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class ModelNet40Pickles:
    """Files of the cache layout; see `SourceFiles`."""

    files: Mapping[str, Path]
    lists: Mapping[str, Path]
    num_classes: int
    num_points: int = NUM_POINTS

    @property
    def paths(self) -> list[Path]:
        """The pickles, and the lists that name their shapes where they are."""
        return [*self.files.values(), *self.lists.values()]

    @property
    def splits(self) -> dict[str, list[tuple[str, Path]]]:
        """One part per pickle."""
        return {split: [(split, path)] for split, path in self.files.items()}

    def check(self) -> None:
        """Nothing can be told from a pickle without reading it."""

    def read(self, part: tuple[str, Path]) -> Clouds:
        """Read one pickle."""
        split, path = part
        clouds, labels = _read_lists(path)
        for row, cloud in enumerate(clouds):
            # In place, so that points with normals and without are never all in memory together.
            clouds[row] = read_pickled_cloud(cloud, NUM_POINTS, path)
        numbers = check_labels(np.array([read_pickled_label(label, path) for label in labels]), self.num_classes, path)
        return Clouds(clouds, self._names(split, path, numbers), numbers)

    def _names(self, split: str, path: Path, labels: Sequence[int]) -> list[str]:
        """Names of the shapes from the list beside the pickle, or their numbers."""
        if split not in self.lists:
            return [f"{split}-{row:05d}" for row in range(len(labels))]
        names = read_names(self.lists[split])
        expected = [label_of_shape(name, self.num_classes, str(self.lists[split])) for name in names]
        if expected != list(labels):
            raise ValueError(
                f"`{path}` must hold the shapes of {self.lists[split].name} in order, got {len(labels)} shapes with other "
                f"labels than those of its {len(names)} names. Remove the list if it is of another cache."
            )
        return names


def _read_lists(path: Path) -> tuple[list[Any], list[Any]]:
    """Clouds and labels of a pickle, not yet checked one by one."""
    content = read_safe_pickle(path, _MOST_BYTES)
    is_pair = isinstance(content, (list, tuple)) and len(content) == 2
    if not is_pair or not all(isinstance(part, (list, tuple)) for part in content):
        raise ValueError(f"`{path}` must hold a list of clouds and a list of labels, got {type(content).__name__}.")
    clouds, labels = content
    if len(clouds) != len(labels) or not clouds:
        raise ValueError(f"`{path}` must hold one label per cloud, got {len(clouds)} clouds and {len(labels)} labels.")
    return list(clouds), list(labels)


def read_pickled_cloud(cloud: Any, num_points: int, path: Path) -> np.ndarray:
    """Check an unpickled cloud and drop its normals.

    Args:
        cloud (`Any`):
            Array of shape `(num_points, 6)` or `(num_points, 3)`.
        num_points (`int`):
            Points that it must have.
        path (`pathlib.Path`):
            Its file, for the message.

    Returns:
        `np.ndarray`: float32 of shape `(num_points, 3)`.

    Raises:
        ValueError: If it is something else.
    """
    shape = cloud.shape if isinstance(cloud, np.ndarray) else type(cloud).__name__
    if shape not in ((num_points, 6), (num_points, 3)):
        raise ValueError(f"`{path}` must hold clouds of shape ({num_points}, 6), got {shape}.")
    return check_points(np.asarray(cloud)[:, :3], path)


def read_pickled_label(label: Any, path: Path) -> int:
    """Check an unpickled label.

    Args:
        label (`Any`):
            Integer, of Python or numpy, or an array of one.
        path (`pathlib.Path`):
            Its file, for the message.

    Returns:
        `int`: The label.

    Raises:
        ValueError: If it is something else.
    """
    number = np.asarray(label) if isinstance(label, (int, np.integer, np.ndarray)) else np.empty(0)
    if number.size != 1 or number.dtype.kind not in "iu":
        # Written out in full, lists that hold each other many times would never end.
        raise ValueError(f"`{path}` must hold one integer per label, got {reprlib.repr(label)}.")
    return int(number.reshape(-1)[0])


def find_modelnet40_pickles(root: Path, num_classes: int) -> ModelNet40Pickles:
    """Find the files of the cache layout.

    Args:
        root (`pathlib.Path`):
            The folder of the pickles.
        num_classes (`int`):
            40 or 10.

    Returns:
        `ModelNet40Pickles`: The files; whether they are there is not checked.
    """
    files = {split: root / f"modelnet{num_classes}_{split}_{NUM_POINTS}pts_fps.dat" for split in ("train", "test")}
    lists = {split: root / f"modelnet{num_classes}_{split}.txt" for split in files}
    return ModelNet40Pickles(files, {split: path for split, path in lists.items() if path.is_file()}, num_classes)
