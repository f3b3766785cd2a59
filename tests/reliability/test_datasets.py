"""A dataset file that is cut, altered or missing: what stops the run in the cache, in converted Parquet, in the sources."""

import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from datasets import load_dataset

from jointmae_hf.cli import main
from jointmae_hf.data import DatasetError, load_point_clouds
from jointmae_hf.data.conversion import convert_to_parquet, push_dataset, verify_checksums


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
    folder = next(cache.rglob("dataset_info.json")).parent
    return lambda: load_point_clouds("synthetic_shapes", cache_dir=cache, **SMALL), folder


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "removed": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "altered at its start": lambda path: flip(path, 0.0),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_cache_that_arrow_cannot_open_is_never_read(load, damage):
    call, folder = load
    DAMAGES[damage](folder / "synthetic_shapes-train.arrow")
    with pytest.raises((OSError, ValueError)):
        call()
    shutil.rmtree(folder)
    assert len(call()["train"]) == 24


def test_cache_with_a_flipped_bit_among_coordinates_is_read(load):
    call, folder = load
    flip(folder / "synthetic_shapes-train.arrow", 0.4)
    assert len(call()["train"]) == 24  # `datasets` has no checksum of it; a converted dataset has one


def test_description_of_the_cache_that_is_no_json_is_named(load):
    call, folder = load
    flip(folder / "dataset_info.json", 0.0)
    with pytest.raises(DatasetError, match=rf"dataset_info\.json, got one in {folder.parents[2]} that is no JSON"):
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


def test_converted_file_with_a_flipped_bit_is_named_though_datasets_reads_it(copy, tmp_path, capsys):
    path = next(copy.glob("data/train-*"))
    flip(path, 0.3)
    altered = load_dataset(str(copy), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(altered) == 24  # silently: Parquet has no checksum that is verified
    with pytest.raises(SystemExit):
        main(["verify", str(copy)])
    assert f"{path.name} (checksum mismatch)" in capsys.readouterr().err
    with pytest.raises(DatasetError, match=rf"{path.name} \(checksum mismatch\)"):
        push_dataset(copy, "owner/name")


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda folder: next(folder.glob("data/test-*")).unlink(), r"test-00000-of-00001\.parquet \(missing\)"),
        (lambda folder: cut(next(folder.glob("data/test-*"))), r"test-00000-of-00001\.parquet \(checksum mismatch\)"),
        (lambda folder: (folder / "data" / "train-9.parquet").write_text("x"), r"train-9\.parquet \(not listed\)"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), "must hold SHA256SUMS, got none"),
        (lambda folder: (folder / "SHA256SUMS").write_text(""), "not listed"),
    ],
)
def test_converted_dataset_that_changed_is_refused(copy, corrupt, message):
    corrupt(copy)
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
