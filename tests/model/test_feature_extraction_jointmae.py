import json

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoProcessor

from jointmae_hf import JointMAEFeatureExtractor


@pytest.fixture
def extractor():
    return JointMAEFeatureExtractor(num_points=16)


@pytest.fixture
def cloud():
    return np.random.default_rng(0).normal(size=(16, 3))


def normalized(cloud):
    centered = cloud - cloud.mean(axis=0)
    return centered / np.linalg.norm(centered, axis=1).max()


def distances(cloud):
    """Sorted pairwise distances: the shape, whatever the order of its points."""
    return np.sort(np.linalg.norm(cloud[:, None] - cloud[None], axis=2).ravel())


def prepare(extractor, cloud, **kwargs):
    return extractor(cloud, return_tensors="np", **kwargs)["points"]


def test_extractor_normalizes_to_the_unit_sphere(extractor, cloud):
    np.testing.assert_allclose(prepare(extractor, cloud * 7 + 3)[0], normalized(cloud), atol=1e-6)


def test_extractor_returns_float32_batches(extractor, cloud):
    points = extractor([cloud, cloud], return_tensors="pt")["points"]
    assert (points.shape, points.dtype) == ((2, 16, 3), torch.float32)


def test_extractor_does_not_change_its_input(extractor, cloud):
    before = cloud.copy()
    prepare(extractor, cloud, up_axis="z")
    assert np.array_equal(cloud, before)


@pytest.mark.parametrize("num_points", [1, 5, 15])
def test_extractor_repeats_points_when_there_are_too_few(extractor, cloud, num_points):
    points = prepare(extractor, cloud[:num_points])[0]
    assert np.array_equal(points[num_points:], points[: 16 - num_points])


def test_extractor_samples_farthest_points_in_any_order(extractor):
    cloud = np.random.default_rng(0).normal(size=(200, 3))
    assert np.array_equal(prepare(extractor, cloud), prepare(extractor, cloud[::-1]))


def test_extractor_random_sampling_draws_without_replacement(cloud):
    extractor = JointMAEFeatureExtractor(num_points=15, sampling="random", do_normalize=False)
    assert len(np.unique(prepare(extractor, cloud)[0], axis=0)) == 15


def test_extractor_random_sampling_follows_its_seed():
    cloud = np.random.default_rng(0).normal(size=(200, 3))
    first, same, other = (JointMAEFeatureExtractor(16, sampling="random", seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(prepare(first, cloud), prepare(same, cloud))
    assert not np.array_equal(prepare(first, cloud), prepare(other, cloud))


def test_extractor_takes_clouds_of_mixed_lengths(extractor, cloud):
    assert prepare(extractor, [cloud, cloud[:3], np.tile(cloud, (9, 1))]).shape == (3, 16, 3)


def test_extractor_treats_each_cloud_alone(extractor, cloud):
    together = prepare(extractor, [cloud, cloud[:3] * 100])
    assert np.array_equal(together[1], prepare(extractor, cloud[:3] * 100)[0])


def test_extractor_keeps_all_points_without_resampling(extractor, cloud):
    points = prepare(extractor, cloud[:5], do_resample=False)
    np.testing.assert_allclose(points[0], normalized(cloud[:5]), atol=1e-6)


def test_extractor_refuses_mixed_lengths_without_resampling(extractor, cloud):
    with pytest.raises(ValueError, match=r"clouds of one size without `do_resample`, got sizes \[16, 3\]"):
        extractor([cloud, cloud[:3]], do_resample=False)


def test_extractor_keeps_coordinates_without_normalizing(extractor, cloud):
    assert np.array_equal(prepare(extractor, cloud + 5, do_normalize=False)[0], (cloud + 5).astype(np.float32))


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, -123.456, 1e300, 1e-300])
def test_extractor_returns_zeros_when_all_points_coincide(extractor, value):
    assert np.array_equal(prepare(extractor, np.full((7, 3), value)), np.zeros((1, 16, 3)))


@pytest.mark.parametrize("scale", [1e300, 1e150, 1e-30, 1e-150, 1e-300])
def test_extractor_keeps_the_shape_at_any_scale(extractor, cloud, scale):
    np.testing.assert_allclose(prepare(extractor, cloud * scale)[0], normalized(cloud), atol=1e-6)


def test_extractor_keeps_a_small_shape_far_from_the_origin(extractor, cloud):
    far = cloud * 1e-3 + 1e8
    np.testing.assert_allclose(prepare(extractor, far)[0], normalized(cloud), atol=1e-4)


@pytest.mark.parametrize(
    "convert",
    [
        lambda c: c.astype(np.float32),
        lambda c: c.astype(">f8"),
        lambda c: c.astype(">f4"),
        lambda c: np.asfortranarray(c),
        lambda c: np.repeat(c, 2, axis=0)[::2],
        lambda c: c.tolist(),
        lambda c: tuple(map(tuple, c.tolist())),
        lambda c: list(c),
        lambda c: c[None],
        lambda c: [c],
        lambda c: torch.from_numpy(c),
        lambda c: torch.from_numpy(c).requires_grad_(),
        lambda c: torch.from_numpy(c.T.copy()).T,
        lambda c: [torch.from_numpy(c)],
        lambda c: list(torch.from_numpy(c)),
        lambda c: list(torch.from_numpy(c).requires_grad_()),
    ],
)
def test_extractor_takes_a_cloud_in_any_container(extractor, cloud, convert):
    np.testing.assert_allclose(prepare(extractor, convert(cloud)), prepare(extractor, cloud), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_extractor_takes_short_floats(extractor, cloud, dtype):
    short = torch.from_numpy(cloud).to(dtype)
    expected = prepare(extractor, short.double())
    for value in (short, list(short)):
        assert np.array_equal(prepare(extractor, value), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64])
def test_extractor_takes_integers(extractor, dtype):
    cloud = np.arange(12).reshape(4, 3).astype(dtype)
    assert np.array_equal(prepare(extractor, cloud), prepare(extractor, cloud.astype(float)))


def test_extractor_takes_a_read_only_array(extractor, cloud):
    cloud.setflags(write=False)
    np.testing.assert_allclose(prepare(extractor, cloud)[0], normalized(cloud), atol=1e-6)


@pytest.mark.parametrize(
    "shape", [(3,), (3, 16), (16, 2), (16, 4), (16, 6), (2, 3, 16), (1, 2, 16, 3), (), (0, 4)], ids=str
)
def test_extractor_refuses_another_shape(extractor, shape):
    with pytest.raises(ValueError, match=r"`points\[0\]` must have shape \(num_points, 3\)"):
        extractor(np.zeros(shape))


@pytest.mark.parametrize("cloud", [np.zeros((0, 3)), torch.zeros(0, 3), [np.zeros((0, 3))]], ids=repr)
def test_extractor_refuses_an_empty_cloud(extractor, cloud):
    with pytest.raises(ValueError, match=r"`points\[0\]` must hold at least one point, got shape \(0, 3\)"):
        extractor(cloud)


@pytest.mark.parametrize("batch", [[], (), np.zeros((0, 16, 3)), torch.zeros(0, 16, 3)], ids=repr)
def test_extractor_refuses_an_empty_batch(extractor, batch):
    with pytest.raises(ValueError, match="`points` must hold at least one cloud"):
        extractor(batch)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_extractor_refuses_nan_and_infinity_and_names_the_cloud(extractor, cloud, value):
    broken = cloud.copy()
    broken[3, 1] = value
    with pytest.raises(ValueError, match=r"`points\[1\]` must be finite, got NaN or infinity in 1 of 16 points"):
        extractor([cloud, broken])


def test_extractor_refuses_coordinates_that_float32_cannot_hold(extractor, cloud):
    with pytest.raises(ValueError, match=r"`points\[0\]` must fit float32 without `do_normalize`, got .*e\+300"):
        extractor(cloud * 1e300, do_normalize=False)


@pytest.mark.parametrize(
    "cloud",
    [
        np.zeros((4, 3), dtype=complex),
        torch.zeros(4, 3, dtype=torch.complex64),
        np.zeros((4, 3), dtype=bool),
        np.array([["a", "b", "c"]]),
        np.zeros((4, 3), dtype=object),
        np.zeros((4, 3), dtype="datetime64[s]"),
        [["a", "b", "c"]],
        ["a", "b"],
        [[1.0, 2.0, None]],
    ],
    ids=repr,
)
def test_extractor_refuses_what_is_not_real(extractor, cloud):
    with pytest.raises(TypeError, match=r"`points\[0\]` must hold real numbers, got dtype"):
        extractor(cloud)


@pytest.mark.parametrize("points", [None, "cloud.ply", b"cloud", {"points": 1}, 3.0, iter([])], ids=type)
def test_extractor_refuses_what_is_no_container(extractor, points):
    with pytest.raises(TypeError, match="`points` must be an array, a tensor or a list of them, got"):
        extractor(points)


@pytest.mark.parametrize("row", [list, np.array, torch.tensor])
def test_extractor_refuses_ragged_rows(extractor, row):
    with pytest.raises(ValueError, match=r"`points\[0\]` must have rows of 3 coordinates, got ragged rows"):
        extractor([[row([0.0, 1.0, 2.0]), row([0.0, 1.0])]])


@pytest.mark.parametrize("up_axis", ["x", "y", "z"])
def test_extractor_up_axis_is_a_rotation_to_y(extractor, up_axis):
    turned = prepare(extractor, np.eye(3), do_normalize=False, num_points=3, up_axis=up_axis)[0]
    assert np.linalg.det(turned) == pytest.approx(1.0)
    assert turned["xyz".index(up_axis)].tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("setting", "value"),
    [("num_points", 0), ("num_points", 2.5), ("num_points", True), ("sampling", "grid"), ("up_axis", "w")],
)
def test_extractor_refuses_an_invalid_setting(setting, value):
    with pytest.raises(ValueError, match=f"`{setting}` must .* got {value!r}"):
        JointMAEFeatureExtractor(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"), [("num_points", 0), ("num_points", 2.5), ("num_points", True), ("up_axis", "w")]
)
def test_extractor_refuses_an_invalid_setting_of_a_call(extractor, cloud, setting, value):
    with pytest.raises(ValueError, match=f"`{setting}` must .* got {value!r}"):
        extractor(cloud, **{setting: value})


@pytest.mark.parametrize("auto_class", [JointMAEFeatureExtractor, AutoFeatureExtractor, AutoProcessor])
def test_extractor_is_equal_when_saved_and_loaded(tmp_path, cloud, auto_class):
    extractor = JointMAEFeatureExtractor(9, sampling="random", seed=5, up_axis="z", do_normalize=False)
    extractor.save_pretrained(tmp_path)
    again = auto_class.from_pretrained(tmp_path)
    assert isinstance(again, JointMAEFeatureExtractor)
    assert again.to_dict() == extractor.to_dict()
    assert np.array_equal(prepare(again, cloud), prepare(extractor, cloud))


def test_extractor_settings_are_json(extractor, tmp_path):
    extractor.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "preprocessor_config.json").read_text())["num_points"] == 16


def test_mirror_swaps_y_and_z_of_a_z_up_cloud(tmp_path):
    extractor = JointMAEFeatureExtractor(do_normalize=False, do_resample=False, up_axis="z", do_mirror=True)
    extractor.save_pretrained(tmp_path)
    cloud = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for loaded in (extractor, JointMAEFeatureExtractor.from_pretrained(tmp_path)):
        np.testing.assert_array_equal(loaded(cloud, return_tensors="np")["points"][0], cloud[:, [0, 2, 1]])
    rotated = extractor(cloud, do_mirror=False, return_tensors="np")["points"][0]
    np.testing.assert_array_equal(rotated, cloud[:, [0, 2, 1]] * np.array([1, 1, -1], np.float32))


def test_an_array_of_clouds_of_different_sizes_is_a_list_of_them():
    clouds = np.empty(2, dtype=object)
    clouds[:] = [np.eye(3), np.ones((5, 3))]
    assert JointMAEFeatureExtractor(num_points=8)(clouds, return_tensors="np")["points"].shape == (2, 8, 3)
