import numpy as np
import pytest

from jointmae_hf.evaluation import distance_histograms, mean_average_precision


def naive_average_precision(ranked, label, num_relevant, top_k):
    hits, total = 0, 0.0
    for place, found in enumerate(ranked[:top_k], 1):
        if found == label:
            hits += 1
            total += hits / place
    return total / min(top_k, num_relevant)


def test_mean_average_precision_is_that_of_a_naive_loop():
    rng = np.random.default_rng(0)
    ranked, labels, num_relevant = rng.integers(3, size=(20, 12)), rng.integers(3, size=20), rng.integers(1, 9, 20)
    rows = zip(ranked, labels, num_relevant, strict=True)
    expected = np.mean([naive_average_precision(*row, top_k=5) for row in rows])
    assert mean_average_precision(ranked, labels, num_relevant, top_k=5) == pytest.approx(expected)


def test_mean_average_precision_is_one_when_all_relevant_shapes_come_first():
    assert mean_average_precision(np.array([[1, 1, 0, 2]]), np.array([1]), np.array([2]), top_k=4) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1]], [1], [0]), "`num_relevant` must be at least 1 for every query"),
        (([[1]], [1, 2], [1, 1]), "must have one entry per query"),
        (([[1]], [1], [1], 0), "`top_k` must be at least 1, got 0"),
    ],
)
def test_mean_average_precision_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        mean_average_precision(*(np.array(part) if isinstance(part, list) else part for part in arguments))


@pytest.fixture
def clouds():
    return np.random.default_rng(0).normal(size=(2, 200, 3))


def test_histograms_are_those_of_all_pairs_up_to_sampling(clouds):
    distances = np.linalg.norm(clouds[0][:, None] - clouds[0], axis=2).ravel()
    expected, _ = np.histogram(distances / distances.mean(), bins=64, range=(0.0, 3.0))
    found = distance_histograms(clouds[:1])[0]
    np.testing.assert_allclose(found, expected / len(distances), atol=0.004)
    assert found.sum() == pytest.approx(1.0)


def test_histograms_do_not_depend_on_pose_and_scale(clouds):
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    moved = 7.0 * clouds @ rotation + 100.0
    np.testing.assert_allclose(distance_histograms(moved), distance_histograms(clouds), atol=1e-4)


def test_distances_beyond_the_last_bin_are_counted_in_it():
    cloud = np.zeros((1, 100, 3))
    cloud[0, 0, 0] = 1.0  # one point far from all others: the few distances are 50 times their mean
    assert distance_histograms(cloud)[0, -1] == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize(
    ("clouds", "options", "message"),
    [
        (np.zeros((2, 5)), {}, r"`clouds` must have shape \(num_shapes, num_points, 3\), got \(2, 5\)"),
        (np.zeros((1, 5, 3)), {}, "`clouds` must hold points at different places, got one place in cloud 0"),
        (np.ones((1, 5, 3)), {"num_bins": 0}, "`num_pairs` and `num_bins` must be at least 1, got 65536 and 0"),
    ],
)
def test_histograms_refuse(clouds, options, message):
    with pytest.raises(ValueError, match=message):
        distance_histograms(clouds, **options)
