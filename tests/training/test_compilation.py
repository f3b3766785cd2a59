"""Compilation of the part that all blocks share."""

import pytest
import torch
from transformers import TrainingArguments

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.data import PointCloudCollator, PointCloudTensors
from jointmae_hf.training import JointMAETrainer, compile_regions, pretraining_noise


@pytest.fixture
def num_graphs(fresh_compiler):
    """Count the graphs of a test."""
    torch._dynamo.utils.counters.clear()
    return lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.fixture
def model(build_tiny_config):
    return JointMAEForPreTraining(build_tiny_config(num_hidden_layers=4, image_size=64)).train()


def test_all_blocks_share_one_graph_for_all_masks_views_and_batch_sizes(model, make_cloud, num_graphs):
    compile_regions(model, "eager")
    for seed, batch_size in enumerate([5, 5, 3, 2]):
        model(make_cloud(batch_size, seed=seed)).loss.backward()
        assert num_graphs() == 1


def test_evaluation_has_one_more_graph_for_all_batch_sizes(model, make_cloud, num_graphs):
    compile_regions(model.eval(), "eager")
    for batch_size in (5, 3, 2):
        with torch.no_grad():
            model(make_cloud(batch_size))
    assert num_graphs() == 1


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_regions_agree_with_eager_mode(model, unit_sphere_cloud, backend, num_graphs):
    random_arguments = pretraining_noise(model.config, 0, 0, torch.arange(len(unit_sphere_cloud)))
    expected = []
    for call in (model, lambda *args, **kwargs: compile_regions(model, backend)(*args, **kwargs)):
        torch.manual_seed(0)  # of stochastic depth
        model.zero_grad()
        loss = call(unit_sphere_cloud, **random_arguments).loss_3d
        loss.backward()
        expected.append((loss.detach(), model.jointmae.layers[0].mlp.fc1.weight.grad.clone()))
    torch.testing.assert_close(expected[1], expected[0], rtol=1e-3, atol=1e-6)
    assert num_graphs() == 1


def test_compiled_regions_keep_the_names_of_weights(model):
    names = list(model.state_dict())
    assert list(compile_regions(model, "eager").state_dict()) == names


def build_trainer(config, points, output_dir, max_steps):
    torch.manual_seed(0)
    args = TrainingArguments(
        output_dir=str(output_dir), max_steps=max_steps, per_device_train_batch_size=3, use_cpu=True, save_steps=1, lr_scheduler_type="constant",
        torch_compile=True, torch_compile_backend="eager", remove_unused_columns=False, disable_tqdm=True,
    )  # fmt: skip
    collator = PointCloudCollator(config.num_points)
    model, clouds = JointMAEForPreTraining(config), PointCloudTensors(points)
    return JointMAETrainer(model=model, args=args, train_dataset=clouds, data_collator=collator)


def test_trainer_compiles_regions_and_resumes_bitwise(build_tiny_config, make_cloud, tmp_path, num_graphs):
    config, points = build_tiny_config(image_size=64), make_cloud(6)
    whole = build_trainer(config, points, tmp_path / "whole", 2)
    whole.train()
    build_trainer(config, points, tmp_path / "parts", 1).train()
    resumed = build_trainer(config, points, tmp_path / "parts", 2)
    resumed.train(resume_from_checkpoint=True)
    assert num_graphs() == 1
    loaded = JointMAEForPreTraining.from_pretrained(tmp_path / "parts" / "checkpoint-2").state_dict()
    expected = whole.unwrapped_model.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in expected.items())
