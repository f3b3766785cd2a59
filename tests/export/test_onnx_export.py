"""ONNX graphs in onnxruntime."""

import sys

import onnx
import onnxruntime
import pytest
import torch

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEForPointCloudSegmentation, JointMAEModel
from jointmae_hf.export import EXPORT_TASKS, export_onnx
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample


MODELS = {
    "point-cloud-classification": JointMAEForPointCloudClassification,
    "point-cloud-feature-extraction": JointMAEModel,
    "point-cloud-segmentation": JointMAEForPointCloudSegmentation,
}


def settle(model, points):
    """Give batch norms the statistics of a batch, so that outputs are not near zero."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(points)
    return model.eval()


def count_nodes(graph):
    """Count the nodes of a graph and of its subgraphs."""
    inner = [attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return len(graph.node) + sum(map(count_nodes, inner))


def read_graph(path):
    return onnx.load(path, load_external_data=False).graph


@pytest.fixture(scope="module")
def exports():
    """Cache of exported models and files by task, because each export takes seconds."""
    return {}


@pytest.fixture
def export(exports, build_tiny_config, make_cloud, tmp_path_factory):
    """Export a tiny model, and return the model and the path of the file."""

    def export_task(task):
        if task not in exports:
            model = settle(MODELS[task](build_tiny_config(num_labels=3)), make_cloud(4, 200, seed=5))
            path = tmp_path_factory.mktemp("onnx") / "folder" / "model.onnx"
            export_onnx(model, path, task)
            exports[task] = model, path
        return exports[task]

    return export_task


@pytest.mark.parametrize(
    "task",
    [
        "point-cloud-classification",
        "point-cloud-feature-extraction",
        pytest.param("point-cloud-segmentation", marks=pytest.mark.slow),
    ],
)
def test_onnxruntime_agrees_for_any_batch_and_size(export, make_cloud, task):
    model, path = export(task)
    session = onnxruntime.InferenceSession(path)
    assert [output.name for output in session.get_outputs()] == list(EXPORT_TASKS[task])
    assert session.get_inputs()[0].shape == ["batch_size", "num_points", 3]
    for batch_size, num_points in ((1, 32), (2, 64), (5, 300)):
        points = make_cloud(batch_size, num_points, seed=num_points)
        with torch.no_grad():
            expected = model(points)
        outputs = session.run(None, {"points": points.numpy()})
        for name, output in zip(EXPORT_TASKS[task], outputs, strict=True):
            torch.testing.assert_close(torch.from_numpy(output), expected[name], rtol=0, atol=1e-4)
            assert expected[name].std() > 1e-3  # outputs near zero would agree whatever the graph does


def test_graph_is_small_with_standard_operators_and_weights_inside(export):
    _, path = export("point-cloud-classification")
    graph = read_graph(path)
    assert count_nodes(graph) < 1000
    assert {node.domain for node in graph.node} <= {"", "ai.onnx"}
    assert sum(node.op_type == "Scan" for node in graph.node) == 1
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


@pytest.fixture
def export_sampling(tmp_path):
    """Export only farthest point sampling."""
    from jointmae_hf.export.onnx_operators import farthest_point_sample as translation

    class Sample(torch.nn.Module):
        def __init__(self, num_samples):
            super().__init__()
            self.num_samples = num_samples

        def forward(self, points):
            return farthest_point_sample(points, self.num_samples)

    def export(points, num_samples):
        table = {torch.ops.jointmae.farthest_point_sample.default: translation}
        options = {"custom_translation_table": table, "opset_version": 18, "input_names": ["points"], "verbose": False}
        module = Sample(num_samples).eval()
        torch.onnx.export(module, (points,), tmp_path / f"{num_samples}.onnx", dynamo=True, **options)
        return tmp_path / f"{num_samples}.onnx"

    return export


def test_sampling_does_not_grow_with_the_number_of_picks(export_sampling, make_cloud):
    counts = [count_nodes(read_graph(export_sampling(make_cloud(2, 500), picks))) for picks in (4, 400)]
    assert counts[0] == counts[1] < 60


def test_picks_of_the_scan_are_those_of_the_operator(export_sampling, make_cloud):
    points = make_cloud(3, 500)
    session = onnxruntime.InferenceSession(export_sampling(points, 100))
    picks = session.run(None, {"points": points.numpy()})[0]
    assert picks.tolist() == farthest_point_sample(points, 100).tolist()


def test_half_precision_is_refused(tiny_config, tmp_path):
    with pytest.raises(ValueError, match=r"float32 weights, got torch\.bfloat16"):
        export_onnx(JointMAEModel(tiny_config).bfloat16(), tmp_path / "model.onnx", "point-cloud-feature-extraction")


def test_missing_package_names_the_extra(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jointmae_hf.export.onnx_operators", None)
    with pytest.raises(ImportError, match=r"jointmae_hf\[onnx\]"):
        export_onnx(JointMAEModel(tiny_config), tmp_path / "model.onnx", "point-cloud-feature-extraction")
