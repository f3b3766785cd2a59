import pickle

import pytest
from datasets.exceptions import DatasetGenerationError

from jointmae_hf.data import CorpusError
from jointmae_hf.data.corpus_source import CorpusSource


SOURCE = CorpusSource("Cups", "cups.org", "research only", "\ncups/\n  a.npy\n")


def test_explained_adds_source_licence_and_tree():
    with pytest.raises(CorpusError) as caught, SOURCE.explained():
        raise ValueError("`a.npy` must be a cup.")
    assert str(caught.value) == (
        "`a.npy` must be a cup.\nCups is had from: cups.org\nLicence: research only\nExpected tree:\n  cups/\n    a.npy"
    )


def test_explained_explains_once():
    with pytest.raises(CorpusError) as caught, SOURCE.explained(), SOURCE.explained():
        raise ValueError("wrong")
    assert str(caught.value).count("Licence") == 1


def test_explained_leaves_other_errors_alone():
    with pytest.raises(KeyError), SOURCE.explained():
        raise KeyError("a")


def test_corpus_error_is_a_value_error_that_datasets_passes_on():
    assert issubclass(CorpusError, ValueError)
    assert issubclass(CorpusError, DatasetGenerationError)


def test_corpus_error_survives_the_way_between_processes():
    assert str(pickle.loads(pickle.dumps(CorpusError("wrong")))) == "wrong"
