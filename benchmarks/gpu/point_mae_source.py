"""Load the model of Point-MAE from a checkout; our operations replace CUDA extensions that cannot be imported."""

import importlib
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.point_ops import chamfer_distance, k_nearest_neighbors


CONFIGURATION = {
    "NAME": "Point_MAE",
    "group_size": 32,
    "num_group": 64,
    "loss": "cdl2",
    "transformer_config": {
        "mask_ratio": 0.6,
        "mask_type": "rand",
        "trans_dim": 384,
        "encoder_dims": 384,
        "depth": 12,
        "drop_path_rate": 0.1,
        "num_heads": 6,
        "decoder_depth": 4,
        "decoder_num_heads": 6,
    },
}
"""From its `cfgs/pretrain.yaml`."""

NUM_POINTS, BATCH_SIZE = 1024, 128
"""From its `cfgs/pretrain.yaml`."""


class AttributeDict(dict[str, Any]):
    """Dictionary with attribute access, in place of `easydict`."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(
            {name: AttributeDict(value) if isinstance(value, dict) else value for name, value in values.items()}
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(name) from error


class NearestNeighbors:
    """Replace `knn_cuda.KNN` with `transpose_mode=True`."""

    def __init__(self, k: int, transpose_mode: bool) -> None:
        self.num_neighbors = k

    def __call__(self, reference: Tensor, query: Tensor) -> tuple[None, Tensor]:
        """Return `None` for the distances, which Point-MAE does not use, and the neighbors."""
        return None, k_nearest_neighbors(query.float(), reference.float(), self.num_neighbors)


class ChamferDistance(nn.Module):
    """Replace `ChamferDistanceL2` of `extensions.chamfer_dist`."""

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Return the mean over all pairs of sets."""
        return chamfer_distance(predicted.float(), target.float()).mean()


class DropPath(nn.Module):
    """Replace the stochastic depth of `timm`."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, states: Tensor) -> Tensor:
        """Drop whole samples in training."""
        if self.rate == 0.0 or not self.training:
            return states
        shape = (len(states),) + (1,) * (states.ndim - 1)
        return states * states.new_empty(shape).bernoulli_(1.0 - self.rate).div_(1.0 - self.rate)


def _sample(points: Tensor, num_samples: int) -> Tensor:
    """Replace `pointnet2_utils.furthest_point_sample`, starting at the first point."""
    return farthest_point_sample(points.float(), num_samples, points.new_zeros(len(points), dtype=torch.long))


def _gather(features: Tensor, indices: Tensor) -> Tensor:
    """Replace `pointnet2_utils.gather_operation`."""
    return features.gather(2, indices[:, None].expand(-1, features.shape[1], -1))


STAND_INS: dict[str, dict[str, Any]] = {
    "pointnet2_ops.pointnet2_utils": {"furthest_point_sample": _sample, "gather_operation": _gather},
    "knn_cuda": {"KNN": NearestNeighbors},
    "extensions.chamfer_dist": {"ChamferDistanceL1": ChamferDistance, "ChamferDistanceL2": ChamferDistance},
    "easydict": {"EasyDict": AttributeDict},
    "termcolor": {"colored": lambda text, *args, **kwargs: text},
    "timm.models.layers": {"DropPath": DropPath, "trunc_normal_": nn.init.trunc_normal_},
}
"""Modules that Point-MAE imports to their replacements."""

STAND_IN_MARK = "is_stand_in"
"""Attribute of the modules that we replaced."""


def _stand_in(name: str) -> None:
    """Register a module with our functions under the name that Point-MAE imports."""
    module = sys.modules[name] = types.ModuleType(name)
    vars(module).update(STAND_INS[name] | {STAND_IN_MARK: True})
    while "." in name:
        name, _, child = name.rpartition(".")
        package = sys.modules.setdefault(name, types.ModuleType(name))
        package.__path__ = []
        setattr(package, child, module)
        module = package


def load_point_mae(source: str | Path) -> tuple[nn.Module, list[str]]:
    """Build Point-MAE's pre-training model with random weights; return it and the names of replaced modules."""
    if not Path(source, "models", "Point_MAE.py").is_file():
        raise FileNotFoundError("`source` must be a checkout of Point-MAE, got a folder without models/Point_MAE.py.")
    sys.path.insert(0, str(source))
    replaced = []
    for name in STAND_INS:
        try:
            if STAND_IN_MARK in vars(importlib.import_module(name)):  # from an earlier call
                replaced.append(name)
        except (ImportError, OSError):  # not built, or built for another version of torch
            for part in [loaded for loaded in sys.modules if loaded.split(".")[0] == name.split(".")[0]]:
                del sys.modules[part]
            _stand_in(name)
            replaced.append(name)
    models = importlib.import_module("models.Point_MAE")
    return models.Point_MAE(AttributeDict(CONFIGURATION)), replaced
