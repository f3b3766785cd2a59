"""A dataset file that is cut, altered or gone stops the run and is named: cache, converted Parquet, sources."""

import json
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from datasets import load_dataset

from jointmae_hf.data import DatasetError, load_point_clouds
from jointmae_hf.data.__main__ import main
from jointmae_hf.data.checksums import verify_checksums
from jointmae_hf.data.conversion import convert_to_parquet, push_dataset


SMALL = {"num_train": 24, "num_validation": 2, "num_test": 3, "num_points": 16}


def flip(path, position):
    """Alter one bit; a position within [0, 1) is a share of the file."""
    data = bytearray(path.read_bytes())
    data[int(position * len(data))] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    load_point_clouds("synthetic_shapes", cache_dir=folder, **SMALL)
    return folder


@pytest.fixture
def load(built, tmp_path):
    """Load a copy of the cache, and the folder that holds its files."""
    cache = tmp_path / "cache"
    shutil.copytree(built, cache)
    return lambda: load_point_clouds("synthetic_shapes", cache_dir=cache, **SMALL), next(
        cache.rglob("seal.json")
    ).parent


def test_every_file_of_the_cache_is_sealed(load):
    call, folder = load
    assert len(call()["train"]) == 24
    seal = json.loads((folder / "seal.json").read_text())
    assert {"dataset_info.json", "synthetic_shapes-train.arrow", "synthetic_shapes-test.arrow"} <= set(seal)
    assert set(seal) == {path.name for path in folder.iterdir()} - {"seal.json"}


DAMAGES = {
    "cut": cut,
    "removed": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "altered at its start": lambda path: flip(path, 0.0),
    "altered among coordinates": lambda path: flip(path, 0.4),
    "altered at its end": lambda path: flip(path, 0.999),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cache_is_named_and_never_read(load, damage):
    call, folder = load
    path = folder / "synthetic_shapes-train.arrow"
    DAMAGES[damage](path)
    with pytest.raises(DatasetError, match="as it was built") as caught:
        call()
    assert str(path) in str(caught.value)
    assert f"Remove {folder}" in str(caught.value)
    shutil.rmtree(folder)
    assert len(call()["train"]) == 24


def test_altered_description_of_the_cache_is_named(load):
    call, folder = load
    text = (folder / "dataset_info.json").read_text()
    (folder / "dataset_info.json").write_text(text.replace('"num_examples": 24', '"num_examples": 20'))
    with pytest.raises(DatasetError, match=r"dataset_info\.json with other contents"):
        call()


def test_description_of_the_cache_that_is_no_json_is_named(load):
    call, folder = load
    flip(folder / "dataset_info.json", 0.0)
    with pytest.raises(DatasetError, match=rf"{folder.parents[2]}.*dataset_info\.json that is no JSON"):
        call()


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": 1}', None])
def test_damaged_seal_is_named(load, text):
    call, folder = load
    (folder / "seal.json").unlink()
    if text is not None:
        (folder / "seal.json").write_text(text)
    with pytest.raises(DatasetError, match=r"seal\.json"):
        call()


@pytest.fixture(scope="module")
def converted(built, tmp_path_factory):
    return convert_to_parquet("synthetic_shapes", tmp_path_factory.mktemp("to") / "shapes", cache_dir=built, **SMALL)


@pytest.fixture
def copy(converted, tmp_path):
    return Path(shutil.copytree(converted, tmp_path / "copy"))


def test_checksums_are_those_of_sha256sum(copy):
    assert len(verify_checksums(copy)) == 3
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=copy, check=True, capture_output=True)


def test_converted_file_with_a_flipped_bit_is_named_though_datasets_reads_it(copy, tmp_path):
    path = next(copy.glob("data/train-*"))
    flip(path, 0.3)
    altered = load_dataset(str(copy), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(altered) == 24  # silently: Parquet has no checksum that is verified
    with pytest.raises(DatasetError, match=f"{path.name} altered"):
        main(["verify", str(copy)])
    with pytest.raises(DatasetError, match=f"{path.name} altered"):
        push_dataset(copy, "owner/name")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: next(folder.glob("data/test-*")).unlink(), r"test-00000-of-00001\.parquet missing"),
        (lambda folder: cut(next(folder.glob("data/test-*"))), r"test-00000-of-00001\.parquet altered"),
        (lambda folder: (folder / "data" / "train-9.parquet").write_text("x"), r"train-9\.parquet not listed"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "must hold SHA256SUMS, got none"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "not listed"),
    ],
)
def test_converted_dataset_that_changed_is_refused(copy, spoil, message):
    spoil(copy)
    with pytest.raises(DatasetError, match=message):
        verify_checksums(copy)


def write_h5(path, points):
    with h5py.File(path, "w") as file:
        file["points"] = points


@pytest.mark.parametrize(("suffix", "write"), [(".npy", np.save), (".h5", write_h5)])
def test_source_file_that_is_cut_is_named_when_the_dataset_is_built(tmp_path, suffix, write):
    folder = tmp_path / "clouds" / "cup"
    folder.mkdir(parents=True)
    for name in "abc":
        write(folder / f"{name}{suffix}", np.random.default_rng(0).normal(size=(500, 3)))
    bad = folder / f"b{suffix}"
    bad.write_bytes(bad.read_bytes()[:-2000])
    with pytest.raises(DatasetError, match=rf"b\{suffix}` must be a complete"):
        load_point_clouds("folder", folder.parent, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.arrow"))
