"""What the readers of labelled datasets share: checks of class and part labels, and of lists of class names."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def check_labels(labels: np.ndarray, num_classes: int, path: Path) -> list[int]:
    """Check that labels are those of a dataset.

    Args:
        labels (`np.ndarray` of shape `(num_clouds,)`):
            Integers.
        num_classes (`int`):
            Number of classes.
        path (`pathlib.Path`):
            Their file, for the message.

    Returns:
        `list[int]`: The labels.

    Raises:
        ValueError: If one is outside 0 to `num_classes - 1`.
    """
    is_bad = (labels < 0) | (labels >= num_classes)
    if is_bad.any():
        row = int(is_bad.argmax())
        raise ValueError(
            f"`{path}` must hold labels from 0 to {num_classes - 1}, got {int(labels[row])} at cloud {row}."
        )
    return [int(label) for label in labels]


def check_class_list(path: Path, class_names: Sequence[str]) -> None:
    """Compare the list of classes in an archive, where there is one, with the classes of the dataset.

    Args:
        path (`pathlib.Path`):
            Text file of one name a line, in the order of the labels. Nothing happens without it.
        class_names (`Sequence[str]`):
            Classes in the order of their labels.

    Raises:
        ValueError: If the list is another one.
    """
    if not path.is_file():
        return
    found = path.read_text(encoding="utf-8", errors="replace").split()
    if found != list(class_names):
        raise ValueError(f"`{path}` must list the {len(class_names)} classes of the dataset in order, got {found}.")
