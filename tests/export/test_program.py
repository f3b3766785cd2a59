"""Graphs of `torch.export`."""

import pytest
import torch

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEForPreTraining, JointMAEModel
from jointmae_hf.export import EXPORT_TASKS, export_program


@pytest.fixture
def classifier(tiny_config):
    return JointMAEForPointCloudClassification(tiny_config).eval()


@pytest.mark.parametrize("model_class", [JointMAEModel, JointMAEForPreTraining])
def test_program_gives_the_features_of_any_batch_and_size(tiny_config, make_cloud, tolerance, model_class):
    model = model_class(tiny_config).eval()
    program = export_program(model, "point-cloud-feature-extraction").module()
    encoder = getattr(model, "jointmae", model)
    for batch_size, num_points in ((1, 32), (3, 200)):
        points = make_cloud(batch_size, num_points)
        expected = encoder(points)
        for name, output in zip(EXPORT_TASKS["point-cloud-feature-extraction"], program(points), strict=True):
            torch.testing.assert_close(output, expected[name], **tolerance[torch.float32])


def test_farthest_point_sampling_is_one_node(classifier):
    program = export_program(classifier, "point-cloud-classification")
    targets = [node.target for node in program.graph.nodes]
    assert targets.count(torch.ops.jointmae.farthest_point_sample.default) == 1


def test_saved_program_is_loaded_again(classifier, make_cloud, tmp_path, tolerance):
    torch.export.save(export_program(classifier, "point-cloud-classification"), tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    points = make_cloud(3, 90)
    torch.testing.assert_close(loaded(points)[0], classifier(points).logits, **tolerance[torch.float32])


def test_export_leaves_the_mode_of_the_model(classifier):
    classifier.train()
    classifier.classifier.dropout.eval()
    export_program(classifier, "point-cloud-classification")
    assert classifier.training
    assert not classifier.classifier.dropout.training


def test_unknown_task_is_refused(classifier):
    with pytest.raises(ValueError, match=r"`task` must be one of .*'painting'"):
        export_program(classifier, "painting")


@pytest.mark.parametrize("task", ["point-cloud-classification", "point-cloud-segmentation"])
def test_model_without_the_head_is_refused(tiny_config, task):
    with pytest.raises(ValueError, match="must have a head called"):
        export_program(JointMAEModel(tiny_config), task)
