"""A dataset shared by several tests."""

import pytest

from jointmae_hf.data import load_point_clouds


@pytest.fixture(scope="package")
def dataset(tmp_path_factory):
    options = {"num_train": 80, "num_validation": 20, "num_test": 40, "num_points": 64}
    return load_point_clouds("synthetic_shapes", cache_dir=tmp_path_factory.mktemp("cache"), **options)
