"""The measurement of search by shape as users start it, on a tiny checkpoint and a few labeled files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jointmae_hf import JointMAEModel
from jointmae_hf.evaluation import read_results


SCRIPT = Path(__file__).parents[2] / "examples" / "run_shape_search.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory, build_tiny_config):
    root, rng = tmp_path_factory.mktemp("search"), np.random.default_rng(0)
    JointMAEModel(build_tiny_config()).save_pretrained(root / "tiny")
    for split, count in {"train": 4, "test": 2}.items():
        for name, stretch in {"ball": 1.0, "rod": 9.0}.items():
            (root / "parts" / split / name).mkdir(parents=True)
            for number in range(count):
                cloud = rng.normal(size=(100, 3)) * [1.0, stretch, 1.0]
                np.save(root / "parts" / split / name / f"{number}.npy", cloud.astype(np.float32))
    flags = ["--model", "tiny", "--dataset", "folder", "--data_dir", "parts", "--output_dir", "out"]
    command = [sys.executable, str(SCRIPT), *flags, "--num_random", "1", "--num_rotations", "2"]
    subprocess.run(command, check=True, timeout=300, cwd=root)
    return read_results(root / "out" / "results.json")[0]


def test_every_comparison_is_measured_with_queries_as_they_are_and_rotated(results):
    protocols = [result.protocol for result in results]
    rows = {protocol for protocol in protocols if not protocol.endswith(", rotated queries")}
    assert {
        "sum, whitened",
        "sum, whitened, 2 rotations",
        "mean, cosine",
        "concat, cosine",
        "D2 histograms, L1",
    } <= rows
    assert all(f"{row}, rotated queries" in protocols for row in rows)


def test_histograms_tell_balls_from_rods(results):
    value = {result.protocol: result.value for result in results if result.protocol.startswith("D2")}
    assert value["D2 histograms, L1"] == 100.0
