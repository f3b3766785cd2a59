"""What must not change the result: order, place, size, company, repeats, number type and memory layout of a cloud."""

import copy
import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from jointmae_hf import (
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEModel,
)


# Fixtures are shared by the examples of a test on purpose: models are read, not changed. In CI the examples are the same
# in every run; elsewhere new ones are tried, and a failure prints how to repeat it.
settings.register_profile(
    "invariances",
    deadline=None,
    max_examples=25,
    database=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("invariances")

NUM_POINTS, NUM_CENTERS = 64, 32
TOLERANCE = 1e-5
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def clouds(draw, least=1, most=200):
    """Points in general position, stretched along the axes."""
    size = draw(st.integers(least, most))
    stretch = draw(st.tuples(*[st.floats(0.05, 1.0)] * 3))
    return np.random.default_rng(draw(SEEDS)).normal(size=(size, 3)) * stretch


def assume_clear_picks(points, num_picks=NUM_CENTERS, margin=1e-5):
    """Pass over clouds in which rounding decides which point is the farthest or which neighbor the last."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    from_center = np.sort(np.linalg.norm(points - points.mean(axis=0), axis=1))
    gaps = [from_center[-1] - from_center[-2], np.diff(np.sort(distances, axis=1)[:, :8], axis=1).min()]
    picked = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmax())]
    for _ in range(num_picks - 1):
        nearest = distances[picked].min(axis=0)
        best, second = np.sort(nearest)[[-1, -2]]
        gaps.append(best - second)
        picked.append(int(nearest.argmax()))
    assume(min(gaps) > margin)


@pytest.fixture
def extractor():
    return JointMAEFeatureExtractor(num_points=NUM_POINTS)


@pytest.fixture
def encoder(build_tiny_config, settle):
    return settle(JointMAEModel(build_tiny_config()))


def encode(encoder, points):
    """Features of each cloud, and its tokens as a set: centers and features in an order of their own."""
    with torch.no_grad():
        outputs = encoder(torch.as_tensor(np.asarray(points)))
    tokens = torch.cat([outputs.centers, outputs.last_hidden_state], dim=-1).numpy()
    return outputs.pooler_output.numpy(), np.stack([as_set(cloud) for cloud in tokens])


def as_set(rows):
    """Rows in an order that depends on their first three columns alone."""
    return rows[np.lexsort(np.round(rows[:, :3], 4).T)]


def assert_same_features(encoder, points, others, tolerance=TOLERANCE):
    for result, expected in zip(encode(encoder, points), encode(encoder, others), strict=True):
        np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance)


def prepare(extractor, cloud, **settings):
    return extractor(cloud, return_tensors="np", **settings)["points"]


@given(cloud=clouds(least=65), seed=SEEDS)
def test_extractor_picks_the_same_points_in_any_order(extractor, cloud, seed):
    assume_clear_picks(cloud / np.abs(cloud).max(), NUM_POINTS)
    shuffled = np.random.default_rng(seed).permutation(cloud)
    np.testing.assert_allclose(prepare(extractor, shuffled), prepare(extractor, cloud), rtol=0, atol=1e-6)


@given(cloud=clouds(least=NUM_POINTS), seed=SEEDS)
def test_tokens_are_the_same_set_in_any_order_of_the_points(extractor, encoder, cloud, seed):
    points = prepare(extractor, cloud)[0]
    assume_clear_picks(points)
    assert_same_features(encoder, [np.random.default_rng(seed).permutation(points)], [points])


@given(cloud=clouds(), shift=st.tuples(*[st.floats(-1e6, 1e6)] * 3), scale=st.floats(-30, 30))
def test_extractor_does_not_see_place_and_size(extractor, cloud, shift, scale):
    if len(cloud) > NUM_POINTS:
        assume_clear_picks(cloud / np.abs(cloud).max(), NUM_POINTS)
    moved = (cloud + np.array(shift)) * 10.0**scale
    # Far away, float64 rounds a small cloud, and of one point it leaves nothing but rounding.
    rounding = np.finfo(float).eps * (1 + np.abs(shift).max()) / max(np.ptp(cloud, axis=0).max(), 1e-300)
    assume(len(cloud) == 1 or rounding < 1e-8)
    np.testing.assert_allclose(prepare(extractor, moved), prepare(extractor, cloud), rtol=0, atol=1e-6)


@given(cloud=clouds(least=NUM_POINTS), shift=st.tuples(*[st.floats(-1e3, 1e3)] * 3), scale=st.floats(-30, 30))
def test_features_do_not_see_place_and_size(extractor, encoder, cloud, shift, scale):
    points = prepare(extractor, cloud)
    assume_clear_picks(points[0])
    moved = (cloud + np.array(shift)) * 10.0**scale
    assert_same_features(encoder, prepare(extractor, moved), points)


@given(batch=st.lists(clouds(), min_size=2, max_size=5))
def test_batch_of_different_lengths_equals_each_cloud_alone(extractor, encoder, batch):
    together = prepare(extractor, batch)
    alone = [prepare(extractor, cloud)[0] for cloud in batch]
    np.testing.assert_array_equal(together, alone)
    expected = np.concatenate([encode(encoder, points[None])[0] for points in alone])
    np.testing.assert_allclose(encode(encoder, together)[0], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("head", [JointMAEForPointCloudClassification, JointMAEForPointCloudSegmentation])
@given(batch=st.lists(clouds(), min_size=2, max_size=4))
def test_head_gives_a_batch_what_it_gives_each_cloud_alone(build_tiny_config, settle, extractor, head, batch):
    model = settle(head(build_tiny_config()))
    points = torch.from_numpy(prepare(extractor, batch))
    with torch.no_grad():
        expected = torch.cat([model(cloud[None]).logits for cloud in points])
        torch.testing.assert_close(model(points).logits, expected, rtol=0, atol=TOLERANCE)


@given(cloud=clouds(least=NUM_POINTS, most=NUM_POINTS), num_repeats=st.integers(1, 100))
def test_repeats_at_the_end_change_no_token(extractor, encoder, cloud, num_repeats):
    cloud = cloud.astype(np.float32)
    repeats = cloud[np.arange(num_repeats) % len(cloud)]
    points = prepare(extractor, np.concatenate([cloud, repeats]), do_normalize=False)
    assume_clear_picks(cloud)
    np.testing.assert_array_equal(as_set(points[0]), as_set(cloud))
    assert_same_features(encoder, points, [cloud])


@given(cloud=clouds(least=NUM_POINTS), times=st.integers(2, 4))
def test_whole_cloud_given_several_times_is_the_cloud(extractor, cloud, times):
    assume_clear_picks(cloud / np.abs(cloud).max(), NUM_POINTS - 1)
    several = prepare(extractor, np.tile(cloud, (times, 1)))
    np.testing.assert_allclose(as_set(several[0]), as_set(prepare(extractor, cloud)[0]), rtol=0, atol=1e-6)


@given(cloud=clouds())
def test_extractor_does_not_see_number_type_and_memory_layout(extractor, cloud):
    cloud = cloud.astype(np.float32)
    expected = prepare(extractor, cloud)
    layouts = [
        cloud.astype(np.float64),
        cloud.astype(">f4"),
        np.asfortranarray(cloud),
        np.repeat(cloud, 3, axis=0)[::3],
        np.hstack([cloud, cloud])[:, 3:],
        torch.from_numpy(cloud.T.copy()).T,
        cloud.tolist(),
    ]
    for layout in layouts:
        np.testing.assert_array_equal(prepare(extractor, layout), expected)


@given(cloud=clouds(least=NUM_POINTS))
def test_features_do_not_see_number_type_and_memory_layout(extractor, encoder, cloud):
    points = torch.from_numpy(prepare(extractor, cloud))
    assume_clear_picks(points[0].numpy())
    scattered = points.transpose(1, 2).contiguous().transpose(1, 2)
    assert not scattered.is_contiguous()
    assert_same_features(encoder, scattered, points, tolerance=0)
    in_float64 = encode(copy.deepcopy(encoder).double(), points.double())
    for result, expected in zip(encode(encoder, points), in_float64, strict=True):
        np.testing.assert_allclose(result, expected, rtol=0, atol=5e-5)  # rounding of float32, mostly below 7e-6
