"""The columns of every point cloud corpus, and how they are written to Arrow.

| column | type | meaning |
|---|---|---|
| `points` | `Array2D((num_points or None, 3), "float32")` | xyz of one cloud |
| `label` | `ClassLabel` | class of the cloud, if the corpus has classes |
| `part_labels` | `List(Value("uint8"))` | part of every point, if the corpus has parts |
| `id` | `Value("string")` | name that finds the cloud again in its source |
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Array2D, ClassLabel, Features, List, Value


def point_cloud_features(
    num_points: int | None = None, class_names: Sequence[str] | None = None, has_part_labels: bool = False
) -> Features:
    """Describe the columns of a corpus.

    Args:
        num_points (`int`, *optional*):
            Points of every cloud. Leave it out for clouds of different sizes.
        class_names (`Sequence[str]`, *optional*):
            Names of the classes in the order of their labels. Without them there is no `label` column.
        has_part_labels (`bool`, *optional*, defaults to `False`):
            Whether every point carries a part label.

    Returns:
        `datasets.Features`: The columns, in the order of the table above.

    Raises:
        ValueError: If `num_points` is not positive.
    """
    if num_points is not None and num_points < 1:
        raise ValueError(f"`num_points` must be at least 1, got {num_points}.")
    features: dict[str, object] = {"points": Array2D((num_points, 3), "float32")}
    if class_names is not None:
        features["label"] = ClassLabel(names=list(class_names))
    if has_part_labels:
        features["part_labels"] = List(Value("uint8"))
    features["id"] = Value("string")
    return Features(features)


def _check_columns(features: Features, points: Sequence[np.ndarray], columns: dict[str, Sequence | None]) -> None:
    """Compare what is given with what `features` announce."""
    for name, values in columns.items():
        if (name in features) != (values is not None):
            raise ValueError(f"`{name}` must be given if and only if `features` hold it, got {sorted(features)}.")
        if values is not None and len(values) != len(points):
            raise ValueError(f"`{name}` must have one entry per cloud, got {len(values)} and {len(points)} clouds.")
    num_points = features["points"].shape[0]
    for cloud in points:
        if cloud.ndim != 2 or cloud.shape[1] != 3 or cloud.dtype != np.float32:
            raise ValueError(f"`points` must be float32 arrays (num_points, 3), got {cloud.dtype} {cloud.shape}.")
        if num_points is not None and len(cloud) != num_points:
            raise ValueError(f"`points` must hold {num_points} points as `features` say, got {len(cloud)}.")


def _list_array(values: np.ndarray | pa.Array, lengths: Sequence[int]) -> pa.ListArray:
    """Cut flat values into consecutive lists of the given lengths."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, type=pa.int32()), pa.array(values))


def point_cloud_table(
    features: Features,
    points: Sequence[np.ndarray],
    ids: Sequence[str],
    labels: Sequence[int] | None = None,
    part_labels: Sequence[np.ndarray] | None = None,
) -> pa.Table:
    """Write clouds into an Arrow table, without a Python object per number.

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

    Returns:
        `pyarrow.Table`: One row per cloud; its schema carries `features`.

    Raises:
        ValueError: If the columns do not agree with `features`, or with each other in length.
    """
    _check_columns(features, points, {"id": ids, "label": labels, "part_labels": part_labels})
    lengths = [len(cloud) for cloud in points]
    if part_labels is not None and [len(parts) for parts in part_labels] != lengths:
        raise ValueError("`part_labels` must have one entry per point, got other lengths than those of `points`.")
    rows = _list_array(np.concatenate(points).reshape(-1), [3] * sum(lengths))
    columns: dict[str, pa.Array] = {
        "points": pa.ExtensionArray.from_storage(features["points"](), _list_array(rows, lengths)),
        "id": pa.array(ids, type=pa.string()),
    }
    if labels is not None:
        columns["label"] = pa.array(labels, type=pa.int64())
    if part_labels is not None:
        columns["part_labels"] = _list_array(np.concatenate(part_labels).astype(np.uint8), lengths)
    return pa.table([columns[name] for name in features], schema=features.arrow_schema)
