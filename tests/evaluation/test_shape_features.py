import numpy as np
import pytest
import torch

from jointmae_hf import JointMAEModel
from jointmae_hf.evaluation import (
    ShapeIndex,
    embed_rotated,
    extract_features,
    nearest_shapes,
    reference_clouds,
    rotate_about_up_axis,
)


def corners(clouds):
    """Features that see the direction: the largest x and z of each cloud."""
    return np.stack([[cloud[:, 0].max(), cloud[:, 2].max()] for cloud in clouds])


@pytest.fixture
def clouds(make_cloud):
    return make_cloud(3).numpy()


def test_rotation_keeps_height_and_distances(unit_sphere_cloud):
    cloud = unit_sphere_cloud[0].double()
    rotated = rotate_about_up_axis(cloud, 0.3)
    torch.testing.assert_close(rotated[..., 1], cloud[..., 1])
    torch.testing.assert_close(torch.pdist(rotated), torch.pdist(cloud))
    assert not torch.allclose(rotated, cloud, atol=0.1)


def test_average_over_rotations_does_not_see_rotations_by_a_step(clouds):
    rotated = rotate_about_up_axis(torch.from_numpy(clouds), 0.25).numpy()
    np.testing.assert_allclose(embed_rotated(corners, rotated, 4), embed_rotated(corners, clouds, 4), atol=1e-6)
    assert not np.allclose(embed_rotated(corners, rotated), embed_rotated(corners, clouds), atol=0.01)


def test_rotations_must_be_positive(clouds):
    with pytest.raises(ValueError, match="`num_rotations` must be at least 1, got 0"):
        embed_rotated(corners, clouds, 0)


def test_reference_has_shapes_of_all_classes_as_the_model_takes_them():
    clouds = reference_clouds(1024)
    assert clouds.shape == (256, 1024, 3)
    assert clouds.dtype == np.float32
    assert np.linalg.norm(clouds, axis=2).max() <= 1.0 + 1e-6
    np.testing.assert_array_equal(clouds, reference_clouds(1024))


def test_nearest_shape_of_a_cloud_of_the_index_is_itself(tiny_config, make_cloud, settle):
    model, clouds = settle(JointMAEModel(tiny_config, add_2d_branch=False)), make_cloud(6)
    features, _ = extract_features(model, [{"points": cloud} for cloud in clouds])
    matches = nearest_shapes(model, clouds[2], ShapeIndex(features, list("abcdef")), top_k=3)
    assert (matches[0].name, matches[0].row, len(matches)) == ("c", 2, 3)
    assert matches[0].score == pytest.approx(1.0, abs=1e-5)
