"""Classification and segmentation."""

import pytest
import torch

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEForPointCloudSegmentation
from jointmae_hf.model.depth_projection import sample_views
from jointmae_hf.model.pooling import POOLINGS, pool_outputs


HEADS = pytest.mark.parametrize(
    ("model_class", "labels_shape"),
    [(JointMAEForPointCloudClassification, (4,)), (JointMAEForPointCloudSegmentation, (4, 64))],
)


@pytest.fixture
def classifier(build_tiny_config, settle):
    return settle(JointMAEForPointCloudClassification(build_tiny_config(num_labels=5)))


@pytest.fixture
def segmenter(build_tiny_config, settle):
    config = build_tiny_config(num_labels=5, num_categories=3, category_labels=[[0, 1], [2], [3, 4]])
    return settle(JointMAEForPointCloudSegmentation(config))


def train(model, points, labels, **inputs):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        losses.append(model(points, labels=labels, **inputs).loss)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    return losses


def test_classification_logits_have_one_row_for_each_cloud(classifier, unit_sphere_cloud):
    assert classifier(unit_sphere_cloud).logits.shape == (2, 5)


def test_segmentation_logits_have_one_row_for_each_point(segmenter, make_cloud):
    assert segmenter(make_cloud(2, 100)).logits.shape == (2, 100, 5)


@HEADS
def test_head_loss_is_cross_entropy(build_tiny_config, make_cloud, model_class, labels_shape):
    model = model_class(build_tiny_config(num_labels=5)).eval()
    labels = torch.randint(0, 5, labels_shape)
    outputs = model(make_cloud(4), labels=labels)
    expected = torch.nn.functional.cross_entropy(outputs.logits.flatten(0, -2), labels.flatten())
    torch.testing.assert_close(outputs.loss, expected)


def test_segmentation_loss_leaves_out_label_minus_100(segmenter, unit_sphere_cloud):
    labels = torch.randint(0, 5, (2, 64))
    labels[:, 10:] = -100
    outputs = segmenter(unit_sphere_cloud, labels=labels)
    expected = torch.nn.functional.cross_entropy(outputs.logits[:, :10].flatten(0, 1), labels[:, :10].flatten())
    torch.testing.assert_close(outputs.loss, expected)


def test_segmentation_takes_labels_of_any_layout(segmenter, unit_sphere_cloud):
    labels = torch.randint(0, 5, (64, 2))
    expected = segmenter(unit_sphere_cloud, labels=labels.T.contiguous()).loss
    assert torch.equal(segmenter(unit_sphere_cloud, labels=labels.T).loss, expected)


@HEADS
def test_head_loss_decreases_on_one_batch(build_tiny_config, make_cloud, model_class, labels_shape):
    model = model_class(build_tiny_config(num_labels=5, classifier_dropout=0.0))
    labels = torch.arange(4).reshape(-1, *[1] * (len(labels_shape) - 1)).expand(labels_shape)
    losses = train(model, make_cloud(4), labels)
    assert losses[-1] < 0.5 * losses[0]


@HEADS
def test_head_gives_every_parameter_a_gradient(build_tiny_config, make_cloud, model_class, labels_shape):
    model = model_class(build_tiny_config(num_labels=5))
    model(make_cloud(4), labels=torch.randint(0, 5, labels_shape)).loss.backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


@HEADS
def test_head_treats_each_cloud_alone(build_tiny_config, settle, make_cloud, tolerance, model_class, labels_shape):
    model, points = settle(model_class(build_tiny_config(num_labels=5))), make_cloud(4)
    torch.testing.assert_close(model(points[1:2]).logits, model(points).logits[1:2], **tolerance[torch.float32])


@HEADS
def test_head_has_no_2d_branch_and_takes_no_depth_map(build_tiny_config, make_cloud, model_class, labels_shape):
    model, points = model_class(build_tiny_config()).eval(), make_cloud(2)
    view = sample_views(torch.rand(2, 2), 2.0, 45.0)
    assert not [name for name, _ in model.named_parameters() if "2d" in name or name.startswith("decoder")]
    with pytest.raises(ValueError, match="`pixel_values` must be None for a model without 2D branch"):
        model(points, pixel_values=torch.rand(2, 1, 32, 32), view=view)


@HEADS
@pytest.mark.parametrize("labels", [torch.zeros(3, dtype=torch.long), torch.zeros(3, 64, dtype=torch.long)])
def test_head_names_labels_that_do_not_fit(build_tiny_config, make_cloud, model_class, labels_shape, labels):
    with pytest.raises(ValueError, match=r"`labels` must .* got \(3,"):
        model_class(build_tiny_config())(make_cloud(4), labels=labels)


@HEADS
def test_head_refuses_points_that_do_not_fit(build_tiny_config, model_class, labels_shape):
    model = model_class(build_tiny_config())
    with pytest.raises(ValueError, match=r"`points` must have shape .* got \(64, 3\)"):
        model(torch.zeros(64, 3))
    with pytest.raises(TypeError, match=r"`points` must be a floating point tensor, got torch\.int64"):
        model(torch.zeros(2, 64, 3, dtype=torch.long))


def test_classification_uses_the_pooled_3d_tokens(classifier, unit_sphere_cloud):
    pooled = classifier.jointmae(unit_sphere_cloud).pooler_output
    assert torch.equal(classifier.classifier(pooled), classifier(unit_sphere_cloud).logits)


def test_classification_concatenates_mean_and_maximum_when_told(build_tiny_config, settle, unit_sphere_cloud):
    model = settle(JointMAEForPointCloudClassification(build_tiny_config(pooling="concat")))
    tokens = model.jointmae(unit_sphere_cloud).last_hidden_state
    expected = model.classifier(torch.cat([tokens.mean(dim=1), tokens.amax(dim=1)], dim=1))
    assert torch.equal(model(unit_sphere_cloud).logits, expected)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_classification_pools_as_features_do(build_tiny_config, settle, unit_sphere_cloud, pooling):
    model = settle(JointMAEForPointCloudClassification(build_tiny_config(pooling=pooling)))
    expected = model.classifier(pool_outputs(model.jointmae(unit_sphere_cloud), pooling))
    assert torch.equal(model(unit_sphere_cloud).logits, expected)


def test_classification_reads_a_class_token_when_told(build_tiny_config, settle, unit_sphere_cloud):
    model = settle(JointMAEForPointCloudClassification(build_tiny_config(pooling="class")))
    tokens = model.jointmae(unit_sphere_cloud).last_hidden_state
    assert tokens.shape[1] == model.config.num_groups[-1] + 1
    expected = model.classifier(torch.cat([tokens[:, -1], tokens[:, :-1].amax(dim=1)], dim=1))
    assert torch.equal(model(unit_sphere_cloud).logits, expected)


def test_segmentation_follows_the_order_of_points(segmenter, make_cloud, tolerance):
    points, order = make_cloud(1, 200), torch.randperm(200)
    expected = segmenter(points).logits[:, order]
    torch.testing.assert_close(segmenter(points[:, order]).logits, expected, **tolerance[torch.float32])


def test_segmentation_category_embedding_is_zero_without_category(segmenter):
    embedding = segmenter.segmenter.category_embedding
    embedding.norm.running_mean.normal_()
    assert embedding(None, torch.rand(2, 16, 64)).abs().max() == 0


def test_segmentation_depends_on_the_category(segmenter, unit_sphere_cloud):
    first, second = (segmenter(unit_sphere_cloud, category=torch.tensor(c)).logits for c in ([0, 1], [0, 2]))
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_segmentation_takes_categories_of_any_integer_type(segmenter, unit_sphere_cloud, dtype):
    category = torch.tensor([0, 2])
    expected = segmenter(unit_sphere_cloud, category=category).logits
    assert torch.equal(segmenter(unit_sphere_cloud, category=category.to(dtype)).logits, expected)


def test_segmentation_refuses_a_category_that_does_not_fit(segmenter, unit_sphere_cloud):
    with pytest.raises(ValueError, match=r"`category` must have shape \(2,\), got \(3,\)"):
        segmenter(unit_sphere_cloud, category=torch.zeros(3, dtype=torch.long))
    with pytest.raises(TypeError, match=r"`category` must hold integers, got torch\.float32"):
        segmenter(unit_sphere_cloud, category=torch.zeros(2))


def test_post_process_takes_the_largest_logit(segmenter, unit_sphere_cloud):
    outputs = segmenter(unit_sphere_cloud)
    assert torch.equal(segmenter.post_process(outputs), outputs.logits.argmax(dim=-1))


def test_post_process_limits_parts_to_those_of_the_category(segmenter, make_cloud):
    outputs = segmenter(make_cloud(3))
    parts = segmenter.post_process(outputs, torch.tensor([0, 1, 2]))
    assert [set(row.tolist()) <= allowed for row, allowed in zip(parts, ({0, 1}, {2}, {3, 4}), strict=True)] == [
        True
    ] * 3
    assert torch.equal(parts[0], outputs.logits[0, :, :2].argmax(dim=-1))


def test_post_process_refuses_a_category_without_labels_of_categories(build_tiny_config, unit_sphere_cloud):
    model = JointMAEForPointCloudSegmentation(build_tiny_config()).eval()
    with pytest.raises(ValueError, match=r"`category` must be None without `config.category_labels`, got a tensor"):
        model.post_process(model(unit_sphere_cloud), torch.tensor([0, 0]))
