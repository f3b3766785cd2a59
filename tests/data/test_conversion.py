import os
import stat
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from huggingface_hub import CommitOperationAdd, CommitOperationDelete

from jointmae_hf.data import PointCloudDataset, conversion, load_point_clouds
from jointmae_hf.data.conversion import convert_to_parquet, push_dataset


SMALL = {"num_train": 24, "num_validation": 2, "num_test": 3, "num_points": 16}


@pytest.fixture(scope="session")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    return convert_to_parquet("synthetic_shapes", folder / "shapes", cache_dir=folder / "cache", **SMALL)


def test_folder_holds_a_card_and_one_file_for_each_split(converted):
    names = [f"{split}-00000-of-00001.parquet" for split in ("test", "train", "validation")]
    assert sorted(path.name for path in (converted / "data").iterdir()) == names
    assert sorted(path.name for path in converted.iterdir()) == ["README.md", "SHA256SUMS", "data"]
    assert sorted(path.name for path in converted.parent.iterdir()) == ["cache", "shapes"]


def test_load_dataset_gives_back_every_row_and_feature(converted, shapes, tmp_path):
    loaded = load_dataset(str(converted), cache_dir=str(tmp_path))
    assert list(loaded) == list(shapes)
    for split, dataset in shapes.items():
        assert loaded[split].features == dataset.features
        assert loaded[split].to_list() == dataset.to_list()


def test_streaming_gives_back_every_row_and_feature(converted, shapes):
    stream = load_dataset(str(converted), split="train", streaming=True)
    assert stream.features == shapes["train"].features
    pairs = zip(stream.with_format("numpy"), shapes["train"].with_format("numpy"), strict=True)
    for row, expected in pairs:
        for name, values in expected.items():
            np.testing.assert_array_equal(row[name], values)


def test_point_cloud_dataset_reads_what_was_converted(converted, shapes, tmp_path):
    loaded = PointCloudDataset(load_dataset(str(converted), split="test", cache_dir=str(tmp_path)))
    samples, expected = (
        clouds.__getitems__([0, 1, 2]).stack() for clouds in (loaded, PointCloudDataset(shapes["test"]))
    )
    for name, values in expected.items():
        np.testing.assert_array_equal(samples[name], values)


def test_clouds_of_different_sizes_survive(cloud_folder, sizes_dataset, tmp_path):
    output = convert_to_parquet("folder", tmp_path / "out", data_dir=cloud_folder, cache_dir=tmp_path / "cache")
    loaded = load_dataset(str(output), split="train", cache_dir=str(tmp_path / "hub"))
    assert loaded.features == sizes_dataset.features
    assert loaded.to_list() == sizes_dataset.to_list()


def test_files_keep_below_the_largest_size(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_ROW_GROUP_BYTES", 1000)
    output = convert_to_parquet(
        "synthetic_shapes", tmp_path / "out", cache_dir=tmp_path / "cache", max_shard_bytes=3000, **SMALL
    )
    paths = sorted((output / "data").glob("train-*"))
    assert [path.name for path in paths] == [f"train-{n:05d}-of-{len(paths):05d}.parquet" for n in range(len(paths))]
    assert len(paths) > 1
    assert max(path.stat().st_size for path in paths) <= 3000 + 9000  # the tail of a file, which lists its row groups
    loaded = load_dataset(str(output), split="train", cache_dir=str(tmp_path / "hub"))
    assert loaded.to_list() == shapes["train"].to_list()


def test_coordinates_are_stored_without_a_dictionary(converted):
    column = pq.ParquetFile(converted / "data" / "train-00000-of-00001.parquet").metadata.row_group(0).column(0)
    assert column.path_in_schema.startswith("points.")
    assert "BYTE_STREAM_SPLIT" in column.encodings
    assert column.compression == "ZSTD"


def test_others_may_read_the_folder(converted):
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(converted.stat().st_mode) == 0o777 & ~mask


@pytest.mark.parametrize("content", ["folder", "file"])
def test_output_that_exists_is_refused_before_any_work(tmp_path, content, monkeypatch):
    monkeypatch.setattr(conversion, "load_point_clouds", None)
    output = tmp_path / "out"
    if content == "folder":
        (output / "mine").mkdir(parents=True)
    else:
        output.write_text("mine")
    with pytest.raises(ValueError, match=r"`output_dir` must not exist or be an empty folder, got .*out"):
        convert_to_parquet("synthetic_shapes", output)


def test_output_may_be_an_empty_folder(tmp_path):
    (tmp_path / "out").mkdir()
    convert_to_parquet("synthetic_shapes", tmp_path / "out", cache_dir=tmp_path / "cache", **SMALL)
    assert (tmp_path / "out" / "README.md").is_file()


def test_output_in_the_dataset_is_refused(cloud_folder):
    with pytest.raises(ValueError, match="`output_dir` must lie outside `data_dir`, got"):
        convert_to_parquet("folder", cloud_folder / "out", data_dir=cloud_folder)


def test_size_of_zero_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`max_shard_bytes` must be positive, got 0"):
        convert_to_parquet("synthetic_shapes", tmp_path / "out", max_shard_bytes=0)


def test_nothing_is_left_when_writing_fails(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(conversion, "write_dataset_card", fail)
    with pytest.raises(OSError, match="disk full"):
        convert_to_parquet("synthetic_shapes", tmp_path / "out", cache_dir=tmp_path / "cache", **SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


class FakeHub:
    """The calls of `HfApi` that are made, without a network."""

    def __init__(self, is_private):
        self.calls, self.is_private = [], is_private

    def create_repo(self, repo_id, **options):
        self.calls.append(("create_repo", options))
        return SimpleNamespace(repo_id=f"me/{repo_id}")

    def repo_info(self, repo_id, repo_type):
        return SimpleNamespace(private=self.is_private)

    def list_repo_files(self, repo_id, repo_type):
        return [".gitattributes", "notes.parquet", "data/train-00001-of-00002.parquet"]

    def create_commit(self, repo_id, operations, **options):
        self.calls.append(("create_commit", options | {"operations": operations}))
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}")


@pytest.fixture
def hub(monkeypatch):
    fake = FakeHub(is_private=True)
    monkeypatch.setattr(conversion, "HfApi", lambda token: fake)
    return fake


def test_push_creates_a_private_dataset_of_card_and_files(converted, hub):
    assert push_dataset(converted, "shapes") == "https://hub/me/shapes"
    (_, created), (_, committed) = hub.calls
    assert created == {"repo_type": "dataset", "private": True, "exist_ok": True}
    assert committed["repo_type"] == "dataset"
    added = {change.path_in_repo for change in committed["operations"] if isinstance(change, CommitOperationAdd)}
    assert added == {"README.md", "SHA256SUMS", *(f"data/{path.name}" for path in converted.glob("data/*.parquet"))}


def test_push_removes_files_of_an_older_upload_that_would_be_read_too(converted, hub):
    push_dataset(converted, "shapes")
    changes = hub.calls[-1][1]["operations"]
    removed = [change.path_in_repo for change in changes if isinstance(change, CommitOperationDelete)]
    assert removed == ["data/train-00001-of-00002.parquet"]


def test_push_refuses_a_public_dataset_unless_asked_for(converted, hub):
    hub.is_private = False
    with pytest.raises(ValueError, match="`repo_id` must be private, got me/shapes, which is public"):
        push_dataset(converted, "shapes")
    assert push_dataset(converted, "shapes", private=False) == "https://hub/me/shapes"


def test_push_refuses_a_folder_without_a_dataset(tmp_path, hub):
    with pytest.raises(ValueError, match=r"`folder` must hold README\.md and data/\*\.parquet, got"):
        push_dataset(tmp_path, "shapes")
    assert hub.calls == []


def test_conversion_equals_loading_when_options_are_given(tmp_path):
    options = {"num_train": 3, "num_validation": 0, "num_test": 0, "num_points": 5, "seed": 4}
    output = convert_to_parquet("synthetic_shapes", tmp_path / "out", cache_dir=tmp_path / "cache", **options)
    expected = load_point_clouds("synthetic_shapes", split="train", cache_dir=tmp_path / "cache", **options)
    assert load_dataset(str(output), split="train", cache_dir=str(tmp_path / "hub")).to_list() == expected.to_list()
