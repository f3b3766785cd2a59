"""Every ablation of Tables 6 to 8 and of the supplement is a field, builds, runs and learns."""

import pytest
import torch

from jointmae_hf import JointMAEForPreTraining, JointMAEModel


FLAT_3D = {"embedding_3d": "flat", "num_groups": [16], "group_size": [8]}
ABLATIONS = [
    FLAT_3D,
    {"embedding_2d": "flat"},
    {**FLAT_3D, "embedding_2d": "flat"},
    *({"position_embedding_2d": value} for value in ("learned", "none")),
    *({"projection_mode": value} for value in ("zbuffer", "simpleview", "rendered")),
    *({"fps_start": value} for value in ("first", "random")),
    {"neighborhood": "all"},
    {**FLAT_3D, "neighborhood": "all"},
    *({"mask_ratio": value} for value in (0.3, 0.6, 0.9)),
    {"mask_ratio_2d": 0.5},
    {"mask_alignment": "aligned"},
    {"correlation": "group"},
    {"mask_alignment": "aligned", "correlation": "group"},
    {"local_2d_to_3d": False},
    {"local_3d_to_2d": False},
    {"local_2d_to_3d": False, "local_3d_to_2d": False},
    *({"decoder_num_hidden_layers": value} for value in (0, 1, 4)),
    *({"specific_decoder_num_hidden_layers": value} for value in (0, 2)),
    {"loss_3d_target": "cloud"},
    {"loss_3d_target": "cloud", "use_2d_branch": False},
    *({"num_views": value} for value in (1, 2, 6)),
    {"loss_3d_2d_weight": 0.0},
    {"loss_2d_weight": 0.0},
    {"loss_3d_weight": 0.0},
    {"use_2d_branch": False},
    {"use_2d_branch": False, "neighborhood": "all"},
    {"qkv_bias": True},
    {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    {"drop_path_rate": 0.0},
    {"out_indices": [2]},
]


@pytest.mark.parametrize("fields", ABLATIONS, ids=str)
def test_ablation_runs_and_gives_every_parameter_a_gradient(build_tiny_config, unit_sphere_cloud, fields):
    if "mask_ratio" in fields:
        fields = {**fields, "mask_ratio_2d": 0.75}
    if "embedding_3d" in fields:
        fields = {**fields, "embedding_sizes_3d": [8, 12, 16]}
    model = JointMAEForPreTraining(build_tiny_config(**fields)).train()
    loss = model(unit_sphere_cloud).loss
    loss.backward()
    assert loss.isfinite()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_ablation_without_2d_has_no_2d_part(build_tiny_config, unit_sphere_cloud):
    model = JointMAEForPreTraining(build_tiny_config(use_2d_branch=False))
    outputs = model(unit_sphere_cloud)
    assert not [name for name, _ in model.named_parameters() if "2d" in name]
    assert torch.equal(outputs.loss, outputs.loss_3d)
    missing = ("loss_2d", "loss_3d_2d", "depth_map", "view", "mask_2d", "reconstructed_pixels")
    assert [outputs.get(name) for name in missing] == [None] * 6


def test_ablation_without_cross_loss_returns_none_of_it(build_tiny_config, unit_sphere_cloud):
    outputs = JointMAEForPreTraining(build_tiny_config(loss_3d_2d_weight=0.0))(unit_sphere_cloud)
    assert outputs.loss_3d_2d is None
    torch.testing.assert_close(outputs.loss, outputs.loss_3d + outputs.loss_2d)


def test_loss_weights_weigh_the_losses(build_tiny_config, unit_sphere_cloud):
    weights = {"loss_3d_weight": 2.0, "loss_2d_weight": 3.0, "loss_3d_2d_weight": 5.0}
    outputs = JointMAEForPreTraining(build_tiny_config(**weights))(unit_sphere_cloud)
    expected = 2 * outputs.loss_3d + 3 * outputs.loss_2d + 5 * outputs.loss_3d_2d
    torch.testing.assert_close(outputs.loss, expected)


def test_flat_embedding_has_the_layers_of_point_mae(build_tiny_config):
    fields = {**FLAT_3D, "hidden_size": 384, "num_attention_heads": 6, "embedding_sizes_3d": None}
    model = JointMAEModel(build_tiny_config(**fields))
    shapes = [
        tuple(p.shape) for n, p in model.embeddings_3d.named_parameters() if n.endswith("weight") and p.ndim == 2
    ]
    assert shapes == [(128, 3), (256, 128), (512, 512), (384, 512)]


def test_cloud_target_reconstructs_all_tokens(build_tiny_config, unit_sphere_cloud):
    model = JointMAEForPreTraining(build_tiny_config(loss_3d_target="cloud")).eval()
    outputs = model(unit_sphere_cloud)
    assert not torch.isin(outputs.reconstructed_points, outputs.target_points).any()


def test_simpleview_depth_map_keeps_raw_depths(build_tiny_config, unit_sphere_cloud):
    model = JointMAEForPreTraining(build_tiny_config(projection_mode="simpleview")).eval()
    assert 1 < model(unit_sphere_cloud).depth_map.max() <= 3


@pytest.mark.parametrize(("num_views", "expected"), [(1, 1), (4, 4)])
def test_cross_loss_renders_as_many_views_as_told(
    build_tiny_config, unit_sphere_cloud, monkeypatch, num_views, expected
):
    model = JointMAEForPreTraining(build_tiny_config(num_views=num_views))
    rendered = []
    project = model.project
    monkeypatch.setattr(model, "project", lambda *args: rendered.append(args[1].shape[1]) or project(*args))
    model(unit_sphere_cloud)
    assert rendered == [expected, expected]
