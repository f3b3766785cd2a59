"""ShapeNetPart from `shapenetcore_partanno_segmentation_benchmark_v0_normal`: one text file a shape."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jointmae_hf.data.readers.text import read_numbers
from jointmae_hf.data.readers.validation import check_points, reader_errors

from .shapenet_part_names import CATEGORIES, LIST_OF_SPLIT, OFFICIAL_COUNTS, SHAPENET_PART_PARTS, SHAPENET_PART_SYNSETS
from .source_files import Clouds, ListedFile, ListedFiles
from .split_lists import check_names, warn_of_counts, warn_of_shared, warn_of_unlisted


_LABEL_OF_SYNSET = {synset: label for label, synset in enumerate(SHAPENET_PART_SYNSETS.values())}


@dataclass(frozen=True)
class ShapeNetPartText(ListedFiles):
    """Files of the text layout; see `SourceFiles`."""

    num_points: int | None = None
    has_normals: bool = True

    def read(self, part: Sequence[ListedFile]) -> Clouds:
        """Read some clouds."""
        rows = [read_numbers(file.path, num_columns=7) for file in part]
        return Clouds(
            points=[check_points(row[:, :3], file.path) for row, file in zip(rows, part, strict=True)],
            ids=[file.id for file in part],
            labels=[file.label for file in part],
            part_labels=[_part_labels(row[:, 6], file) for row, file in zip(rows, part, strict=True)],
            normals=[check_points(row[:, 3:6], file.path) for row, file in zip(rows, part, strict=True)],
            synsets=[file.synset for file in part],
        )


def _part_labels(numbers: np.ndarray, file: ListedFile) -> np.ndarray:
    """Part labels, which the files write as floats."""
    category = CATEGORIES[file.label]
    is_part = np.isin(numbers, SHAPENET_PART_PARTS[category])
    if not is_part.all():
        line = int(is_part.argmin())
        raise ValueError(
            f"`{file.path}` must have part labels of {category}, {SHAPENET_PART_PARTS[category]}, got {numbers[line]} on "
            f"line {line + 1}."
        )
    return numbers.astype(np.uint8)


def _read_list(path: Path) -> list[str]:
    """Names `shape_data/<synset>/<model>` of a list."""
    with reader_errors(path, "be a JSON list of names"):
        names = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("something else")
    return check_names(names, path)


def _listed_file(root: Path, name: str, path: Path) -> ListedFile:
    """The cloud of a name in a list."""
    fields = name.split("/")
    if len(fields) != 3 or fields[0] != "shape_data" or not fields[2]:
        raise ValueError(f"`{path}` must hold names `shape_data/<synset>/<model>`, got {name!r}.")
    _, synset, model = fields
    if synset not in _LABEL_OF_SYNSET:
        raise ValueError(f"`{path}` must hold shapes of the 16 categories, got synset {synset!r} of {name!r}.")
    return ListedFile(root / synset / f"{model}.txt", model, _LABEL_OF_SYNSET[synset], synset)


def _check_categories(path: Path) -> None:
    """Compare the archive's own list of categories, where there is one, with ours."""
    if not path.is_file():
        return
    with reader_errors(path, "be a list of categories and synsets"):
        found = dict(line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    if list(found.items()) != list(SHAPENET_PART_SYNSETS.items()):
        raise ValueError(f"`{path}` must list the 16 categories of the dataset in order, got {found}.")


def find_shapenet_part_text(root: Path) -> ShapeNetPartText:
    """Find the files of the text layout.

    Args:
        root (`pathlib.Path`):
            The folder `shapenetcore_partanno_segmentation_benchmark_v0_normal`.

    Returns:
        `ShapeNetPartText`: The files, in the order of the lists.

    Raises:
        ValueError: If a list is missing or wrong.
    """
    _check_categories(root / "synsetoffset2category.txt")
    folder = root / "train_test_split"
    lists = {split: folder / f"shuffled_{name}_file_list.json" for split, name in LIST_OF_SPLIT.items()}
    names = {split: _read_list(path) for split, path in lists.items()}
    # The published lists have 35 shapes in two splits; results that can be compared keep them.
    warn_of_shared("ShapeNetPart", names)
    files = {split: [_listed_file(root, name, lists[split]) for name in members] for split, members in names.items()}
    present = {
        f"{path.parent.name}/{path.stem}" for synset in _LABEL_OF_SYNSET for path in (root / synset).glob("[!.]*.txt")
    }
    listed = {f"{file.synset}/{file.id}" for members in files.values() for file in members}
    warn_of_unlisted("ShapeNetPart", present, listed)
    warn_of_counts("ShapeNetPart", {split: len(members) for split, members in names.items()}, OFFICIAL_COUNTS)
    return ShapeNetPartText(files, list(lists.values()))
