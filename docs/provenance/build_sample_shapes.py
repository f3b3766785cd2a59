"""Build the files of the `sample_shapes` dataset from packs of sampled models.

```bash
python docs/provenance/build_sample_shapes.py quaternius_2048.npz kaykit_2048.npz kenney_2048.npz sweethome3d_2048.npz
```

Reads `label`, `repository` and `path` of every chosen shape from `sample_shapes.csv`, fills in `id` and `split`, and writes
the points next to it. The choice of shapes and their labels are made by hand, see `sample_shapes.md`.

A pack is an `.npz` of shapes sampled uniformly by area, y up: `name` (path of every shape, starting with the name of its
repository) and its points as `lo`, `hi` and `scale`, encoded as [`encode`] does.
"""

import argparse
import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from jointmae_hf.data.builders import sample_shapes
from jointmae_hf.data.builders.sample_shapes import NUM_POINTS, SCALE, decode_points


TEST_SHARE = 0.25
SHAPE_RATIO, SERIES_RATIO, NAME_RATIO = 1.4, 1.6, 2.5
"""Near-duplicates are at less than this times the sampling noise: any two shapes, two of a series, and two of one name."""
_VARIANTS = re.compile(
    "bricks|broken|decorated|empty|filled|full|harvested|large|luxury|small|without_?base"  # A little changed.
    "|autumn|flowers|moss|snow|blue|brown|color|green|purple|red|yellow"
)
_ROTATIONS = [np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]


def encode(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encode integer coordinates as differences between neighbors on a short tour, low and high byte apart.

    Args:
        points (`np.ndarray` of shape `(num_clouds, num_points, 3)`):
            Integers within [-8192, 8191]. The order of the points is lost.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: Both uint8 of shape `(num_clouds, 3, num_points)`.
    """
    sorted_points = np.stack([cloud[_short_tour(cloud)] for cloud in points]).astype(np.int32)
    steps = np.diff(sorted_points, axis=1, prepend=0).transpose(0, 2, 1)
    zigzag = (steps << 1) ^ (steps >> 31)  # Small steps of either sign become small positive numbers.
    return (zigzag & 255).astype(np.uint8), (zigzag >> 8).astype(np.uint8)


def _short_tour(cloud: np.ndarray) -> np.ndarray:
    """Order points so that each is followed by the nearest one that is left."""
    current = int(np.lexsort(cloud.T)[0])
    is_left = np.ones(len(cloud), dtype=bool)
    order = [current]
    for _ in range(len(cloud) - 1):
        is_left[current] = False
        distances = np.abs(cloud - cloud[current]).sum(axis=1)
        current = int(np.where(is_left, distances, np.iinfo(np.int64).max).argmin())
        order.append(current)
    return np.array(order)


def quantize(cloud: np.ndarray, seed: int) -> np.ndarray:
    """Draw `NUM_POINTS` points, move their mean to the origin, and round them to a grid within the unit sphere."""
    points = np.random.default_rng(seed).permutation(cloud)[:NUM_POINTS].astype(np.float64)
    points -= points.mean(axis=0)
    radius = SCALE - 0.9  # The diagonal of half a cell is 0.87.
    return np.rint(points * radius / np.linalg.norm(points, axis=1).max()).astype(np.int64)


class SampledShape:
    """Two samplings of one shape, for comparison with other shapes.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            Points in random order.
    """

    def __init__(self, points: np.ndarray) -> None:
        self.points, self.other_points = np.array_split(points, 2)
        self.tree = KDTree(self.points)
        self.noise = _distance(self.tree, self.other_points)

    def duplicate_ratio(self, other: "SampledShape", limit: float) -> float:
        """Compare with another shape: mean distance to the nearest point, in units of that between two samplings.

        Args:
            other (`SampledShape`):
                The other shape.
            limit (`float`):
                Ratio from which on the shapes differ.

        Returns:
            `float`: Minimum over four turns about y, with and without reflection: about 1 for two samplings of one shape,
            and infinity if it would exceed `limit` for sure.
        """
        noise = np.sqrt(self.noise * other.noise)
        turned = [other.points @ rotation.T * (sign, 1, 1) for rotation in _ROTATIONS for sign in (1, -1)]
        # A tenth of the points tells most pairs apart.
        close = [points for points in turned if self.tree.query(points[::10])[0].mean() < 1.5 * limit * noise]
        return min((_distance(self.tree, points) / noise for points in close), default=np.inf)


def _distance(tree: KDTree, points: np.ndarray) -> float:
    """Return the mean distance to the nearest point of the other set, both ways."""
    return float(tree.query(points)[0].mean() + KDTree(points).query(tree.data)[0].mean()) / 2.0


def assign_splits(clouds: Sequence[np.ndarray], names: Sequence[str], seed: int = 0) -> list[str]:
    """Divide the shapes of one class into `train` and `test`; near-duplicates stay together.

    Args:
        clouds (`Sequence[np.ndarray]`):
            Points of every shape, in random order.
        names (`Sequence[str]`):
            Name of every shape, as its creator wrote it: variants such as `Tree_1` and `Tree_Snow_1` are found by it.
        seed (`int`, *optional*, defaults to 0):
            Seed of the choice.

    Returns:
        `list[str]`: Split of every shape.
    """
    groups = _group_duplicates(clouds, names)
    num_test = round(TEST_SHARE * len(clouds))
    splits = ["train"] * len(clouds)
    largest = max(groups, key=len)
    for index in np.random.default_rng(seed).permutation(len(groups)):
        group = groups[index]
        if group is not largest and len(group) <= num_test:
            num_test -= len(group)
            for member in group:
                splits[member] = "test"
    return splits


def _group_duplicates(clouds: Sequence[np.ndarray], names: Sequence[str]) -> list[list[int]]:
    """Return the connected components of near-duplicates."""
    shapes = [SampledShape(cloud) for cloud in clouds]
    group_of = list(range(len(clouds)))
    for first in range(len(clouds)):
        for second in range(first + 1, len(clouds)):
            limit = _limit(names[first], names[second])
            if shapes[first].duplicate_ratio(shapes[second], limit) < limit:
                old, new = group_of[second], group_of[first]
                group_of = [new if group == old else group for group in group_of]
    members = defaultdict(list)
    for index, group in enumerate(group_of):
        members[group].append(index)
    return list(members.values())


def _limit(first: str, second: str) -> float:
    """Return the ratio below which two shapes of these names are taken for near-duplicates."""
    if _base_name(first) == _base_name(second):
        return NAME_RATIO
    return SERIES_RATIO if _first_word(first) == _first_word(second) else SHAPE_RATIO


def _base_name(name: str) -> str:
    """Return `"tree1"` for `"Tree_Snow_1"`."""
    return re.sub("[-_]", "", _VARIANTS.sub("", name.lower()))


def _first_word(name: str) -> str:
    """Return `"tree"` for `"TreeTall_1"`."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower().replace("-", "_").split("_")[0]


def read_packs(paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """Return the points of every shape in the packs by its name."""
    clouds = {}
    for path in paths:
        with np.load(path, allow_pickle=False) as pack:
            points = decode_points(pack["lo"], pack["hi"], int(pack["scale"]))
            clouds.update(zip(pack["name"].tolist(), points, strict=True))
    return clouds


def _file_name(path: str) -> str:
    """Return the name of a model's file without endings, or that of its folder."""
    return re.sub("/model$", "", path.split(".gl")[0].split(".fbx")[0]).split("/")[-1]


def main() -> None:
    """Write `sample_shapes.npz` and complete `sample_shapes.csv`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", nargs="+", type=Path)
    parser.add_argument("--table", type=Path, default=sample_shapes.TABLE_PATH)
    arguments = parser.parse_args()
    packs = read_packs(arguments.packs)
    with open(arguments.table, newline="", encoding="utf-8") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: (row["label"], row["repository"], row["path"]))
    names = [f"{row['repository'].split('/')[-1]}/{row['path']}" for row in rows]
    clouds = [packs[name] if name in packs else packs[row["path"]] for name, row in zip(names, rows, strict=True)]
    for label in sorted({row["label"] for row in rows}):
        members = [index for index, row in enumerate(rows) if row["label"] == label]
        shuffled = [np.random.default_rng(index).permutation(clouds[index]) for index in members]
        splits = assign_splits(shuffled, [_file_name(rows[index]["path"]) for index in members])
        for number, (index, split) in enumerate(zip(members, splits, strict=True)):
            rows[index] |= {"id": f"{label}-{number:03d}", "split": split}
    low, high = encode(np.stack([quantize(cloud, seed) for seed, cloud in enumerate(clouds)]))
    np.savez_compressed(arguments.table.with_suffix(".npz"), low=low, high=high)
    with open(arguments.table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, sample_shapes.TABLE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
