"""ModelNet40 from `modelnet40_normal_resampled`: one text file of 10,000 points with normals a shape."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jointmae_hf.data.label_checks import check_class_list
from jointmae_hf.data.readers.text import read_numbers
from jointmae_hf.data.readers.validation import check_points

from .modelnet40_names import CLASSES, OFFICIAL_COUNTS, class_of_shape, label_of_shape
from .source_files import Clouds, ListedFile, ListedFiles
from .split_lists import check_disjoint, read_names, warn_of_counts, warn_of_unlisted


NUM_POINTS = 10_000


@dataclass(frozen=True)
class ModelNet40Text(ListedFiles):
    """Files of the text layout; see `SourceFiles`."""

    num_points: int = NUM_POINTS

    def read(self, part: Sequence[ListedFile]) -> Clouds:
        """Read some clouds."""
        rows = [read_numbers(file.path, num_columns=6, num_rows=NUM_POINTS, delimiter=",") for file in part]
        return Clouds(
            points=[check_points(row[:, :3], file.path) for row, file in zip(rows, part, strict=True)],
            ids=[file.id for file in part],
            labels=[file.label for file in part],
        )


def find_modelnet40_text(root: Path, num_classes: int) -> ModelNet40Text:
    """Find the files of the text layout.

    Args:
        root (`pathlib.Path`):
            The folder `modelnet40_normal_resampled`.
        num_classes (`int`):
            40, or 10 for ModelNet10, whose lists are in the same folder.

    Returns:
        `ModelNet40Text`: The files, in the order of the lists.

    Raises:
        ValueError: If a list is missing or wrong.
    """
    dataset = f"ModelNet{num_classes}"
    check_class_list(root / f"modelnet{num_classes}_shape_names.txt", CLASSES[num_classes])
    lists = {split: root / f"modelnet{num_classes}_{split}.txt" for split in ("train", "test")}
    names = {split: read_names(path) for split, path in lists.items()}
    check_disjoint(names)
    files = {
        split: [
            ListedFile(
                root / class_of_shape(name) / f"{name}.txt", name, label_of_shape(name, num_classes, str(lists[split]))
            )
            for name in members
        ]
        for split, members in names.items()
    }
    listed = {file.id for members in files.values() for file in members}
    present = {path.stem for name in CLASSES[num_classes] for path in (root / name).glob("[!.]*.txt")}
    warn_of_unlisted(dataset, present, listed)
    warn_of_counts(dataset, {split: len(members) for split, members in names.items()}, OFFICIAL_COUNTS[num_classes])
    return ModelNet40Text(files, list(lists.values()))
