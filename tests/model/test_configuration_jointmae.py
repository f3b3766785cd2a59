import json

import pytest
from huggingface_hub.errors import StrictDataclassClassValidationError, StrictDataclassFieldValidationError

from jointmae_hf import JointMAEConfig
from jointmae_hf.model.configuration_jointmae import PRESETS


INVALID_FIELDS = [
    *({name: 0} for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")),
    *({name: 0} for name in ("num_points", "image_size", "patch_size", "num_channels", "position_hidden_size")),
    *({name: 0} for name in ("target_group_size", "num_views", "num_categories", "category_embedding_size")),
    {"num_groups": [32, 0]},
    {"num_groups": []},
    {"group_size": [0, 4]},
    {"embedding_sizes_3d": [8, -1]},
    {"classifier_hidden_sizes": [0, 4]},
    {"hidden_size": 42},
    {"hidden_size": 30, "num_attention_heads": 3},
    {"num_groups": [32]},
    {"group_size": [4, 4, 4]},
    {"num_groups": [128, 16]},
    {"num_groups": [16, 32]},
    {"group_size": [65, 4]},
    {"group_size": [4, 33]},
    {"target_group_size": 65},
    {"embedding_sizes_3d": [8]},
    {"embedding_sizes_2d": [8, 8, 8]},
    {"classifier_hidden_sizes": [8]},
    {"propagation_hidden_sizes": [8]},
    {"segmentation_hidden_sizes": [8]},
    {"image_size": 40},
    {"num_channels": 3},
    *({"mask_ratio": value} for value in (0.0, 1.0, -0.5, 0.01)),
    *({"mask_ratio_2d": value} for value in (0.0, 1.0, 0.1)),
    *({name: 1.0} for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")),
    {"drop_path_rate": -0.1},
    {"camera_distance": 1.0},
    {"focal_length": 0.0},
    {"splat_radius": -1.0},
    {"splat_radius": float("inf")},
    {"max_view_elevation": 91.0},
    {"decoder_num_hidden_layers": -1},
    {"specific_decoder_num_hidden_layers": -1},
    {"loss_2d_weight": -1.0},
    {"loss_2d_weight": float("nan")},
    {"out_indices": []},
    {"out_indices": [0, 1]},
    {"out_indices": [2, 1]},
    {"out_indices": [1, 1]},
    {"out_indices": [3]},
    {"category_labels": [[0, 1]]},
]


@pytest.mark.parametrize("fields", INVALID_FIELDS, ids=str)
def test_config_names_field_and_value_when_invalid(build_tiny_config, fields):
    with pytest.raises(StrictDataclassClassValidationError) as caught:
        build_tiny_config(**fields)
    name, value = next(iter(fields.items()))
    message = str(caught.value.__cause__)
    assert f"`{name}`" in message or f"{name}`" in message
    assert (str(len(value)) if name == "category_labels" else str(value)) in message


@pytest.mark.parametrize(
    "fields",
    [
        {"decoder_num_hidden_layers": 0, "specific_decoder_num_hidden_layers": 0},
        {"loss_3d_weight": 0.0, "loss_2d_weight": 0.0, "loss_3d_2d_weight": 0.0},
    ],
)
def test_config_refuses_a_model_that_could_learn_nothing(build_tiny_config, fields):
    with pytest.raises(StrictDataclassClassValidationError, match=f"`{next(iter(fields))}`.* 0"):
        build_tiny_config(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"embedding_3d": "deep"},
        {"embedding_2d": "deep"},
        {"position_embedding_2d": "rotary"},
        {"projection_mode": "raytraced"},
        {"fps_start": "last"},
        {"neighborhood": "hidden"},
        {"mask_alignment": "opposite"},
        {"correlation": "pixel"},
        {"loss_3d_target": "mesh"},
        {"loss_3d_target": "patches"},
        {"pooling": "median"},
        {"hidden_size": "32"},
        {"hidden_size": 32.0},
        {"mask_ratio": "0.75"},
        {"num_groups": 64},
        {"use_2d_branch": "yes"},
    ],
    ids=str,
)
def test_config_names_field_and_value_when_of_another_type(build_tiny_config, fields):
    with pytest.raises(StrictDataclassFieldValidationError) as caught:
        build_tiny_config(**fields)
    name, value = next(iter(fields.items()))
    assert name in str(caught.value)
    assert str(value) in str(caught.value)


def test_config_validates_again_when_saved(tiny_config, tmp_path):
    tiny_config.mask_ratio = 1.5
    with pytest.raises(StrictDataclassClassValidationError, match=r"`mask_ratio` must be in \(0, 1\).* got 1\.5"):
        tiny_config.save_pretrained(tmp_path)


@pytest.mark.parametrize(("misspelled", "meant"), [("num_group", "num_groups"), ("mask_ration", "mask_ratio")])
def test_config_warns_about_an_unknown_field_and_names_the_nearest(transformers_log, misspelled, meant):
    JointMAEConfig(**{misspelled: 3})
    assert f"`{misspelled}` is not a field of JointMAEConfig. Did you mean `{meant}`?" in transformers_log.text


def test_config_does_not_warn_about_known_fields(build_tiny_config, tmp_path, transformers_log):
    build_tiny_config(id2label={0: "a", 1: "b"}, attn_implementation="eager").save_pretrained(tmp_path)
    JointMAEConfig.from_pretrained(tmp_path, dtype="float32")
    assert transformers_log.text == ""


def test_preset_base_is_the_paper():
    assert JointMAEConfig.from_preset("jointmae-base").to_dict() == JointMAEConfig().to_dict()


@pytest.mark.parametrize("name", PRESETS)
def test_preset_takes_overrides(name):
    assert JointMAEConfig.from_preset(name, mask_ratio=0.6).mask_ratio == 0.6


def test_preset_refuses_an_unknown_name():
    with pytest.raises(ValueError, match=r"`name` must be one of .*jointmae-base.* got 'jointmae-huge'"):
        JointMAEConfig.from_preset("jointmae-huge")


def test_config_derives_widths_from_hidden_size():
    config = JointMAEConfig(hidden_size=192)
    assert (config.embedding_sizes_3d, config.embedding_sizes_2d) == ([48, 96], [48, 96])
    assert config.position_hidden_size == 192


@pytest.mark.parametrize(("num_layers", "expected"), [(12, [4, 8, 12]), (2, [1, 2]), (1, [1]), (8, [2, 5, 8])])
def test_config_reads_blocks_at_each_third(num_layers, expected):
    assert JointMAEConfig(num_hidden_layers=num_layers).out_indices == expected


def test_config_flat_embedding_has_the_widths_of_point_mae():
    config = JointMAEConfig(embedding_3d="flat", embedding_2d="flat")
    assert (config.num_groups, config.group_size, config.embedding_sizes_3d) == ([64], [32], [128, 256, 512])
    assert (config.position_hidden_size, config.embedding_sizes_2d) == (128, [])


def test_config_survives_json(build_tiny_config):
    config = build_tiny_config(num_groups=(32, 16), mask_ratio_2d=0.5, category_labels=[[0]] * 16)
    again = JointMAEConfig(**json.loads(config.to_json_string(use_diff=False)))
    assert again.to_dict() == config.to_dict()


@pytest.mark.parametrize("fields", [{}, {"embedding_3d": "flat", "num_groups": [16], "group_size": [4]}], ids=str)
def test_config_is_equal_when_saved_and_loaded(build_tiny_config, tmp_path, fields):
    if fields:
        fields = {**fields, "embedding_sizes_3d": None}
    config = build_tiny_config(num_labels=3, **fields)
    config.save_pretrained(tmp_path)
    again = JointMAEConfig.from_pretrained(tmp_path)
    assert again.to_diff_dict() == config.to_diff_dict()


def test_config_defaults_are_not_shared():
    JointMAEConfig().num_groups.append(1)
    assert JointMAEConfig().num_groups == [256, 64]


@pytest.mark.parametrize("names", [{1: "chair", 2: "table"}, {"1": "chair"}, {0: "chair", 2: "table"}])
def test_labels_are_counted_from_0(build_tiny_config, names):
    with pytest.raises(StrictDataclassClassValidationError, match=r"`id2label` must have the keys 0 to .*, got \["):
        build_tiny_config(id2label=names)
