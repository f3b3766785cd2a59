import pickle

import pytest
from datasets.exceptions import DatasetGenerationError

from jointmae_hf.data import DatasetError
from jointmae_hf.data.builders.dataset_source import DatasetSource


SOURCE = DatasetSource("Cups", "cups.org", "research only", "\ncups/\n  a.npy\n")


def test_explained_adds_source_licence_and_tree():
    with pytest.raises(DatasetError) as caught, SOURCE.with_download_hint():
        raise ValueError("`a.npy` must be a cup.")
    assert str(caught.value) == (
        "`a.npy` must be a cup.\nCups is had from: cups.org\nLicence: research only\nExpected tree:\n  cups/\n    a.npy"
    )


def test_explained_explains_once():
    with pytest.raises(DatasetError) as caught, SOURCE.with_download_hint(), SOURCE.with_download_hint():
        raise ValueError("wrong")
    assert str(caught.value).count("Licence") == 1


def test_explained_leaves_other_errors_alone():
    with pytest.raises(KeyError), SOURCE.with_download_hint():
        raise KeyError("a")


def test_dataset_error_is_a_value_error_that_datasets_passes_on():
    assert issubclass(DatasetError, ValueError)
    assert issubclass(DatasetError, DatasetGenerationError)


def test_dataset_error_survives_the_way_between_processes():
    assert str(pickle.loads(pickle.dumps(DatasetError("wrong")))) == "wrong"
