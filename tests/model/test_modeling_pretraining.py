"""Pre-training: outputs, randomness, learning, and the cross loss."""

import pytest
import torch
from transformers import Trainer, TrainingArguments

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.model.depth_projection import rotate_views
from jointmae_hf.model.losses import cross_reconstruction_loss
from jointmae_hf.model.point_ops import bounding_sphere, group_points


def test_pretraining_outputs_have_their_shapes(pretrainer, unit_sphere_cloud):
    outputs = pretrainer(unit_sphere_cloud)
    assert outputs.reconstructed_points.shape == outputs.target_points.shape == (2, 16 * 4, 3)
    assert outputs.reconstructed_pixels.shape == outputs.depth_map.shape == (2, 1, 32, 32)
    assert (outputs.view.shape, outputs.centers.shape) == ((2, 3, 4), (2, 16, 3))
    assert (outputs.mask_3d.shape, outputs.mask_2d.shape) == ((2, 16), (2, 4))
    assert outputs.last_hidden_state.shape == (2, 4 + 1, 32)


def test_pretraining_masks_hide_the_largest_noise(pretrainer, unit_sphere_cloud, random_arguments):
    outputs = pretrainer(unit_sphere_cloud, **random_arguments)
    for mask, noise in ((outputs.mask_3d, "noise_3d"), (outputs.mask_2d, "noise_2d")):
        noise = random_arguments[noise]
        assert noise[mask].reshape(2, -1).amin(dim=1).gt(noise[~mask].reshape(2, -1).amax(dim=1)).all()


def test_pretraining_is_a_function_of_its_arguments_in_eval(pretrainer, unit_sphere_cloud, random_arguments):
    first = pretrainer(unit_sphere_cloud, **random_arguments)
    torch.manual_seed(1)
    second = pretrainer(unit_sphere_cloud, **random_arguments)
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_pretraining_draws_what_is_not_given(pretrainer, unit_sphere_cloud):
    first, second = pretrainer(unit_sphere_cloud), pretrainer(unit_sphere_cloud)
    assert not torch.equal(first.view, second.view)
    assert not torch.equal(first.mask_3d, second.mask_3d)


def test_pretraining_draws_from_the_default_generator(pretrainer, unit_sphere_cloud):
    losses = []
    for _ in range(2):
        torch.manual_seed(3)
        losses.append(pretrainer(unit_sphere_cloud).loss)
    assert torch.equal(*losses)


def test_pretraining_returns_the_view_it_was_given(pretrainer, unit_sphere_cloud, random_arguments):
    assert torch.equal(pretrainer(unit_sphere_cloud, **random_arguments).view, random_arguments["view"])


def test_pretraining_keeps_given_points_and_pixels(pretrainer, unit_sphere_cloud):
    outputs = pretrainer(unit_sphere_cloud)
    visible = ~outputs.mask_3d.repeat_interleave(4, dim=1)
    assert torch.equal(outputs.reconstructed_points[visible], outputs.target_points[visible])
    shown = ~outputs.mask_2d.reshape(2, 1, 2, 2).repeat_interleave(16, dim=2).repeat_interleave(16, dim=3)
    assert torch.equal(outputs.reconstructed_pixels[shown], outputs.depth_map[shown])


def test_pretraining_target_points_are_the_groups_of_the_input(pretrainer, unit_sphere_cloud):
    outputs = pretrainer(unit_sphere_cloud)
    groups = group_points(unit_sphere_cloud, outputs.centers, 4) + outputs.centers[:, :, None]
    torch.testing.assert_close(outputs.target_points, groups.flatten(1, 2))


def test_pretraining_does_not_depend_on_place_and_size_of_the_frame(pretrainer, unit_sphere_cloud, random_arguments):
    """The depth map is that of the normalized cloud, wherever the cloud is."""
    moved = pretrainer(unit_sphere_cloud * 0.5 + 0.25, **random_arguments).depth_map
    torch.testing.assert_close(moved, pretrainer(unit_sphere_cloud, **random_arguments).depth_map, rtol=0, atol=1e-4)


def test_pretraining_loss_decreases_on_one_batch(pretrainer, unit_sphere_cloud, random_arguments):
    pretrainer.train()
    optimizer = torch.optim.AdamW(pretrainer.parameters(), lr=2e-3)
    losses = []
    for _ in range(20):
        losses.append(pretrainer(unit_sphere_cloud, **random_arguments).loss)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]


def test_pretraining_gives_every_parameter_a_gradient(pretrainer, unit_sphere_cloud, random_arguments):
    pretrainer.train()
    pretrainer(unit_sphere_cloud, **random_arguments).loss.backward()
    assert not [name for name, parameter in pretrainer.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("loss", ["loss_3d", "loss_2d", "loss_3d_2d"])
def test_each_loss_reaches_both_branches(pretrainer, unit_sphere_cloud, random_arguments, loss):
    """The shared decoder connects the branches; without it 3D would learn nothing from 2D."""
    pretrainer(unit_sphere_cloud, **random_arguments)[loss].backward()
    for module in (pretrainer.jointmae.embeddings_3d.projection, pretrainer.jointmae.embeddings_2d.projection):
        assert module.weight.grad.abs().max() > 0


def test_cross_loss_has_no_gradient_from_given_points(pretrainer, unit_sphere_cloud, random_arguments):
    outputs = pretrainer(unit_sphere_cloud, **random_arguments)
    outputs.reconstructed_points.retain_grad()
    (gradient,) = torch.autograd.grad(outputs.reconstructed_points.sum(), pretrainer.reconstruction_head_3d.bias)
    assert gradient.sum().item() == outputs.mask_3d.sum() * 4 * 3


@pytest.mark.parametrize("mode", ["soft", "zbuffer", "simpleview"])
def test_cross_loss_prefers_the_perfect_reconstruction(build_tiny_config, make_cloud, mode):
    config = build_tiny_config(num_points=512, num_groups=[64, 32], target_group_size=16, projection_mode=mode)
    model, points = JointMAEForPreTraining(config).eval(), make_cloud(2, 512)
    outputs = model(points)
    views, frame = rotate_views(outputs.view, 4), bounding_sphere(points)
    target = model.project(points, views)
    offsets = outputs.target_points.unflatten(1, (32, 16)) - outputs.centers[:, :, None]
    candidates = {
        "perfect": outputs.target_points,
        "all points on their center": (outputs.target_points.unflatten(1, (32, 16)) - offsets).flatten(1, 2),
        "all points at the origin": torch.zeros_like(outputs.target_points),
        "noise": outputs.target_points + 0.2 * torch.randn_like(outputs.target_points),
    }
    losses = {
        name: cross_reconstruction_loss(model.project(p, views, frame), target) for name, p in candidates.items()
    }
    assert min(losses, key=losses.get) == "perfect"


def test_cross_loss_survives_a_stray_point(pretrainer, unit_sphere_cloud, random_arguments):
    with torch.no_grad():
        pretrainer.reconstruction_head_3d.bias[:3] = 1e6
    outputs = pretrainer(unit_sphere_cloud, **random_arguments)
    outputs.loss_3d_2d.backward()
    assert outputs.loss_3d_2d.isfinite()
    assert all(p.grad.isfinite().all() for p in pretrainer.parameters() if p.grad is not None)


def test_pretraining_survives_a_cloud_of_equal_points(pretrainer):
    pretrainer.train()
    outputs = pretrainer(torch.full((2, 64, 3), 0.1))
    outputs.loss.backward()
    assert outputs.loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in pretrainer.parameters())


@pytest.mark.parametrize("name", ["view", "noise_3d", "noise_2d"])
def test_pretraining_names_the_argument_of_another_shape(pretrainer, unit_sphere_cloud, random_arguments, name):
    random_arguments[name] = random_arguments[name][:1]
    with pytest.raises(ValueError, match=rf"`{name}` must have shape \(2, .*\), got \(1, "):
        pretrainer(unit_sphere_cloud, **random_arguments)


@pytest.mark.parametrize("shape", [(64, 3), (2, 64, 4), (2, 8, 3)], ids=str)
def test_pretraining_refuses_points_that_do_not_fit(pretrainer, shape):
    with pytest.raises(ValueError, match="`points` must "):
        pretrainer(torch.zeros(shape))


def test_positions_of_centers_start_at_the_scale_of_the_features(build_tiny_config):
    model = JointMAEForPreTraining(build_tiny_config(hidden_size=128, num_points=256))
    for positions in (model.jointmae.position_embeddings_3d, model.decoder.position_embeddings_3d):
        assert positions.fc1.weight.std().item() == pytest.approx(3**-0.5, rel=0.15)
        assert positions.fc2.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    grouping = model.jointmae.embeddings_3d.coarse_grouping
    assert grouping.fc4.weight.std().item() == pytest.approx(128**-0.5, rel=0.05)
    assert model.jointmae.layers[0].mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_pretraining_leaves_out_the_losses_on_request(pretrainer, unit_sphere_cloud, random_arguments):
    expected = pretrainer(unit_sphere_cloud, **random_arguments)
    outputs = pretrainer(unit_sphere_cloud, **random_arguments, return_loss=False)
    assert expected.keys() - outputs.keys() == {"loss", "loss_3d", "loss_2d", "loss_3d_2d"}
    assert torch.equal(outputs.reconstructed_points, expected.reconstructed_points)


def test_pretraining_works_in_a_plain_trainer(pretrainer, make_cloud, tmp_path):
    dataset = [{"points": cloud} for cloud in make_cloud(6)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        num_train_epochs=2,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=4,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        report_to="none",
        use_cpu=True,
    )
    trainer = Trainer(pretrainer, arguments, train_dataset=dataset, eval_dataset=dataset)
    trainer.train()
    evaluations = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    assert trainer.state.best_metric == min(evaluations)
    assert trainer.predict(dataset).metrics["test_loss"] > 0
