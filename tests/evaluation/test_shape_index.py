import os
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jointmae_hf import JointMAEFeatureExtractor
from jointmae_hf.evaluation import EmbeddingSettings, FileReader, index_folder, shape_index


class ExtentEmbedder:
    """Stand-in of `FileEmbedder` whose features are the standard deviations of the coordinates; counts its clouds."""

    def __init__(self, weights="a"):
        self.settings = EmbeddingSettings(batch_size=2)
        self.reader = FileReader(JointMAEFeatureExtractor(num_points=32), self.settings)
        self.weights, self.num_clouds = weights, 0

    def embed_clouds(self, clouds):
        self.num_clouds += len(clouds)
        return np.stack([cloud.std(axis=0) for cloud in clouds]).astype(np.float32)

    def describe(self):
        return {"weights_sha256": self.weights, "num_points": 32, "model": "somewhere"}


def write_shape(path, stretch=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.random.default_rng(0).normal(size=(40, 3)) * [stretch, 1.0, 1.0])


@pytest.fixture
def folder(tmp_path):
    for number in range(5):
        write_shape(tmp_path / "parts" / "deep" / f"{number}.npy", 1.0 + number)
    return tmp_path / "parts"


@pytest.fixture(autouse=True)
def small_reference(monkeypatch):
    clouds = np.random.default_rng(1).normal(size=(8, 32, 3)).astype(np.float32)
    monkeypatch.setattr(shape_index, "reference_clouds", lambda num_points: clouds)
    return clouds


@pytest.fixture
def path(tmp_path):
    return tmp_path / "index.parquet"


def counts(found):
    return found.num_new, found.num_changed, found.num_removed, len(found.index)


def test_index_finds_the_file_itself_first(folder, path):
    embedder = ExtentEmbedder()
    found = index_folder(folder, embedder, path)
    cloud, _ = embedder.reader.read(folder / "deep" / "3.npy", "3")
    assert counts(found) == (5, 0, 0, 5)
    assert found.index.nearest(embedder.embed_clouds([cloud])[0])[0].name == "deep/3.npy"


def test_second_run_embeds_nothing_and_leaves_the_file(folder, path):
    first = index_folder(folder, ExtentEmbedder(), path)
    before, embedder = path.read_bytes(), ExtentEmbedder()
    second = index_folder(folder, embedder, path)
    assert (counts(second), embedder.num_clouds, path.read_bytes()) == ((0, 0, 0, 5), 0, before)
    np.testing.assert_array_equal(second.index.search(np.eye(3))[0], first.index.search(np.eye(3))[0])


def test_new_changed_and_removed_files_are_noticed(folder, path):
    index_folder(folder, ExtentEmbedder(), path)
    write_shape(folder / "new.npy", 9.0)
    (folder / "deep" / "0.npy").unlink()
    write_shape(folder / "deep" / "1.npy", 7.0)
    os.utime(folder / "deep" / "1.npy", ns=(0, 12345))
    embedder = ExtentEmbedder()
    refreshed = index_folder(folder, embedder, path)
    assert (counts(refreshed), embedder.num_clouds) == ((1, 1, 1, 5), 2)
    fresh = index_folder(folder, ExtentEmbedder())
    assert refreshed.index.names == fresh.index.names
    np.testing.assert_array_equal(refreshed.index.search(np.eye(3))[0], fresh.index.search(np.eye(3))[0])
    assert counts(index_folder(folder, ExtentEmbedder(), path)) == (0, 0, 0, 5)


def test_copies_of_a_mesh_have_equal_features_whatever_their_names(folder):
    mesh = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 2 0\n0 0 3\n3 0 1 2\n3 0 1 3\n3 0 2 3\n3 1 2 3\n"
    for name in ("a.off", "deep/b.off"):
        (folder / name).write_text(mesh)
    pairs = index_folder(folder, ExtentEmbedder()).index.duplicates(1.0)
    assert [(first.name, second.name) for first, second in pairs] == [("a.off", "deep/b.off")]


def test_index_is_a_parquet_file_of_features_and_states(folder, path):
    index_folder(folder, ExtentEmbedder(), path)
    table = pq.read_table(path)
    assert table.column_names == ["path", "features", "num_points", "num_bytes", "modified"]
    assert table["path"].to_pylist() == [f"deep/{number}.npy" for number in range(5)]
    assert table["num_points"].to_pylist() == [40] * 5
    assert table["modified"][2].as_py() == (folder / "deep" / "2.npy").stat().st_mtime_ns


def test_bad_file_stops_the_index_and_keeps_what_was_done(folder, path):
    (folder / "zzz.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"zzz.npy.*Pass `skip_errors` to go on"):
        index_folder(folder, ExtentEmbedder(), path)
    embedder = ExtentEmbedder()
    found = index_folder(folder, embedder, path, skip_errors=True)
    assert (counts(found)[3], embedder.num_clouds) == (5, 1)  # the last good file shared a batch with the bad one
    assert [name for name, _ in found.skipped] == ["zzz.npy"]


def test_changed_file_that_cannot_be_read_leaves_the_index(folder, path):
    index_folder(folder, ExtentEmbedder(), path)
    (folder / "deep" / "1.npy").write_bytes(b"nothing")
    assert counts(index_folder(folder, ExtentEmbedder(), path, skip_errors=True)) == (0, 0, 0, 4)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"jointmae": "{}"}, "got features of `jointmae embed`: .*Name a file that does not"),
        ({}, "without its metadata"),
    ],
)
def test_other_parquet_file_is_refused_by_what_it_is(folder, path, metadata, message):
    pq.write_table(pa.table({"file": ["a"]}).replace_schema_metadata(metadata), path)
    with pytest.raises(ValueError, match=message):
        index_folder(folder, ExtentEmbedder(), path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedder": ExtentEmbedder("b")}, "`weights_sha256` must be that of the index .*'a', got 'b'"),
        ({"num_rotations": 4}, "`num_rotations` must be that of the index .* 1, got 4"),
    ],
)
def test_index_of_other_features_is_refused(folder, path, options, message):
    index_folder(folder, ExtentEmbedder(), path)
    with pytest.raises(ValueError, match=message):
        index_folder(folder, **{"embedder": ExtentEmbedder(), "path": path, **options})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("index.csv", "`index` must end in .parquet"),
        ("parts/index.parquet", "`index` must lie outside `folder`"),
        ("missing/index.parquet", "`index` must lie in an existing folder"),
        ("text.parquet", "`index` must be a Parquet file"),
        ("other.parquet", "`index` must be a file of `jointmae search`"),
    ],
)
def test_index_refuses_a_path(folder, tmp_path, name, message):
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(pa.table({"path": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(ValueError, match=message):
        index_folder(folder, ExtentEmbedder(), tmp_path / name)


def test_index_is_written_while_it_grows(folder, path, monkeypatch):
    monkeypatch.setattr(shape_index, "FILES_PER_SAVE", 2)
    embedder, sizes = ExtentEmbedder(), []
    embed = embedder.embed_clouds

    def watch(clouds):
        sizes.append(pq.read_metadata(path).num_rows if path.exists() else 0)
        return embed(clouds)

    index_folder(folder, SimpleNamespace(**vars(embedder), embed_clouds=watch, describe=embedder.describe), path)
    assert sizes == [0, 0, 2, 4]  # the reference, then batches of two files
