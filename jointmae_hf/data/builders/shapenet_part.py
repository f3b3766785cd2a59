"""The `shapenet_part` dataset: shapes with a part label per point, as a `datasets` builder."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import datasets
import numpy as np

from jointmae_hf.data.readers.hdf5 import Hdf5Column, check_hdf5, read_hdf5
from jointmae_hf.data.readers.text import read_numbers
from jointmae_hf.data.readers.validation import check_points, reader_errors
from jointmae_hf.data.schema import check_labels, point_cloud_features

from .point_cloud_builder import DatasetSource, PointCloudBuilder
from .source_files import (
    Clouds,
    ListedFile,
    ListedFiles,
    SourceFiles,
    check_choice,
    check_clouds,
    check_names,
    choose_layout,
    find_folder,
    read_names,
    warn_of_counts,
    warn_of_shared,
    warn_of_unlisted,
)


SHAPENET_PART_SYNSETS: dict[str, str] = {
    "Airplane": "02691156",
    "Bag": "02773838",
    "Cap": "02954340",
    "Car": "02958343",
    "Chair": "03001627",
    "Earphone": "03261776",
    "Guitar": "03467517",
    "Knife": "03624134",
    "Lamp": "03636649",
    "Laptop": "03642806",
    "Motorbike": "03790512",
    "Mug": "03797390",
    "Pistol": "03948459",
    "Rocket": "04099429",
    "Skateboard": "04225987",
    "Table": "04379243",
}
"""WordNet offset of every category, in the order of their labels."""

SHAPENET_PART_PARTS: dict[str, tuple[int, ...]] = {
    "Airplane": (0, 1, 2, 3),
    "Bag": (4, 5),
    "Cap": (6, 7),
    "Car": (8, 9, 10, 11),
    "Chair": (12, 13, 14, 15),
    "Earphone": (16, 17, 18),
    "Guitar": (19, 20, 21),
    "Knife": (22, 23),
    "Lamp": (24, 25, 26, 27),
    "Laptop": (28, 29),
    "Motorbike": (30, 31, 32, 33, 34, 35),
    "Mug": (36, 37),
    "Pistol": (38, 39, 40),
    "Rocket": (41, 42, 43),
    "Skateboard": (44, 45, 46),
    "Table": (47, 48, 49),
}
"""Part labels that the points of every category can have; 50 in all."""

SHAPENET_PART_SOURCE = DatasetSource(
    name="ShapeNetPart",
    where="shapenet.cs.stanford.edu/media (often down): shapenetcore_partanno_segmentation_benchmark_v0_normal.zip and "
    "shapenet_part_seg_hdf5_data.zip; mirrors on the Hugging Face Hub, such as cminst/ShapeNet",
    license="ShapeNet terms (shapenet.org): non-commercial research and education, no redistribution",
    tree="""
one of
  shapenetcore_partanno_segmentation_benchmark_v0_normal/   layout="txt"
    train_test_split/shuffled_train_file_list.json, shuffled_val_file_list.json, shuffled_test_file_list.json
    synsetoffset2category.txt, 02691156/1021a0914a7207aff927ed529ad90a11.txt ... of lines x y z nx ny nz part
  hdf5_data/   layout="hdf5"
    train_hdf5_file_list.txt, val_hdf5_file_list.txt, test_hdf5_file_list.txt
    ply_data_train0.h5 ... with data (n, 2048, 3), label (n, 1) and pid (n, 2048)
""",
)

_CATEGORIES = tuple(SHAPENET_PART_SYNSETS)
_LABEL_OF_SYNSET = {synset: label for label, synset in enumerate(SHAPENET_PART_SYNSETS.values())}
_OFFICIAL_COUNTS = {"train": 12_137, "validation": 1_870, "test": 2_874}
_LIST_OF_SPLIT = {"train": "train", "validation": "val", "test": "test"}
_LAYOUTS = ("txt", "hdf5")
_NUM_POINTS_HDF5 = 2048
_LABEL = Hdf5Column("label", (), kinds="iu")
_PARTS = Hdf5Column("pid", (_NUM_POINTS_HDF5,), kinds="iu")
_COLUMNS = (Hdf5Column("data", (_NUM_POINTS_HDF5, 3)), _LABEL, _PARTS)


@dataclass(frozen=True)
class ShapeNetPartText(ListedFiles):
    """`shapenetcore_partanno_segmentation_benchmark_v0_normal`: one text file per shape, with normals."""

    num_points: int | None = None
    has_normals: bool = True

    @classmethod
    def find(cls, root: Path) -> "ShapeNetPartText":
        """Find the files in the order of the lists."""
        _check_categories(root / "synsetoffset2category.txt")
        folder = root / "train_test_split"
        lists = {split: folder / f"shuffled_{name}_file_list.json" for split, name in _LIST_OF_SPLIT.items()}
        names = {split: _read_list(path) for split, path in lists.items()}
        # The published lists have 35 shapes in two splits; results that can be compared keep them.
        warn_of_shared("ShapeNetPart", names)
        files = {
            split: [_listed_file(root, name, lists[split]) for name in members] for split, members in names.items()
        }
        present = {
            f"{path.parent.name}/{path.stem}"
            for synset in _LABEL_OF_SYNSET
            for path in (root / synset).glob("[!.]*.txt")
        }
        listed = {f"{file.synset}/{file.id}" for members in files.values() for file in members}
        warn_of_unlisted("ShapeNetPart", present, listed)
        warn_of_counts("ShapeNetPart", {split: len(members) for split, members in names.items()}, _OFFICIAL_COUNTS)
        return cls(files, list(lists.values()))

    def read_file(self, file: ListedFile) -> dict[str, np.ndarray]:
        """Read one shape."""
        rows = read_numbers(file.path, num_columns=7)
        return {
            "points": check_points(rows[:, :3], file.path),
            "part_labels": _part_labels(rows[:, 6], file),
            "normals": check_points(rows[:, 3:6], file.path),
        }


def _part_labels(numbers: np.ndarray, file: ListedFile) -> np.ndarray:
    """Check and return part labels, which the files write as floats."""
    category = _CATEGORIES[file.label]
    is_part = np.isin(numbers, SHAPENET_PART_PARTS[category])
    if not is_part.all():
        line = int(is_part.argmin())
        raise ValueError(
            f"`{file.path}` must have part labels of {category}, {SHAPENET_PART_PARTS[category]}, got {numbers[line]} on "
            f"line {line + 1}."
        )
    return numbers.astype(np.uint8)


def _read_list(path: Path) -> list[str]:
    """Return the names `shape_data/<synset>/<model>` of a list."""
    with reader_errors(path, "be a JSON list of names"):
        names = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("something else")
    return check_names(names, path)


def _listed_file(root: Path, name: str, path: Path) -> ListedFile:
    """Return the file of a name in a list."""
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


@dataclass(frozen=True)
class ShapeNetPartHdf5(SourceFiles):
    """`hdf5_data`: HDF5 files of many shapes, without normals and names."""

    num_points: int | None = _NUM_POINTS_HDF5
    has_normals: bool = False

    @classmethod
    def find(cls, root: Path) -> "ShapeNetPartHdf5":
        """Find the files in the order of the lists."""
        lists = {split: root / f"{name}_hdf5_file_list.txt" for split, name in _LIST_OF_SPLIT.items()}
        files = {
            split: [root / PurePosixPath(name).name for name in read_names(path)] for split, path in lists.items()
        }
        return cls(files, list(lists.values()))

    def check(self) -> None:
        """Check keys, shapes and both kinds of labels of all files."""
        counts = {split: sum(check_hdf5(path, _COLUMNS) for path in paths) for split, paths in self.files.items()}
        for path in (path for paths in self.files.values() for path in paths):
            _check_both_labels(read_hdf5(path, [_LABEL, _PARTS]), path)
        warn_of_counts("ShapeNetPart", counts, _OFFICIAL_COUNTS)

    def read(self, part: Path) -> Clouds:
        """Read one file."""
        arrays = read_hdf5(part, _COLUMNS)
        labels = _check_both_labels(arrays, part)
        synsets = list(SHAPENET_PART_SYNSETS.values())
        return Clouds(
            points=check_clouds(arrays["data"], part),
            ids=[f"{part.stem}-{row:05d}" for row in range(len(labels))],
            labels=labels,
            part_labels=arrays["pid"].astype(np.uint8),
            synsets=[synsets[label] for label in labels],
        )


def _check_both_labels(arrays: dict[str, np.ndarray], path: Path) -> list[int]:
    """Return the labels after checking them, and that every part is one of its category."""
    labels, parts = check_labels(arrays["label"], len(_CATEGORIES), path), arrays["pid"]
    bounds = np.array([(admitted[0], admitted[-1]) for admitted in SHAPENET_PART_PARTS.values()])[labels]
    is_bad = ((parts < bounds[:, :1]) | (parts > bounds[:, 1:])).any(axis=1)
    if is_bad.any():
        row = int(is_bad.argmax())
        category = _CATEGORIES[labels[row]]
        raise ValueError(
            f"`{path}` must have part labels of {category}, {SHAPENET_PART_PARTS[category]}, got "
            f"{np.unique(parts[row]).tolist()} at cloud {row}."
        )
    return labels


def find_shapenet_part_files(data_dir: Path, layout: str | None) -> ShapeNetPartHdf5 | ShapeNetPartText:
    """Find the files of the dataset in the layout that is there, or that is asked for where there are both."""
    text = find_folder(data_dir, "shapenetcore_partanno_segmentation_benchmark_v0_normal")
    hdf5 = find_folder(data_dir, "hdf5_data", "shapenet_part_seg_hdf5_data/hdf5_data", "shapenet_part_seg_hdf5_data")
    found = {}
    if (text / "train_test_split").is_dir() or any((text / name).is_dir() for name in SHAPENET_PART_SYNSETS.values()):
        found["txt"] = text
    if any(hdf5.glob("ply_data_*.h5")):
        found["hdf5"] = hdf5
    if choose_layout(found, layout, data_dir) == "txt":
        return ShapeNetPartText.find(text)
    return ShapeNetPartHdf5.find(hdf5)


class ShapeNetPart(PointCloudBuilder):
    """Builder of ShapeNetPart: 16,881 shapes of 16 categories and 50 parts, by the official lists.

    `train` has 12,137 shapes, `validation` 1,870 and `test` 2,874; papers train on the first two together. These are the
    entries of the official lists, in which 35 shapes occur twice: 9 in `train` and `validation`, 23 in `train` and `test`,
    3 in `validation` and `test`. They are kept, so that results can be compared; a warning counts them.

    | `layout` | published as | points of a shape | normals |
    |---|---|---|---|
    | `"txt"` | `shapenetcore_partanno_segmentation_benchmark_v0_normal` | about 2,600, differing | yes |
    | `"hdf5"` | `hdf5_data` of `shapenet_part_seg_hdf5_data.zip` | 2,048 | no |

    Points are as in the files: y is up. The archives were published on shapenet.cs.stanford.edu/media; download them from
    mirrors. The terms of ShapeNet apply: non-commercial research and education, no redistribution. `"hdf5"` requires
    `pip install "jointmae_hf[data]"`.

    Columns: `points`, `normals` where there are some, `label` (the category), `part_labels` (0 to 49; `SHAPENET_PART_PARTS`
    has those of each category), `synset`, and `id`, the model; file and row in the layout `"hdf5"`, which has no names.

    Args:
        data_dir (`str`):
            Folder of one of the archives, or the one that holds it.
        layout (`str`, *optional*):
            See the table. Needed only where `data_dir` holds both.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ValueError: If `layout` is unknown.
        DatasetError: If the files in `data_dir` are not those of the dataset, or it holds both layouts.
        ImportError: If h5py is needed and not installed.
    """

    SOURCE = SHAPENET_PART_SOURCE
    _files: ShapeNetPartHdf5 | ShapeNetPartText

    def __init__(
        self, *, data_dir: str | None = None, layout: str | None = None, hash: str | None = None, **kwargs: Any
    ) -> None:
        if layout is not None:
            check_choice("layout", layout, _LAYOUTS)
        super().__init__(find_shapenet_part_files, {"layout": layout}, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._describe(
            "ShapeNetPart with its official splits.",
            point_cloud_features(
                self._files.num_points,
                _CATEGORIES,
                has_part_labels=True,
                has_normals=self._files.has_normals,
                has_synset=True,
            ),
        )
