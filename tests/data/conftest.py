"""Small datasets that several data tests share."""

import numpy as np
import pytest

from jointmae_hf.data import load_point_clouds


SMALL = {"num_train": 24, "num_validation": 2, "num_test": 3, "num_points": 16}


@pytest.fixture(scope="session")
def shapes(tmp_path_factory):
    return load_point_clouds("synthetic_shapes", cache_dir=tmp_path_factory.mktemp("shapes"), **SMALL)


@pytest.fixture
def cloud_folder(tmp_path):
    """Two classes, four clouds of 3, 4, 5 and 6 points."""
    folder = tmp_path / "clouds"
    rng = np.random.default_rng(0)
    for number, name in enumerate(("chair/a.npy", "chair/b.npy", "table/a.npy", "table/c.npy")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.normal(size=(number + 3, 3)).astype(np.float32))
    return folder


@pytest.fixture
def sizes_dataset(cloud_folder, tmp_path):
    return load_point_clouds("folder", data_dir=cloud_folder, split="train", cache_dir=tmp_path / "cache")
