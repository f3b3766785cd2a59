import numpy as np
import pytest

from jointmae_hf.evaluation import FeatureWhitening, ShapeIndex, shape_search


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def features(rng):
    """Correlated features far from the origin, as those of an encoder."""
    return rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8)) + 20.0


def build(features, **options):
    return ShapeIndex(features, [f"shape {row}" for row in range(len(features))], **options)


def plain(size):
    return FeatureWhitening(np.zeros(size), np.eye(size))


def test_whitening_without_shrinkage_leaves_uncorrelated_features_of_unit_variance(features):
    whitening = FeatureWhitening.fit(features, shrinkage=0.0)
    whitened = (features - whitening.mean) @ whitening.matrix
    np.testing.assert_allclose(np.cov(whitened.T, bias=True), np.eye(8), atol=1e-9)


def test_full_shrinkage_standardizes(features):
    whitening = FeatureWhitening.fit(features, shrinkage=1.0)
    whitened = (features - whitening.mean) @ whitening.matrix
    standardized = (features - features.mean(axis=0)) / features.std(axis=0)
    np.testing.assert_allclose(whitened @ whitened.T, standardized @ standardized.T, atol=1e-9)


def test_whitening_leaves_out_directions_without_variance_when_nothing_is_shrunk(rng):
    narrow = np.concatenate([rng.normal(size=(20, 3)), np.ones((20, 1))], axis=1)
    vectors = FeatureWhitening.fit(narrow, shrinkage=0.0).unit_vectors(narrow)
    assert np.isfinite(vectors).all()


def test_mean_of_the_reference_has_no_direction(features):
    whitening = FeatureWhitening.fit(features)
    assert not whitening.unit_vectors(whitening.mean[None]).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": np.ones((1, 3))}, "`features` must hold at least 2 shapes, got 1"),
        ({"features": np.full((2, 3), np.nan)}, "`features` must be finite"),
        ({"features": np.eye(3), "shrinkage": 1.5}, r"`shrinkage` must be within \[0, 1\], got 1.5"),
    ],
)
def test_whitening_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeatureWhitening.fit(**arguments)


@pytest.mark.parametrize("use_faiss", [False, True])
def test_search_finds_what_a_naive_loop_finds(features, use_faiss, monkeypatch):
    if use_faiss:
        pytest.importorskip("faiss")
    monkeypatch.setattr(shape_search, "ROWS_PER_BLOCK", 7)
    whitening = FeatureWhitening.fit(features)
    vectors = whitening.unit_vectors(features)
    expected = np.argsort(-(vectors[:20] @ vectors.T), axis=1, kind="stable")[:, :5]
    scores, rows = build(features, whitening=whitening, use_faiss=use_faiss).search(features[:20], top_k=5)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(vectors[:20] @ vectors.T, expected, axis=1), atol=1e-6)


@pytest.mark.parametrize("use_faiss", [False, True])
def test_equal_scores_are_ordered_by_row(use_faiss):
    if use_faiss:
        pytest.importorskip("faiss")
    index = build(np.repeat([[1.0, 2.0, 3.0], [3.0, 1.0, 1.0]], 4, axis=0), whitening=plain(3), use_faiss=use_faiss)
    scores, rows = index.search(np.array([[1.0, 2.0, 3.0]]), top_k=4)
    assert rows.tolist() == [[0, 1, 2, 3]]
    assert scores.tolist() == [[1.0, 1.0, 1.0, 1.0]]


def test_scores_do_not_depend_on_other_shapes_when_the_reference_is_fixed(features):
    whitening = FeatureWhitening.fit(features)
    few, many = (build(part, whitening=whitening) for part in (features[:5], features))
    assert few.nearest(features[0])[0] == many.nearest(features[0])[0]
    assert few.search(features[:1])[0].max() == 1.0
    scores = dict(zip(*(part[0].tolist() for part in many.search(features[:1], 300)[::-1]), strict=True))
    assert all(scores[match.row] == match.score for match in few.nearest(features[0]))


def test_search_returns_all_shapes_when_there_are_fewer_than_asked_for(features):
    scores, rows = build(features[:3], use_faiss=False).search(features[:2], top_k=10)
    assert scores.shape == rows.shape == (2, 3)


def test_duplicates_are_the_pairs_that_a_naive_loop_finds(features, monkeypatch):
    monkeypatch.setattr(shape_search, "ROWS_PER_BLOCK", 7)
    vectors = FeatureWhitening.fit(features).unit_vectors(features)
    scores = vectors @ vectors.T
    expected = {(i, j) for i in range(300) for j in range(i + 1, 300) if scores[i, j] >= 0.8}
    pairs = build(features).duplicates(0.8)
    assert {(first.row, second.row) for first, second in pairs} == expected
    assert len(pairs) == len(expected) > 10
    assert [first.score for first, _ in pairs] == sorted((first.score for first, _ in pairs), reverse=True)


def test_equal_features_are_duplicates_at_a_threshold_of_one(rng):
    features = rng.normal(size=(50, 192)).astype(np.float32)
    pairs = build(np.concatenate([features, features])).duplicates(1.0)
    assert [(first.row, second.row) for first, second in pairs] == [(row, row + 50) for row in range(50)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index: index.search(np.ones((1, 8)), top_k=0), "`top_k` must be at least 1, got 0"),
        (lambda index: index.search(np.ones((1, 5))), "`queries` must be as wide as the index, got 5 and 8"),
        (lambda index: index.search(np.full((1, 8), np.inf)), "`queries` must be finite"),
        (lambda index: index.duplicates(98.0), r"`threshold` must be within \(0, 1\], got 98.0"),
        (lambda index: ShapeIndex(np.eye(2), ["one"]), "`names` must have one entry per shape, got 1 and 2"),
        (lambda index: build(np.eye(2), whitening=plain(3)), "`whitening` must be as wide as `features`, got 3 and 2"),
    ],
)
def test_index_refuses(features, call, message):
    with pytest.raises(ValueError, match=message):
        call(build(features))


def test_faiss_names_its_extra_when_it_is_missing(features, monkeypatch):
    monkeypatch.setattr(shape_search, "find_spec", lambda name: None)
    assert not build(features).use_faiss
    with pytest.raises(ImportError, match=r'pip install "jointmae_hf\[search\]"'):
        build(features, use_faiss=True)
