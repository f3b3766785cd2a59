"""Retrieval of shapes of the same class: mean average precision, and D2 histograms as the baseline to beat."""

import numpy as np


MAX_RELATIVE_DISTANCE = 3.0
"""Upper edge of the last bin of a D2 histogram, in mean distances; larger distances are counted in that bin."""


def mean_average_precision(
    ranked_labels: np.ndarray, query_labels: np.ndarray, num_relevant: np.ndarray, top_k: int = 10
) -> float:
    r"""Compute mAP@k of ranked lists.

    The average precision of a query is \\( \frac{1}{\min(k, R)} \sum_{i \le k} P(i) \, r(i) \\): R shapes of its class in
    the gallery, r(i) whether the i-th shape found is one of them, P(i) their share among the first i.

    Args:
        ranked_labels (`np.ndarray` of shape `(num_queries, num_ranked)`):
            Classes of the shapes found, best first; at least `top_k` unless the gallery is smaller.
        query_labels (`np.ndarray` of shape `(num_queries,)`):
            Class of each query.
        num_relevant (`np.ndarray` of shape `(num_queries,)`):
            Shapes of the query's class in the gallery, at least one.
        top_k (`int`, *optional*, defaults to 10):
            Length of the lists, k.

    Returns:
        `float`: Mean over all queries, within [0, 1].

    Raises:
        ValueError: If `top_k` is not positive, a class is missing in the gallery, or sizes do not match.

    Example:
        >>> mean_average_precision(np.array([[1, 2, 1]]), np.array([1]), np.array([2]), top_k=3)  # (1/1 + 2/3) / 2
        0.8333333333333333
    """
    ranked_labels, query_labels = np.asarray(ranked_labels), np.asarray(query_labels)
    num_relevant = np.asarray(num_relevant)
    if top_k < 1:
        raise ValueError(f"`top_k` must be at least 1, got {top_k}.")
    if ranked_labels.ndim != 2 or len(ranked_labels) != len(query_labels) or len(num_relevant) != len(query_labels):
        raise ValueError(
            f"`ranked_labels`, `query_labels` and `num_relevant` must have one entry per query, got shapes "
            f"{ranked_labels.shape}, {query_labels.shape} and {num_relevant.shape}."
        )
    if not (len(query_labels) and num_relevant.min() >= 1):
        raise ValueError("`num_relevant` must be at least 1 for every query, got a class that the gallery lacks.")
    is_relevant = ranked_labels[:, :top_k] == query_labels[:, None]
    precision = is_relevant.cumsum(axis=1) / np.arange(1, is_relevant.shape[1] + 1)
    average = (precision * is_relevant).sum(axis=1) / np.minimum(top_k, num_relevant)
    return float(average.mean())


def distance_histograms(clouds: np.ndarray, num_pairs: int = 1 << 16, num_bins: int = 64, seed: int = 0) -> np.ndarray:
    """Describe clouds by D2, the histogram of distances between random pairs of points, in units of their mean.

    D2 does not depend on position, orientation or scale. Source: Osada et al., Shape Distributions, ACM Transactions on
    Graphics 21(4), 2002.

    Args:
        clouds (`np.ndarray` of shape `(num_shapes, num_points, 3)`):
            Coordinates, uniform by area on the surface.
        num_pairs (`int`, *optional*, defaults to 65,536):
            Random pairs of each cloud.
        num_bins (`int`, *optional*, defaults to 64):
            Bins between 0 and 3 mean distances.
        seed (`int`, *optional*, defaults to 0):
            Seed of the pairs, the same ones for each cloud.

    Returns:
        `np.ndarray` of shape `(num_shapes, num_bins)`: float32 shares that sum to 1.

    Raises:
        ValueError: If the shape of `clouds` is wrong, a number is not positive, or all points of a cloud coincide.
    """
    clouds = np.asarray(clouds)
    if clouds.ndim != 3 or clouds.shape[2] != 3 or clouds.size == 0:
        raise ValueError(f"`clouds` must have shape (num_shapes, num_points, 3), got {clouds.shape}.")
    if num_pairs < 1 or num_bins < 1:
        raise ValueError(f"`num_pairs` and `num_bins` must be at least 1, got {num_pairs} and {num_bins}.")
    first, second = np.random.default_rng(seed).integers(clouds.shape[1], size=(2, num_pairs))
    histograms = np.empty((len(clouds), num_bins), dtype=np.float32)
    for row, cloud in enumerate(clouds):
        distances = np.linalg.norm(cloud[first] - cloud[second], axis=1)
        mean = distances.mean()
        if not mean > 0.0:
            raise ValueError(f"`clouds` must hold points at different places, got one place in cloud {row}.")
        bins = np.minimum((distances / mean * (num_bins / MAX_RELATIVE_DISTANCE)).astype(np.int64), num_bins - 1)
        histograms[row] = np.bincount(bins, minlength=num_bins) / num_pairs
    return histograms
