"""The columns of every point cloud dataset, how they are checked, and how they are written to Arrow.

| column | type | meaning |
|---|---|---|
| `points` | `Array2D((num_points or None, 3), "float32")` | xyz of one cloud |
| `normals` | as `points` | normal of every point, if the dataset has normals |
| `label` | `ClassLabel` | class of the cloud, if the dataset has classes |
| `part_labels` | `List(Value("uint8"))` | part of every point, if the dataset has parts |
| `is_background` | `List(Value("bool"))` | whether a point belongs to the background, if the objects are cut from scans |
| `synset` | `Value("string")` | WordNet offset of the class, if the dataset has synsets |
| `license` | `Value("string")` | terms of the cloud, if each cloud has its own |
| `credit` | `Value("string")` | whom to credit for the cloud, together with `license` |
| `id` | `Value("string")` | name of the cloud in its source, unique together with the synset where there is one |
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Array2D, ClassLabel, Features, List, Value


def point_cloud_features(
    num_points: int | None = None,
    class_names: Sequence[str] | None = None,
    has_part_labels: bool = False,
    has_normals: bool = False,
    has_background: bool = False,
    has_synset: bool = False,
    has_credits: bool = False,
) -> Features:
    """Return the columns of a dataset.

    Args:
        num_points (`int`, *optional*):
            Points of every cloud. Leave it out for clouds of different sizes.
        class_names (`Sequence[str]`, *optional*):
            Names of the classes in the order of their labels. Without them there is no `label` column.
        has_part_labels (`bool`, *optional*, defaults to `False`):
            Whether every point carries a part label.
        has_normals (`bool`, *optional*, defaults to `False`):
            Whether every point carries a normal.
        has_background (`bool`, *optional*, defaults to `False`):
            Whether every point is marked as object or background.
        has_synset (`bool`, *optional*, defaults to `False`):
            Whether every cloud carries a WordNet offset.
        has_credits (`bool`, *optional*, defaults to `False`):
            Whether every cloud carries its license and credit.

    Returns:
        `datasets.Features`: The columns, in the order of the table above.

    Raises:
        ValueError: If `num_points` is not positive.
    """
    if num_points is not None and num_points < 1:
        raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
    features: dict[str, object] = {"points": Array2D((num_points, 3), "float32")}
    if has_normals:
        features["normals"] = Array2D((num_points, 3), "float32")
    if class_names is not None:
        features["label"] = ClassLabel(names=list(class_names))
    if has_part_labels:
        features["part_labels"] = List(Value("uint8"))
    if has_background:
        features["is_background"] = List(Value("bool"))
    if has_synset:
        features["synset"] = Value("string")
    if has_credits:
        features["license"] = features["credit"] = Value("string")
    features["id"] = Value("string")
    return Features(features)


def _check_columns(features: Features, points: Sequence[np.ndarray], columns: dict[str, Sequence | None]) -> None:
    """Compare the columns with those of `features`."""
    for name, values in columns.items():
        if (name in features) != (values is not None):
            raise ValueError(f"`{name}` must be given if and only if `features` hold it, got {sorted(features)}.")
        if values is not None and len(values) != len(points):
            raise ValueError(f"`{name}` must have one entry per cloud, got {len(values)} and {len(points)} clouds.")
    triples = {"points": points, "normals": columns["normals"]}
    for name, clouds in triples.items():
        _check_triples(name, () if clouds is None else clouds, features["points"].shape[0])
    for name in ("normals", "part_labels", "is_background"):
        per_point = columns[name]
        if per_point is not None and [len(values) for values in per_point] != [len(cloud) for cloud in points]:
            raise ValueError(f"`{name}` must have one entry per point, got other lengths than those of `points`.")


def _check_triples(name: str, clouds: Sequence[np.ndarray], num_points: int | None) -> None:
    """Compare arrays of points or normals with their type in `features`."""
    for cloud in clouds:
        if cloud.ndim != 2 or cloud.shape[1] != 3 or cloud.dtype != np.float32:
            raise ValueError(f"`{name}` must be float32 arrays (num_points, 3), got {cloud.dtype} {cloud.shape}.")
        if num_points is not None and len(cloud) != num_points:
            raise ValueError(f"`{name}` must hold {num_points} points as in `features`, got {len(cloud)}.")


def _list_array(values: np.ndarray | pa.Array, lengths: Sequence[int]) -> pa.ListArray:
    """Cut flat values into consecutive lists of the given lengths."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, type=pa.int32()), pa.array(values))


def _array_of_triples(feature: Array2D, clouds: Sequence[np.ndarray]) -> pa.ExtensionArray:
    """Return one list of points per cloud."""
    lengths = [len(cloud) for cloud in clouds]
    rows = _list_array(np.concatenate(clouds).reshape(-1), [3] * sum(lengths))
    return pa.ExtensionArray.from_storage(feature(), _list_array(rows, lengths))


def point_cloud_table(
    features: Features,
    points: Sequence[np.ndarray],
    ids: Sequence[str],
    labels: Sequence[int] | None = None,
    part_labels: Sequence[np.ndarray] | None = None,
    normals: Sequence[np.ndarray] | None = None,
    is_background: Sequence[np.ndarray] | None = None,
    synsets: Sequence[str] | None = None,
    licenses: Sequence[str] | None = None,
    credits: Sequence[str] | None = None,
) -> pa.Table:
    """Write clouds into an Arrow table without a Python object per number.

    Args:
        features (`datasets.Features`):
            Columns, from `point_cloud_features`.
        points (`Sequence[np.ndarray]`):
            One float32 array `(num_points, 3)` per cloud, at least one cloud.
        ids (`Sequence[str]`):
            One name per cloud.
        labels (`Sequence[int]`, *optional*):
            One class per cloud.
        part_labels (`Sequence[np.ndarray]`, *optional*):
            One uint8 array `(num_points,)` per cloud.
        normals (`Sequence[np.ndarray]`, *optional*):
            One float32 array `(num_points, 3)` per cloud.
        is_background (`Sequence[np.ndarray]`, *optional*):
            One bool array `(num_points,)` per cloud.
        synsets (`Sequence[str]`, *optional*):
            One WordNet offset per cloud.
        licenses (`Sequence[str]`, *optional*):
            Terms of each cloud.
        credits (`Sequence[str]`, *optional*):
            Credit of each cloud.

    Returns:
        `pyarrow.Table`: One row per cloud; its schema carries `features`.

    Raises:
        ValueError: If the columns do not agree with `features`, or with each other in length.
    """
    texts = {"synset": synsets, "license": licenses, "credit": credits}
    given = {"id": ids, "label": labels, "part_labels": part_labels, **texts}
    _check_columns(features, points, {**given, "normals": normals, "is_background": is_background})
    lengths = [len(cloud) for cloud in points]
    columns: dict[str, pa.Array] = {
        "points": _array_of_triples(features["points"], points),
        "id": pa.array(ids, type=pa.string()),
    }
    if normals is not None:
        columns["normals"] = _array_of_triples(features["normals"], normals)
    if labels is not None:
        columns["label"] = pa.array(labels, type=pa.int64())
    if part_labels is not None:
        columns["part_labels"] = _list_array(np.concatenate(part_labels).astype(np.uint8), lengths)
    if is_background is not None:
        columns["is_background"] = _list_array(np.concatenate(is_background).astype(bool), lengths)
    columns |= {name: pa.array(values, type=pa.string()) for name, values in texts.items() if values is not None}
    return pa.table([columns[name] for name in features], schema=features.arrow_schema)


def check_labels(labels: np.ndarray, num_classes: int, path: Path) -> list[int]:
    """Return the labels of a file after checking that they are from 0 to `num_classes - 1`."""
    is_bad = (labels < 0) | (labels >= num_classes)
    if is_bad.any():
        row = int(is_bad.argmax())
        raise ValueError(
            f"`{path}` must hold labels from 0 to {num_classes - 1}, got {int(labels[row])} at cloud {row}."
        )
    return [int(label) for label in labels]


def check_class_list(path: Path, class_names: Sequence[str]) -> None:
    """Compare the list of classes in an archive, where there is one, with the classes of the dataset."""
    if not path.is_file():
        return
    found = path.read_text(encoding="utf-8", errors="replace").split()
    if found != list(class_names):
        raise ValueError(f"`{path}` must list the {len(class_names)} classes of the dataset in order, got {found}.")
