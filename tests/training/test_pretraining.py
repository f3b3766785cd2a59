"""The trainer: random numbers by counter, losses in the log, the same run after a resume."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import TrainingArguments, set_seed

from jointmae_hf.data import (
    MixtureDataset,
    PointCloudCollator,
    PointCloudTensors,
    PrimitiveShapeDataset,
    as_clouds,
    load_point_clouds,
)
from jointmae_hf.training import RECIPES, pretraining_noise
from jointmae_hf.training.pretraining import build_trainer, move_to_device, prepare_training_data


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def test_noise_depends_on_the_sample_alone(tiny_config):
    together = pretraining_noise(tiny_config, 1, 2, torch.tensor([5, 9]))
    alone = pretraining_noise(tiny_config, 1, 2, torch.tensor([9]))
    assert set(together) == {"noise_3d", "noise_2d", "view"}
    for name, value in together.items():
        assert torch.equal(value[1:], alone[name])


@pytest.mark.parametrize(("seed", "epoch"), [(0, 2), (1, 3)])
def test_noise_changes_with_seed_and_epoch(tiny_config, seed, epoch):
    index = torch.arange(4)
    noise = pretraining_noise(tiny_config, 1, 2, index)
    other = pretraining_noise(tiny_config, seed, epoch, index)
    assert all(not torch.equal(noise[name], other[name]) for name in noise)


def test_noise_of_the_3d_only_model_has_no_view(build_tiny_config):
    config = build_tiny_config(use_2d_branch=False)
    assert set(pretraining_noise(config, 0, 0, torch.arange(2))) == {"noise_3d"}


def test_training_logs_three_losses_that_sum_to_the_loss(make_trainer):
    trainer = make_trainer()
    trainer.train()
    parts = [logged(trainer, name) for name in ("loss_3d", "loss_2d", "loss_3d_2d")]
    sums = [sum(values) for values in zip(*parts, strict=True)]
    assert len(sums) == 2
    assert sums == pytest.approx(logged(trainer, "loss"), rel=1e-3)


def test_training_logs_gradient_norms_when_asked(make_trainer):
    trainer = make_trainer(log_gradient_norms=True)
    trainer.train()
    for name in ("gradient_norm_3d", "gradient_norm_2d", "gradient_norm_3d_2d"):
        norms = logged(trainer, name)
        assert len(norms) == 2
        assert all(math.isfinite(norm) and norm > 0 for norm in norms)


def test_training_without_2d_branch_logs_one_loss(make_trainer, build_tiny_config):
    trainer = make_trainer(build_tiny_config(use_2d_branch=False), log_gradient_norms=True)
    trainer.train()
    names = {name for name in trainer.state.log_history[0] if name.startswith(("loss", "gradient"))}
    assert names == {"loss", "loss_3d", "gradient_norm_3d"}


def test_evaluation_draws_the_same_every_time(make_trainer):
    trainer = make_trainer()
    trainer.train()
    first, second = trainer.evaluate(), trainer.evaluate()
    names = ["eval_loss", "eval_loss_3d", "eval_loss_2d", "eval_loss_3d_2d"]
    assert [first[name] for name in names] == [second[name] for name in names]
    assert first["eval_loss"] == pytest.approx(sum(first[name] for name in names[1:]), rel=1e-5)


def test_evaluation_leaves_the_window_of_training_alone(make_trainer, build_tiny_config):
    config = build_tiny_config(drop_path_rate=0.0)  # evaluation moves the generator that drop path draws from
    plain, evaluated = make_trainer(config), make_trainer(config, eval_strategy="steps", eval_steps=1)
    plain.train()
    evaluated.train()
    assert logged(plain, "loss_2d") == logged(evaluated, "loss_2d")


def test_evaluation_counts_every_sample_alike(make_trainer):
    whole = make_trainer(per_device_eval_batch_size=4).evaluate()
    uneven = make_trainer(per_device_eval_batch_size=3, dataloader_drop_last=True).evaluate()
    for name in ("eval_loss", "eval_loss_3d", "eval_loss_2d", "eval_loss_3d_2d"):
        assert uneven[name] == pytest.approx(whole[name], rel=1e-5)


@pytest.mark.parametrize("name", ["bf16_full_eval", "fp16_full_eval"])
def test_evaluation_in_half_precision_keeps_the_weights(make_trainer, name):
    trainer = make_trainer(**{name: True})
    trainer.train()
    before = {key: value.clone() for key, value in trainer.model.state_dict().items()}
    exact = make_trainer().evaluate()["eval_loss"]
    assert trainer.evaluate()["eval_loss"] != exact
    after = trainer.model.state_dict()
    assert all(after[key].dtype == value.dtype and after[key].equal(value) for key, value in before.items())


def test_references_keep_the_training_mode(make_trainer):
    trainer = make_trainer()
    trainer.model.train()
    references = trainer.measure_references()
    assert trainer.model.training
    assert references["loss_3d_2d_perfect"] < references["loss_3d_2d_trivial"]


def test_weight_decay_spares_norms_biases_and_tokens(make_trainer):
    trainer = make_trainer()
    names = trainer.get_decay_parameter_names(trainer.model)
    parameters = dict(trainer.model.named_parameters())
    spared = set(parameters) - set(names)
    assert {"jointmae.modality_token_3d", "decoder.mask_token_2d", "jointmae.layernorm.weight"} <= spared
    assert all(parameters[name].ndim == 1 or "token" in name for name in spared)


def test_epoch_changes_what_a_sample_is_trained_with(make_trainer):
    trainer = make_trainer()
    inputs = {"points": torch.randn(2, 64, 3), "index": torch.arange(2)}
    trainer.model.train()
    trainer.state.epoch = 0.75
    _, early = trainer._forward(trainer.model, inputs)
    trainer.state.epoch = 1.25
    _, late = trainer._forward(trainer.model, inputs)
    assert not torch.equal(early.mask_3d, late.mask_3d)


@pytest.mark.parametrize("stop", [1, 3, 4], ids=["first step", "mid-epoch", "end of an epoch"])
def test_resumed_run_equals_the_uninterrupted_one(make_trainer, stop):
    arguments = {"max_steps": 6, "save_strategy": "steps", "save_steps": stop, "lr_scheduler_type": "constant"}
    straight = make_trainer(**arguments)
    straight.train()
    expected = copy.deepcopy(straight.model.state_dict())
    resumed = make_trainer(**arguments)
    resumed.train(resume_from_checkpoint=f"{straight.args.output_dir}/checkpoint-{stop}")
    state = resumed.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


@pytest.fixture
def stream(tmp_path):
    sizes = {"num_train": 3, "num_validation": 0, "num_test": 0, "num_points": 16}
    return load_point_clouds("synthetic_shapes", split="train", cache_dir=tmp_path, **sizes).to_iterable_dataset()


def test_stream_needs_a_number_of_steps_and_a_whole_batch(stream, tmp_path):
    training = TrainingArguments(str(tmp_path), use_cpu=True, per_device_train_batch_size=4)
    with pytest.raises(ValueError, match=r"`max_steps` must be positive for a stream, .* got -1. Pass --max_steps"):
        prepare_training_data(stream, training)
    training.max_steps = 5
    with pytest.raises(ValueError, match="`stream` must hold at least 4 clouds, one batch, got 3"):
        prepare_training_data(stream, training)


def test_clouds_must_suffice_for_a_batch_that_is_never_cut(tmp_path):
    training = TrainingArguments(str(tmp_path), use_cpu=True, per_device_train_batch_size=8, dataloader_drop_last=True)
    with pytest.raises(ValueError, match=r"`per_device_train_batch_size` must not exceed .*, got 8 and 4"):
        prepare_training_data(PointCloudTensors(torch.rand(4, 16, 3)), training)


def test_mixture_is_read_in_its_order(tmp_path):
    training = TrainingArguments(str(tmp_path), use_cpu=True)
    clouds = PointCloudTensors(torch.rand(4, 16, 3))
    prepare_training_data(clouds, training)
    assert training.train_sampling_strategy == "random"
    prepare_training_data(MixtureDataset([clouds], [1]), training)
    assert training.train_sampling_strategy == "sequential"


def points_of_epoch(trainer, epoch):
    """Return the points of the first training cloud that the model gets, sorted."""
    trainer.model.train()
    trainer.state.epoch = epoch
    trainer.data_collator.set_epoch(epoch)
    batch = trainer.data_collator([trainer.train_dataset[0]])
    points, _, _ = trainer._transformed(trainer.model, batch)
    return sorted(map(tuple, points[0].tolist()))


@pytest.mark.parametrize(("sizes", "changes"), [((80, 80), True), ((80, 90), True), ((64, 64), False)])
def test_larger_clouds_give_other_points_in_each_epoch(tiny_config, tmp_path, sizes, changes):
    recipe = replace(RECIPES["best"], augmentation=())
    splits = {
        name: PointCloudTensors(torch.rand(4, size, 3))
        for name, size in zip(("train", "validation"), sizes, strict=True)
    }
    trainer = build_trainer(tiny_config, recipe, TrainingArguments(str(tmp_path), use_cpu=True), splits)
    first, second = points_of_epoch(trainer, 0), points_of_epoch(trainer, 1)
    assert len(first) == len(second) == tiny_config.num_points
    assert (first != second) == changes
    assert points_of_epoch(trainer, 0) == first


def test_evaluation_takes_the_same_points_every_time(tiny_config, tmp_path):
    splits = {name: PointCloudTensors(torch.rand(4, 80, 3)) for name in ("train", "validation")}
    training = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", remove_unused_columns=False)
    trainer = build_trainer(tiny_config, RECIPES["best"], training, splits)
    assert trainer.evaluate()["eval_loss"] == trainer.evaluate()["eval_loss"]


def test_clouds_on_the_device_train_the_same_model(tiny_config, tmp_path):
    split = load_point_clouds("synthetic_shapes", cache_dir=tmp_path, num_train=10, num_validation=4, num_points=80)
    states = []
    for data_on_device in (False, True):
        training = TrainingArguments(
            str(tmp_path / "run"),
            use_cpu=True,
            max_steps=4,
            per_device_train_batch_size=4,
            remove_unused_columns=False,
            label_names=["points"],
            report_to="none",
        )
        set_seed(0)
        trainer = build_trainer(tiny_config, RECIPES["best"], training, split, data_on_device=data_on_device)
        trainer.train()
        states.append({**trainer.model.state_dict(), "eval_loss": torch.tensor(trainer.evaluate()["eval_loss"])})
    assert all(torch.equal(states[1][name], value) for name, value in states[0].items())
    assert isinstance(trainer.train_dataset, PointCloudTensors)


def test_clouds_on_the_device_keep_their_labels_and_get_one_size():
    clouds = PointCloudTensors(torch.rand(5, 6, 3), torch.arange(5), torch.arange(30).reshape(5, 6))
    collator = PointCloudCollator(8, seed=3)
    moved = move_to_device(clouds, collator, torch.device("cpu"))
    expected = collator([clouds[index] for index in range(5)])
    assert all(torch.equal(values, expected[name]) for name, values in moved.columns().items())
    assert set(moved.columns()) == {"points", "labels", "part_labels"}


@pytest.mark.parametrize(("sizes", "got"), [((20, 30), "of different numbers of points"), ((20, 20), "of 20 points")])
def test_clouds_whose_points_change_with_the_epoch_cannot_be_kept_on_the_device(tmp_path, sizes, got):
    (tmp_path / "shapes").mkdir()
    for size, name in zip(sizes, "ab", strict=True):
        np.save(tmp_path / "shapes" / f"{name}.npy", np.random.default_rng(0).random((size, 3)))
    clouds = load_point_clouds("folder", data_dir=tmp_path / "shapes", split="train", cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match=rf"`data_on_device` must be False .* got clouds {got}"):
        move_to_device(as_clouds(clouds), PointCloudCollator(16), torch.device("cpu"))


@pytest.mark.parametrize(
    "clouds",
    [MixtureDataset([PointCloudTensors(torch.rand(4, 16, 3))], [1]), PrimitiveShapeDataset(2**40, num_points=16)],
)
def test_mixtures_and_generated_clouds_cannot_be_kept_on_the_device(clouds):
    with pytest.raises(ValueError, match=rf"`data_on_device` must be False for .*, got {type(clouds).__name__}"):
        move_to_device(clouds, PointCloudCollator(16), torch.device("cpu"))


def test_clouds_must_fit_into_half_of_the_free_memory_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2_000, 10_000))
    clouds = PointCloudTensors(torch.rand(6, 16, 3))
    with pytest.raises(ValueError, match=r"`data_on_device` must be False for .* free memory of cuda:0, got 0\.0 GB"):
        move_to_device(clouds, PointCloudCollator(16), torch.device("cuda:0"))
