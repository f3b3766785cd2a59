"""Tests of the conversion of Point-MAE against its forward pass, re-implemented from its paper and state dicts."""

import math

import numpy as np
import pytest
import torch
from point_mae_weights import (
    GROUPS,
    HEADS,
    NEIGHBORS,
    SIZES,
    WIDTH,
    classifier_weights,
    linear,
    pretrained_weights,
    save,
    segmenter_weights,
)
from torch.nn import functional as F

from jointmae_hf import JointMAEFeatureExtractor, JointMAEForPreTraining
from jointmae_hf.hub.convert_point_mae import config_of, convert_point_mae, convert_weights
from jointmae_hf.model.point_ops import k_nearest_neighbors


@pytest.fixture
def pretrained():
    return pretrained_weights()


@pytest.fixture
def classifier():
    return classifier_weights()


@pytest.fixture
def segmenter():
    return segmenter_weights()


@pytest.fixture
def write(tmp_path):
    return lambda state, key="base_model", **content: save(tmp_path / "published.pth", state, key, **content)


class Reference:
    """Forward pass of Point-MAE on a state dict."""

    def __init__(self, state, prefix=""):
        self.state, self.prefix = state, prefix

    def linear(self, name, values):
        weight = self.state[f"{self.prefix}{name}.weight"]
        return F.linear(values, weight.reshape(weight.shape[:2]), self.state.get(f"{self.prefix}{name}.bias"))

    def norm(self, name, values):
        return F.layer_norm(
            values, (WIDTH,), *(self.state[f"{self.prefix}{name}.{part}"] for part in ("weight", "bias"))
        )

    def batch_norm(self, name, values):
        mean, variance = (self.state[f"{self.prefix}{name}.running_{part}"] for part in ("mean", "var"))
        weight, bias = (self.state[f"{self.prefix}{name}.{part}"] for part in ("weight", "bias"))
        return (values - mean) / (variance + 1e-5).sqrt() * weight + bias

    def tokens(self, points):
        """Return tokens and centers: farthest point sampling from the first point, nearest neighbors, mini-PointNet."""
        tokens, all_centers = [], []
        for cloud in points:
            chosen, distances = [0], torch.full((len(cloud),), math.inf)
            for _ in range(GROUPS - 1):
                distances = torch.minimum(distances, (cloud - cloud[chosen[-1]]).square().sum(-1))
                chosen.append(int(distances.argmax()))
            centers = cloud[chosen]
            neighbors = torch.cdist(centers, cloud).topk(NEIGHBORS, largest=False).indices
            groups = cloud[neighbors] - centers[:, None]
            local = F.relu(self.batch_norm("encoder.first_conv.1", self.linear("encoder.first_conv.0", groups)))
            local = self.linear("encoder.first_conv.3", local)
            local = torch.cat([local.amax(1, keepdim=True).expand_as(local), local], dim=-1)
            local = F.relu(self.batch_norm("encoder.second_conv.1", self.linear("encoder.second_conv.0", local)))
            tokens.append(self.linear("encoder.second_conv.3", local).amax(1))
            all_centers.append(centers)
        return torch.stack(tokens), torch.stack(all_centers)

    def positions(self, centers, name="pos_embed"):
        return self.linear(f"{name}.2", F.gelu(self.linear(f"{name}.0", centers)))

    def blocks(self, tokens, positions, name="blocks.blocks", count=3):
        outputs = []
        for block in range(count):
            tokens = tokens + positions
            joint = self.linear(f"{name}.{block}.attn.qkv", self.norm(f"{name}.{block}.norm1", tokens))
            query, key, value = joint.unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
            weights = (query @ key.mT / math.sqrt(WIDTH // HEADS)).softmax(-1)
            tokens = tokens + self.linear(f"{name}.{block}.attn.proj", (weights @ value).transpose(1, 2).flatten(2))
            hidden = F.gelu(self.linear(f"{name}.{block}.mlp.fc1", self.norm(f"{name}.{block}.norm2", tokens)))
            tokens = tokens + self.linear(f"{name}.{block}.mlp.fc2", hidden)
            outputs.append(tokens)
        return outputs


@pytest.fixture
def points(make_cloud):
    return make_cloud(2, 64)


def test_features_of_a_pretrained_checkpoint_equal_point_mae(pretrained, write, points, tmp_path):
    reference = Reference(pretrained, "MAE_encoder.")
    tokens, centers = reference.tokens(points)
    expected = reference.norm("norm", reference.blocks(tokens, reference.positions(centers))[-1])
    model = convert_point_mae(write(pretrained), tmp_path / "converted", **SIZES)
    torch.testing.assert_close(model.jointmae(points).last_hidden_state, expected, rtol=0, atol=1e-4)


def test_reconstruction_of_a_pretrained_checkpoint_equals_point_mae(pretrained, write, points, tmp_path):
    model = convert_point_mae(write(pretrained), tmp_path / "converted", **SIZES)
    outputs = model(points, noise_3d=torch.rand(2, GROUPS, generator=torch.Generator().manual_seed(0)))
    encoding, decoding = Reference(pretrained, "MAE_encoder."), Reference(pretrained)
    tokens, centers = encoding.tokens(points)
    mask, rows = outputs.mask_3d, (2, -1, WIDTH)
    visible = encoding.blocks(tokens[~mask].reshape(rows), encoding.positions(centers[~mask]).reshape(rows))[-1]
    hidden = pretrained["mask_token"].expand(2, int(mask[0].sum()), -1)
    order = torch.cat([centers[~mask].reshape(2, -1, 3), centers[mask].reshape(2, -1, 3)], dim=1)
    positions = decoding.positions(order, "decoder_pos_embed")
    joint = torch.cat([encoding.norm("norm", visible), hidden], dim=1)
    decoded = decoding.blocks(joint, positions, "MAE_decoder.blocks", 2)[-1][:, -hidden.shape[1] :]
    offsets = decoding.linear("increase_dim.0", decoding.norm("MAE_decoder.norm", decoded)).reshape(
        2, -1, NEIGHBORS, 3
    )
    expected = offsets + centers[mask].reshape(2, -1, 1, 3)
    predicted = outputs.reconstructed_points.reshape(2, GROUPS, NEIGHBORS, 3)[mask]
    torch.testing.assert_close(predicted, expected.flatten(0, 1), rtol=0, atol=1e-4)


def test_logits_of_a_classifier_equal_point_mae(classifier, write, points, tmp_path):
    reference = Reference(classifier)
    tokens, centers = reference.tokens(points)
    tokens = torch.cat([classifier["cls_token"].expand(2, -1, -1), tokens], dim=1)
    positions = torch.cat([classifier["cls_pos"].expand(2, -1, -1), reference.positions(centers)], dim=1)
    tokens = reference.norm("norm", reference.blocks(tokens, positions)[-1])
    features, head = torch.cat([tokens[:, 0], tokens[:, 1:].amax(1)], dim=-1), "cls_head_finetune"
    features = F.relu(reference.batch_norm(f"{head}.1", reference.linear(f"{head}.0", features)))
    features = F.relu(reference.batch_norm(f"{head}.5", reference.linear(f"{head}.4", features)))
    model = convert_point_mae(write(classifier), tmp_path / "converted", **SIZES)
    torch.testing.assert_close(model(points).logits, reference.linear(f"{head}.8", features), rtol=0, atol=1e-4)


def test_logits_of_a_segmenter_equal_point_mae(segmenter, write, points, tmp_path):
    reference, category = Reference(segmenter), torch.tensor([3, 15])
    tokens, centers = reference.tokens(points)
    levels = [reference.norm("norm", level) for level in reference.blocks(tokens, reference.positions(centers))]
    features = torch.cat(levels, dim=-1)
    one_hot = F.one_hot(category, 16).float()
    embedded = F.leaky_relu(reference.batch_norm("label_conv.1", reference.linear("label_conv.0", one_hot)), 0.2)
    neighbors = k_nearest_neighbors(points, centers, 3)
    near = torch.stack([cloud[rows] for cloud, rows in zip(centers, neighbors, strict=True)])
    weights = 1 / ((near - points[:, :, None]).square().sum(-1) + 1e-8)
    carried = torch.stack([cloud[rows] for cloud, rows in zip(features, neighbors, strict=True)])
    carried = (carried * (weights / weights.sum(-1, keepdim=True))[..., None]).sum(2)
    local = torch.cat([points, carried], dim=-1)
    for row in (0, 1):
        local = reference.linear(f"propagation_0.mlp_convs.{row}", local)
        local = F.relu(reference.batch_norm(f"propagation_0.mlp_bns.{row}", local))
    whole = torch.cat([features.amax(1), features.mean(1), embedded], dim=-1)[:, None].expand(-1, 64, -1)
    hidden = F.relu(reference.batch_norm("bns1", reference.linear("convs1", torch.cat([local, whole], dim=-1))))
    hidden = F.relu(reference.batch_norm("bns2", reference.linear("convs2", hidden)))
    model = convert_point_mae(write(segmenter, "model_state_dict"), tmp_path / "converted", **SIZES)
    logits = model(points, category=category).logits
    torch.testing.assert_close(logits, reference.linear("convs3", hidden), rtol=0, atol=1e-4)


def test_converted_checkpoint_loads_with_its_numbers(pretrained, write, points, tmp_path):
    content = {"metrics": {"acc": np.float64(93.2)}, "best_metrics": {"acc": np.float32(0.5)}}
    model = convert_point_mae(write(pretrained, **content), tmp_path / "converted", **SIZES)
    loaded = JointMAEForPreTraining.from_pretrained(tmp_path / "converted")
    assert torch.equal(loaded.eval().jointmae(points).pooler_output, model.jointmae(points).pooler_output)
    assert (loaded.config.mask_ratio, loaded.config.decoder_num_hidden_layers) == (0.6, 2)


def test_weights_of_another_model_are_rejected(pretrained):
    rule = r"`weights` must be of Point-MAE \(pre-training, .*got 1 tensors such as norm\.bias without"
    with pytest.raises(ValueError, match=rule):
        convert_weights({"norm.bias": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"must hold only weights of Point-MAE, got 1 unknown: extra\.weight"):
        convert_weights({**pretrained, "extra.weight": torch.zeros(3)})


def without(state, *prefixes):
    return {name: value for name, value in state.items() if not name.startswith(prefixes)}


OTHER_MODELS = {
    "Point-BERT": (
        lambda state: without(state, "cls_head_finetune.4", "cls_head_finetune.8") | linear("reduce_dim", 24, 24),
        "Point-BERT or MaskPoint",
    ),
    "MaskPoint": (
        lambda state: without(state, "cls_head_finetune.8") | linear("transformer_q.reduce_dim", 24, 24),
        "Point-BERT or MaskPoint",
    ),
    "ACT, linear head": (
        lambda state: without(state, "cls_head_finetune") | linear("cls_head_finetune.0", 24, 15),
        "another head, as of ACT and ReCon",
    ),
    "ReCon, linear head": (
        lambda state: without(state, "cls_head_finetune") | linear("cls_head_finetune", 24, 15),
        "another head, as of ACT and ReCon",
    ),
    "Point-M2AE": (
        lambda state: {name if name.startswith("cls_head") else f"h_encoder.{name}": state[name] for name in state},
        "Point-M2AE or I2P-MAE",
    ),
    "this package": (lambda state: {f"jointmae.{name}": state[name] for name in state}, "a model of this package"),
}


@pytest.mark.parametrize("name", OTHER_MODELS)
def test_classifier_of_another_model_is_named_in_one_line(classifier, write, tmp_path, name):
    change, looks_like = OTHER_MODELS[name]
    with pytest.raises(ValueError, match=rf"^`weights` must be of Point-MAE .*, got .*{looks_like}") as refused:
        convert_point_mae(write(change(classifier)), tmp_path / "converted")
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
    assert not (tmp_path / "converted").exists()


def test_missing_weight_is_rejected_in_one_line(pretrained, write, tmp_path):
    rule = r"`path` must hold all weights of Point-MAE .*norm_3d\.bias|layernorm_3d\.bias"
    with pytest.raises(ValueError, match=rule) as refused:
        convert_point_mae(write(without(pretrained, "MAE_decoder.norm.bias")), tmp_path / "converted", **SIZES)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("num_classes", "sizes"), [(40, (1024, [64])), (15, (2048, [128]))])
def test_number_of_classes_tells_points_and_groups(classifier, num_classes, sizes):
    config = config_of(classifier | linear("cls_head_finetune.8", 14, num_classes))
    assert (config.num_points, config.num_groups) == sizes
    assert config_of(classifier | linear("cls_head_finetune.8", 14, 15), num_groups=[32]).num_groups == [32]


def test_clouds_of_scanobjectnn_are_not_scaled(classifier, write, tmp_path):
    path = write(classifier | linear("cls_head_finetune.8", 14, 15))
    convert_point_mae(path, tmp_path / "converted", num_attention_heads=2)
    extractor = JointMAEFeatureExtractor.from_pretrained(tmp_path / "converted")
    assert (extractor.num_points, extractor.do_normalize) == (2048, False)


def test_number_of_groups_that_nothing_tells_must_be_given(classifier):
    with pytest.raises(ValueError, match="`num_points` must be given for a classifier of 5 classes, got none"):
        config_of(classifier)
    with pytest.raises(ValueError, match="`num_groups` must be given for a classifier of 5 classes, got none"):
        config_of(classifier, num_points=64)


def test_output_folder_must_be_empty(pretrained, write, tmp_path):
    path = write(pretrained)
    with pytest.raises(FileExistsError, match="`output_dir` must be new or empty"):
        convert_point_mae(path, tmp_path, **SIZES)
