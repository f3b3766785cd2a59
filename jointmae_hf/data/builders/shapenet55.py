"""The `shapenet55` dataset: clouds for pre-training, from Point-BERT's archive, as a `datasets` builder."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import datasets
import numpy as np

from jointmae_hf.data.readers.formats import read_point_cloud
from jointmae_hf.data.schema import point_cloud_features

from .point_cloud_builder import DatasetSource, PointCloudBuilder
from .source_files import (
    ListedFile,
    ListedFiles,
    check_disjoint,
    check_names,
    find_folder,
    read_names,
    warn_of_counts,
    warn_of_unlisted,
)


logger = logging.getLogger(__name__)

_NUM_POINTS = 8192

SHAPENET55_SYNSETS: dict[str, str] = {
    "02691156": "airplane",
    "02747177": "trash_bin",
    "02773838": "bag",
    "02801938": "basket",
    "02808440": "bathtub",
    "02818832": "bed",
    "02828884": "bench",
    "02843684": "birdhouse",
    "02871439": "bookshelf",
    "02876657": "bottle",
    "02880940": "bowl",
    "02924116": "bus",
    "02933112": "cabinet",
    "02942699": "camera",
    "02946921": "can",
    "02954340": "cap",
    "02958343": "car",
    "02992529": "cellphone",
    "03001627": "chair",
    "03046257": "clock",
    "03085013": "keyboard",
    "03207941": "dishwasher",
    "03211117": "display",
    "03261776": "earphone",
    "03325088": "faucet",
    "03337140": "file_cabinet",
    "03467517": "guitar",
    "03513137": "helmet",
    "03593526": "jar",
    "03624134": "knife",
    "03636649": "lamp",
    "03642806": "laptop",
    "03691459": "loudspeaker",
    "03710193": "mailbox",
    "03759954": "microphone",
    "03761084": "microwaves",
    "03790512": "motorbike",
    "03797390": "mug",
    "03928116": "piano",
    "03938244": "pillow",
    "03948459": "pistol",
    "03991062": "flowerpot",
    "04004475": "printer",
    "04074963": "remote",
    "04090263": "rifle",
    "04099429": "rocket",
    "04225987": "skateboard",
    "04256520": "sofa",
    "04330267": "stove",
    "04379243": "table",
    "04401088": "telephone",
    "04460130": "tower",
    "04468005": "train",
    "04530566": "watercraft",
    "04554684": "washer",
}
"""Name of the class of every WordNet offset; the order is that of the labels."""

SHAPENET55_SOURCE = DatasetSource(
    name="ShapeNet-55",
    where="the data page of Point-BERT, github.com/Julie-tang00/Point-BERT (DATASET.md)",
    license="ShapeNet terms (shapenet.org): non-commercial research and education, no redistribution",
    tree="""
ShapeNet55-34/
  shapenet_pc/02691156-10155655850468db78d106ce0a280f87.npy ...   float32 (8192, 3)
  ShapeNet-55/train.txt, test.txt   one file name a line; without both, the split is ours
""",
)

_OFFICIAL_COUNTS = {"train": 41_952, "test": 10_518}
_LABELS = {synset: label for label, synset in enumerate(SHAPENET55_SYNSETS)}


@dataclass(frozen=True)
class ShapeNet55Files(ListedFiles):
    """One `.npy` file per cloud, named after synset and model, with or without lists of the splits."""

    @classmethod
    def find(cls, data_dir: Path, whole: bool) -> "ShapeNet55Files":
        """Find the clouds in the order of the lists; `whole` joins both splits."""
        root = find_folder(data_dir, "ShapeNet55-34")
        folder = find_folder(root, "shapenet_pc")
        lists = _find_lists(root)
        present = sorted(path.name for path in folder.iterdir() if path.suffix == ".npy" and path.name[0] != ".")
        if not present:
            raise ValueError(f"`data_dir` must hold clouds `<synset>-<model>.npy`, got none in {folder}.")
        if lists:
            names = {split: read_names(path) for split, path in lists.items()}
            check_disjoint(names)
            warn_of_unlisted("ShapeNet-55", set(present), {name for members in names.values() for name in members})
            warn_of_counts("ShapeNet-55", {split: len(members) for split, members in names.items()}, _OFFICIAL_COUNTS)
        else:
            logger.warning(
                "ShapeNet-55: %s holds no train.txt and test.txt; the split is ours, not the published one.", root
            )
            names = _split_by_name(check_names(present, folder))
        if whole:
            names = {"train": [name for members in names.values() for name in members]}
        # A split without clouds cannot be written.
        files = {
            split: [_listed_file(folder, name) for name in members] for split, members in names.items() if members
        }
        return cls(files, list(lists.values()))

    def read_file(self, file: ListedFile) -> dict[str, np.ndarray]:
        """Read one cloud."""
        points = read_point_cloud(file.path)
        if len(points) != _NUM_POINTS:
            raise ValueError(f"`{file.path}` must hold {_NUM_POINTS} points, got {len(points)}.")
        return {"points": points}


def _listed_file(folder: Path, name: str) -> ListedFile:
    """Return the file of a name, which is `<synset>-<model>.npy`."""
    # Only the first hyphen separates: some models are UUIDs, and two have no name at all.
    synset, hyphen, model = name.removesuffix(".npy").partition("-")
    if not hyphen or not name.endswith(".npy") or "/" in name:
        raise ValueError(f"Clouds must be named `<synset>-<model>.npy`, got {name!r} in {folder}.")
    if synset not in _LABELS:
        raise ValueError(f"Clouds must be of the 55 synsets of ShapeNet-55, got {synset!r} of {name!r} in {folder}.")
    return ListedFile(folder / name, model, _LABELS[synset], synset)


def _find_lists(root: Path) -> dict[str, Path]:
    """Return the lists of both splits, or an empty dictionary."""
    # Point-BERT's data page spells the folder `ShapeNet-35`; other copies keep the lists next to the clouds.
    for folder in (root / "ShapeNet-55", root / "ShapeNet-35", root):
        lists = {split: folder / f"{split}.txt" for split in ("train", "test")}
        missing = [str(path) for path in lists.values() if not path.is_file()]
        if not missing:
            return lists
        if len(missing) == 1:
            raise ValueError(
                f"`{missing[0]}` must exist, as the other list of the dataset does. Restore or remove both."
            )
    return {}


def _split_by_name(names: Sequence[str]) -> dict[str, list[str]]:
    """Put a fifth of the clouds into `test`, chosen by a checksum of each name alone."""
    is_test = {name: crc32(name.encode()) % 5 == 0 for name in names}
    return {
        "train": [name for name in names if not is_test[name]],
        "test": [name for name in names if is_test[name]],
    }


class ShapeNet55(PointCloudBuilder):
    """Builder of ShapeNet-55: 52,470 clouds of 8,192 points, 41,952 in `train` and 10,518 in `test`, of 55 classes.

    The Joint-MAE paper counts 57,448 shapes, the number of ShapeNetCore v1; the lists that its peers publish have 52,470.
    Points are as in the files: y is up, neither centered nor scaled. Download the archive from the data page of Point-BERT,
    under the terms of ShapeNet: non-commercial research and education, no redistribution.

    Without `train.txt` and `test.txt`, a cloud belongs to `test` if the CRC-32 of its file name is a multiple of 5. This
    split is the same everywhere, whatever other files there are, but it is not the published one; a warning says so.

    Columns: `points`, `label` (names in `SHAPENET55_SYNSETS`), `synset`, and `id`, the model. Two models have the empty id.

    Args:
        data_dir (`str`):
            The folder `ShapeNet55-34` or the one that holds it.
        whole (`bool`, *optional*, defaults to `False`):
            Join the test split to `train`, as the option of that name does in Point-BERT. There is no `test` then.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        DatasetError: If the files in `data_dir` are not those of the dataset.
    """

    SOURCE = SHAPENET55_SOURCE

    def __init__(
        self, *, data_dir: str | None = None, whole: bool = False, hash: str | None = None, **kwargs: Any
    ) -> None:
        if not isinstance(whole, bool):
            raise TypeError(f"`whole` must be a bool, got {whole!r}.")
        super().__init__(ShapeNet55Files.find, {"whole": whole}, data_dir, hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return self._describe(
            "ShapeNet-55 as published by Point-BERT.",
            point_cloud_features(_NUM_POINTS, list(SHAPENET55_SYNSETS.values()), has_synset=True),
        )
