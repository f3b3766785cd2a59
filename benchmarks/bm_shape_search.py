"""Rate of queries of a search by shape: by numpy and by FAISS, one at a time and together; and of their embedding.

python -m benchmarks.bm_shape_search
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch

from jointmae_hf import JointMAEConfig, JointMAEModel
from jointmae_hf.evaluation import FeatureWhitening, ShapeIndex

from .clouds import make_clouds
from .measurement import Measurement, measure_in_turns, run_benchmark


TOP_K = 10


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark."""

    num_shapes: int = 10_000
    feature_size: int = 192
    num_queries: int = 64
    num_points: int = 1024
    num_rounds: int = 7


def search(index: ShapeIndex, queries: np.ndarray, at_a_time: int) -> int:
    """Search for all queries; return their number."""
    for start in range(0, len(queries), at_a_time):
        index.search(queries[start : start + at_a_time], TOP_K)
    return len(queries)


def embed(model: JointMAEModel, points: torch.Tensor) -> int:
    """Compute the features of one cloud."""
    with torch.inference_mode():
        model(points)
    return 1


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, numpy with one query at a time first."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(sizes.num_shapes, sizes.feature_size))
    queries = rng.normal(size=(sizes.num_queries, sizes.feature_size))
    whitening = FeatureWhitening.fit(features[:256])
    candidates: dict[str, Callable[[], int]] = {}
    for name, use_faiss in {"numpy": False, "FAISS": True}.items():
        if use_faiss and find_spec("faiss") is None:
            continue
        index = ShapeIndex(features, [""] * len(features), whitening, use_faiss)
        for at_a_time in (1, sizes.num_queries):
            candidates[f"{name}, {at_a_time} at a time"] = lambda index=index, n=at_a_time: search(index, queries, n)
    model = JointMAEModel(JointMAEConfig.from_preset("jointmae-small"), add_2d_branch=False).eval()
    points = make_clouds(1, sizes.num_points)
    candidates["embedding of a query, jointmae-small"] = lambda: embed(model, points)
    return measure_in_turns(candidates, "queries/s", sizes.num_rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("shape_search", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
