"""Search by shape: the nearest shapes and the near-duplicates of a collection, by the cosine of whitened features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np


ROWS_PER_BLOCK = 1024
"""Queries whose scores are in memory at a time: 4 kB for each shape of the index."""

SCORE_DECIMALS = 6
"""Decimals of a score: equal features have a score of exactly 1, whatever float32 makes of it."""


@dataclass(frozen=True)
class FeatureWhitening:
    """Remove the mean and the correlations of features before they are compared.

    The features of an encoder lie in a narrow cone: plain cosines are near 1 and ruled by a few directions that all shapes
    share. The statistics come from a fixed collection of shapes, the reference, so that the score of two shapes does not
    depend on what else an index holds. Source: Ledoit and Wolf, Journal of Multivariate Analysis 88(2), 2004, for the
    shrinkage, which keeps directions without variance in the reference from being blown up.

    Args:
        mean (`np.ndarray` of shape `(feature_size,)`):
            Mean of the reference.
        matrix (`np.ndarray` of shape `(feature_size, feature_size)`):
            What centered features are multiplied by, from the right.

    Raises:
        ValueError: If the shapes do not match, or a number is not finite.
    """

    mean: np.ndarray
    matrix: np.ndarray

    def __post_init__(self) -> None:
        if self.mean.ndim != 1 or self.matrix.shape != 2 * self.mean.shape:
            raise ValueError(
                f"`matrix` must have shape (feature_size, feature_size) and `mean` (feature_size,), got "
                f"{self.matrix.shape} and {self.mean.shape}."
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.matrix).all()):
            raise ValueError("`mean` and `matrix` must be finite, got NaN or infinity.")

    @classmethod
    def fit(cls, features: np.ndarray, shrinkage: float = 0.5) -> FeatureWhitening:
        """Compute the statistics of a reference.

        Args:
            features (`np.ndarray` of shape `(num_shapes, feature_size)`):
                Features of at least two shapes.
            shrinkage (`float`, *optional*, defaults to 0.5):
                Share of the identity in the correlation matrix, within [0, 1]. 1 standardizes without rotating.

        Returns:
            [`FeatureWhitening`]: The statistics; a feature that is constant in the reference keeps its scale.

        Raises:
            ValueError: If there are fewer than two shapes, a feature is not finite, or `shrinkage` is out of range.
        """
        features = _check_features("features", features).astype(np.float64)
        if len(features) < 2:
            raise ValueError(f"`features` must hold at least 2 shapes, got {len(features)}.")
        if not 0.0 <= shrinkage <= 1.0:
            raise ValueError(f"`shrinkage` must be within [0, 1], got {shrinkage}.")
        mean, std = features.mean(axis=0), features.std(axis=0)
        std = np.where(std > 0.0, std, 1.0)
        scaled = (features - mean) / std
        correlation = scaled.T @ scaled / len(features)
        shrunk = (1.0 - shrinkage) * correlation + shrinkage * np.eye(len(mean))
        variances, directions = np.linalg.eigh(shrunk)
        is_kept = variances > 1e-6  # without shrinkage, directions without variance are left out
        return cls(mean, directions / std[:, None] * np.where(is_kept, variances, np.inf) ** -0.5)

    def unit_vectors(self, features: np.ndarray) -> np.ndarray:
        """Whiten features and scale each row to length 1; their products are scores.

        Args:
            features (`np.ndarray` of shape `(num_shapes, feature_size)`):
                Features of some shapes.

        Returns:
            `np.ndarray` of shape `(num_shapes, feature_size)`: float32; the mean itself has no direction and becomes zeros.
        """
        whitened = (features.astype(np.float64) - self.mean) @ self.matrix
        lengths = np.linalg.norm(whitened, axis=1, keepdims=True)
        return (whitened / np.where(lengths > 0.0, lengths, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class ShapeMatch:
    """A shape of an index that resembles a query.

    Args:
        name (`str`):
            Its name in the index, such as a path.
        score (`float`):
            Cosine of whitened features, within [-1, 1].
        row (`int`):
            Its position in the index.
    """

    name: str
    score: float
    row: int


class ShapeIndex:
    """Search a collection of shapes, exactly.

    The score of two shapes is the cosine of their features after [`FeatureWhitening`]. FAISS computes the same scores and is
    faster on large collections; an installation without it returns the same shapes.

    Args:
        features (`np.ndarray` of shape `(num_shapes, feature_size)`):
            One vector for each shape, see [`extract_features`].
        names (`Sequence[str]`):
            One name for each shape.
        whitening ([`FeatureWhitening`], *optional*):
            Statistics of a reference; by default those of `features`, and then scores depend on all of them.
        use_faiss (`bool`, *optional*, defaults to whether `faiss` is installed):
            Whether FAISS or numpy computes the scores.

    Raises:
        ImportError: If `use_faiss` is `True` and FAISS is not installed.
        ValueError: If there is no shape, a feature is not finite, or sizes do not match.

    Example:
        >>> features = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1]])
        >>> index = ShapeIndex(features, ["bolt", "plate", "screw"], FeatureWhitening(np.zeros(2), np.eye(2)))
        >>> [(match.name, round(match.score, 3)) for match in index.nearest(features[0], top_k=2)]
        [('bolt', 1.0), ('screw', 0.995)]
    """

    def __init__(
        self,
        features: np.ndarray,
        names: Sequence[str],
        whitening: FeatureWhitening | None = None,
        use_faiss: bool | None = None,
    ) -> None:
        features = _check_features("features", features)
        if len(names) != len(features):
            raise ValueError(f"`names` must have one entry per shape, got {len(names)} and {len(features)} shapes.")
        self.names = list(names)
        self.whitening = FeatureWhitening.fit(features) if whitening is None else whitening
        if self.whitening.mean.shape != features.shape[1:]:
            raise ValueError(
                f"`whitening` must be as wide as `features`, got {len(self.whitening.mean)} and {features.shape[1]}."
            )
        self.use_faiss = find_spec("faiss") is not None if use_faiss is None else use_faiss
        if self.use_faiss and find_spec("faiss") is None:
            raise ImportError('`use_faiss` needs FAISS: pip install "jointmae_hf[search]"')
        self._vectors = self.whitening.unit_vectors(features)

    def __len__(self) -> int:
        return len(self.names)

    def search(self, queries: np.ndarray, top_k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Find the shapes with the highest scores.

        Args:
            queries (`np.ndarray` of shape `(num_queries, feature_size)`):
                Features, not whitened.
            top_k (`int`, *optional*, defaults to 10):
                Number of shapes for each query; all of them if the index holds fewer.

        Returns:
            `tuple[np.ndarray, np.ndarray]`: Scores as float32 and rows of the index as int64, both `(num_queries, top_k)`,
            best first, and of equal ones that with the smaller row.

        Raises:
            ValueError: If `top_k` is not positive, or `queries` does not have the width of the index.
        """
        if top_k < 1:
            raise ValueError(f"`top_k` must be at least 1, got {top_k}.")
        vectors = self._query_vectors(queries)
        top_k = min(top_k, len(self))
        if self.use_faiss:
            scores, rows = self._faiss_index.search(vectors, top_k)
        else:
            blocks = [_best(block @ self._vectors.T, top_k) for _, block in _blocks(vectors)]
            scores, rows = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        scores = _round(scores)
        order = np.lexsort((rows, -scores), axis=1)
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)

    def nearest(self, query: np.ndarray, top_k: int = 10) -> list[ShapeMatch]:
        """Find the shapes with the highest scores for one query.

        Args:
            query (`np.ndarray` of shape `(feature_size,)`):
                Features of one shape.
            top_k (`int`, *optional*, defaults to 10):
                Number of shapes.

        Returns:
            `list[ShapeMatch]`: Best first.
        """
        scores, rows = self.search(np.asarray(query)[None], top_k)
        return [
            ShapeMatch(self.names[row], float(score), int(row)) for score, row in zip(scores[0], rows[0], strict=True)
        ]

    def duplicates(self, threshold: float = 0.98) -> list[tuple[ShapeMatch, ShapeMatch]]:
        """Find all pairs of shapes that are nearly the same.

        Args:
            threshold (`float`, *optional*, defaults to 0.98):
                Lowest score of a pair, within (0, 1]; see `docs/search.md` for what it means.

        Returns:
            `list[tuple[ShapeMatch, ShapeMatch]]`: Pairs, highest score first, each with the smaller row first.

        Raises:
            ValueError: If `threshold` is not within (0, 1].
        """
        if not 0.0 < threshold <= 1.0:
            raise ValueError(f"`threshold` must be within (0, 1], got {threshold}.")
        found = []
        for start, block in _blocks(self._vectors):
            scores = _round(block @ self._vectors[start:].T)
            first, second = np.nonzero(np.triu(scores >= threshold, k=1))
            found.append((scores[first, second], first + start, second + start))
        scores, first, second = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.lexsort((second, first, -scores))
        return [
            (self._match(first[place], scores[place]), self._match(second[place], scores[place])) for place in order
        ]

    def _match(self, row: np.integer, score: np.floating) -> ShapeMatch:
        """Return a row as a match."""
        return ShapeMatch(self.names[row], float(score), int(row))

    def _query_vectors(self, queries: np.ndarray) -> np.ndarray:
        """Check and whiten queries."""
        queries = _check_features("queries", queries)
        if queries.shape[1] != self._vectors.shape[1]:
            raise ValueError(
                f"`queries` must be as wide as the index, got {queries.shape[1]} and {self._vectors.shape[1]}."
            )
        return self.whitening.unit_vectors(queries)

    @cached_property
    def _faiss_index(self) -> Any:
        """Inner products over all vectors, exact."""
        import faiss

        index = faiss.IndexFlatIP(self._vectors.shape[1])
        index.add(self._vectors)
        return index


def _blocks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the rows of consecutive blocks."""
    for start in range(0, len(vectors), ROWS_PER_BLOCK):
        yield start, vectors[start : start + ROWS_PER_BLOCK]


def _best(scores: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest scores of each row and their columns, both `(num_queries, top_k)`, in no order."""
    first = scores.shape[1] - top_k
    columns = np.argpartition(scores, first, axis=1)[:, first:]
    return np.take_along_axis(scores, columns, axis=1), columns


def _round(scores: np.ndarray) -> np.ndarray:
    """Round scores to `SCORE_DECIMALS`, within [-1, 1]."""
    return np.clip(np.round(scores, SCORE_DECIMALS), -1.0, 1.0)


def _check_features(name: str, features: np.ndarray) -> np.ndarray:
    """Return features as an array `(num_shapes, feature_size)` after checking them."""
    features = np.asarray(features)
    if features.ndim != 2 or features.size == 0:
        raise ValueError(f"`{name}` must have shape (num_shapes, feature_size), got {features.shape}.")
    if not np.isfinite(features).all():
        raise ValueError(f"`{name}` must be finite, got NaN or infinity.")
    return features
