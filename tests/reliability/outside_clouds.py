"""Clouds as they come from outside: degenerate shapes, number types, memory layouts, and what is no cloud at all."""

import numpy as np
import torch


CLOUD = np.random.default_rng(0).normal(size=(64, 3))
"""An ordinary cloud: points in general position."""

SHAPES = {
    "one_point": CLOUD[:1],
    "two_points": CLOUD[:2],
    "fewer_points_than_centers": CLOUD[:31],
    "more_points_than_asked_for": np.random.default_rng(1).normal(size=(1000, 3)),
    "all_equal": np.full((64, 3), 0.1),
    "all_zero": np.zeros((64, 3)),
    "collinear": CLOUD * [1, 0, 0],
    "collinear_askew": CLOUD[:, :1] * [0.3, -2, 0.7],
    "coplanar": CLOUD * [1, 1, 0],
    "two_places": np.repeat(CLOUD[:2], 32, axis=0),
    "one_point_apart": np.concatenate([np.zeros((63, 3)), [[1.0, 2.0, 3.0]]]),
    "grid_full_of_ties": np.stack(np.meshgrid(*[np.arange(4.0)] * 3), axis=-1).reshape(-1, 3),
    "far_from_the_origin": CLOUD * 1e-3 + 1e8,
    "extent_of_1e-30": CLOUD * 1e-30,
    "extent_of_1e-300": CLOUD * 1e-300,
    "denormal_extent": CLOUD * 1e-310,
    "size_of_1e30": CLOUD * 1e30,
    "size_of_1e300": CLOUD * 1e300,
    "thin_needle": CLOUD * [1, 1e-12, 1e-12],
}
"""Finite clouds in float64, each `(num_points, 3)`."""

_READ_ONLY = CLOUD.copy()
_READ_ONLY.setflags(write=False)

CONTAINERS = {
    "int16": (CLOUD * 1000).astype(np.int16),
    "uint8": (np.abs(CLOUD) * 50).astype(np.uint8),
    "int64": (CLOUD * 1e15).astype(np.int64),
    "float16": CLOUD.astype(np.float16),
    "float32": CLOUD.astype(np.float32),
    "longdouble": CLOUD.astype(np.longdouble),
    "big_endian": CLOUD.astype(">f4"),
    "fortran": np.asfortranarray(CLOUD),
    "strided": np.repeat(CLOUD, 2, axis=0)[::2],
    "reversed": CLOUD[::-1],
    "read_only": _READ_ONLY,
    "nested_list": CLOUD.tolist(),
    "list_of_rows": list(CLOUD),
    "tensor": torch.from_numpy(CLOUD),
    "bfloat16": torch.from_numpy(CLOUD).bfloat16(),
    "transposed_tensor": torch.from_numpy(CLOUD.T.copy()).T,
    "requires_grad": torch.from_numpy(CLOUD).requires_grad_(),
    "list_of_tensors": list(torch.from_numpy(CLOUD)),
}
"""The ordinary cloud in other number types and containers."""


def _with(value: float) -> np.ndarray:
    """The ordinary cloud with one coordinate replaced."""
    broken = CLOUD.copy()
    broken[5, 1] = value
    return broken


INVALID = {
    "nan": (_with(np.nan), "be finite"),
    "infinity": (_with(np.inf), "be finite"),
    "minus_infinity": (_with(-np.inf), "be finite"),
    "all_nan": (np.full((64, 3), np.nan), "be finite"),
    "empty": (np.zeros((0, 3)), "at least one point"),
    "transposed": (CLOUD.T, r"shape \(num_points, 3\)"),
    "two_coordinates": (CLOUD[:, :2], r"shape \(num_points, 3\)"),
    "with_normals": (np.hstack([CLOUD, CLOUD]), r"shape \(num_points, 3\)"),
    "no_coordinates": (CLOUD[:, :0], r"shape \(num_points, 3\)"),
    "scalar": (np.float64(1.0), r"\(num_points, 3\)"),
    "four_dimensions": (CLOUD[None, None], r"\(num_points, 3\)"),
    "complex": (CLOUD.astype(complex), "real numbers"),
    "boolean": (CLOUD > 0, "real numbers"),
    "texts": (CLOUD.astype(str), "real numbers"),
    "objects": (CLOUD.astype(object), "real numbers"),
    "dates": (np.zeros((4, 3), "datetime64[s]"), "real numbers"),
    "records": (np.zeros(4, [("x", "f4"), ("y", "f4"), ("z", "f4")]), r"real numbers|\(num_points, 3\)"),
    "ragged": ([[0.0, 1.0, 2.0], [0.0, 1.0]], "rows of 3 coordinates"),
    "nothing": (None, r"real numbers|\(num_points, 3\)"),
}
"""What is no cloud, with the rule that its error names."""
