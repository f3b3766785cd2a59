"""Loading the model of Point-MAE from a checkout, here a small tree with the same imports."""

import sys

import pytest
import torch

from benchmarks.gpu import point_mae_source
from benchmarks.gpu.point_mae_source import load_point_mae


MODEL = """
import torch
from easydict import EasyDict
from extensions.chamfer_dist import ChamferDistanceL2
from knn_cuda import KNN
from pointnet2_ops import pointnet2_utils

class Point_MAE(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        assert isinstance(config, EasyDict) and config.transformer_config.depth == 12
        self.knn, self.loss = KNN(k=config.group_size, transpose_mode=True), ChamferDistanceL2()

    def forward(self, points):
        indices = pointnet2_utils.furthest_point_sample(points, 4)
        centers = pointnet2_utils.gather_operation(points.transpose(1, 2).contiguous(), indices).transpose(1, 2)
        _, neighbors = self.knn(points, centers)
        return centers, neighbors, self.loss(centers, centers)
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "Point_MAE.py").write_text(MODEL)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("models", "extensions", "knn_cuda", "pointnet2_ops", "easydict", "termcolor"):
            del sys.modules[name]


def test_operations_that_are_not_built_are_ours(source, make_cloud):
    model, replaced = load_point_mae(source)
    assert set(replaced) <= set(point_mae_source.STAND_INS)
    assert load_point_mae(source)[1] == replaced  # a second subject in the same process
    assert {"pointnet2_ops.pointnet2_utils", "knn_cuda", "extensions.chamfer_dist"} <= set(replaced)
    points = make_cloud(2, 64)
    centers, neighbors, loss = model(points)
    assert torch.equal(centers[:, 0], points[:, 0])
    assert neighbors.shape == (2, 4, 32)
    assert loss == 0


def test_operations_that_are_built_are_its_own(source):
    (source / "knn_cuda.py").write_text(
        "class KNN:\n    def __init__(self, k, transpose_mode):\n        self.own = True\n"
    )
    model, replaced = load_point_mae(source)
    assert "knn_cuda" not in replaced
    assert model.knn.own


def test_folder_without_the_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`source` must be a checkout of Point-MAE"):
        load_point_mae(tmp_path)
