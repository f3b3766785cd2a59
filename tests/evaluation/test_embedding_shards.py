import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jointmae_hf.evaluation import embedding_shards, read_embedding_metadata
from jointmae_hf.evaluation.embedding_shards import EmbeddingTable


DESCRIPTION = {"model": "mine", "pooling": "sum"}
FEATURES = np.arange(15, dtype=np.float32).reshape(5, 3)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    monkeypatch.setattr(embedding_shards, "_NETWORK_DELAY", 0.0)


@pytest.fixture
def table(tmp_path):
    table = EmbeddingTable(tmp_path / "features.parquet", DESCRIPTION, num_files=5, files_per_shard=2)
    table.start()
    return table


def write(table, number, skipped=()):
    rows = [row for row in table.shards[number] if f"{row}.ply" not in dict(skipped)]
    table.write_shard(number, [f"{row}.ply" for row in rows], FEATURES[rows], [10 * row for row in rows], skipped)


def test_table_has_the_rows_of_all_shards_in_order(table):
    for number in (2, 0, 1):
        write(table, number)
    table.finish()
    rows = pq.read_table(table.output).to_pydict()
    assert rows == {
        "path": [f"{row}.ply" for row in range(5)],
        "features": FEATURES.tolist(),
        "num_points": [0, 10, 20, 30, 40],
    }
    assert os.listdir(table.output.parent) == ["features.parquet"]


def test_features_are_a_list_of_fixed_size(table):
    write(table, 0)
    (path,) = table.parts.glob("*.parquet")
    assert pq.read_schema(path).field("features").type == pa.list_(pa.float32(), 3)


def test_metadata_has_the_description_and_skipped_files(table):
    write(table, 0, [("1.ply", "broken")])
    write(table, 1)
    write(table, 2, [("4.ply", "empty")])
    table.finish()
    skipped = [["1.ply", "broken"], ["4.ply", "empty"]]
    assert read_embedding_metadata(table.output) == {**DESCRIPTION, "skipped": skipped}


def test_missing_shards_are_those_without_a_file(table):
    write(table, 1)
    assert table.missing_shards() == [0, 2]
    with pytest.raises(ValueError, match="on a disk that all machines share, got 2 of 3 shards missing"):
        table.finish()


def test_shard_that_cannot_be_completed_is_absent(table, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space left"):
        write(table, 0)
    assert table.missing_shards() == [0, 1, 2]
    assert os.listdir(table.parts) == ["run.json"]


def test_run_with_another_description_is_rejected(table):
    other = EmbeddingTable(table.output, {**DESCRIPTION, "pooling": "max"}, 5, 2)
    other.start()
    with pytest.raises(ValueError, match=r"`pooling` must be that of .*\.parts, got 'max' and 'sum' there"):
        other.check_run()


def test_finished_table_with_another_description_is_rejected(table):
    for number in range(3):
        write(table, number)
    table.finish()
    assert table.is_complete()
    with pytest.raises(ValueError, match=r"`model` must be that of .*features\.parquet, got 'yours' and 'mine' there"):
        EmbeddingTable(table.output, {**DESCRIPTION, "model": "yours"}, 5, 2).is_complete()


@pytest.mark.parametrize("content", [b"text", None], ids=["no Parquet", "another table"])
def test_other_file_in_place_of_the_table_is_rejected(table, content):
    pq.write_table(pa.table({"a": [1]}), table.output)
    if content is not None:
        table.output.write_bytes(content)
    with pytest.raises(ValueError, match=r"`output` must be new, got .* which holds something else"):
        table.is_complete()


def test_machine_that_does_not_see_the_folder_is_named(tmp_path):
    table = EmbeddingTable(tmp_path / "features.parquet", DESCRIPTION, 5, 2)
    with pytest.raises(ValueError, match="`output` must lie on a disk that all machines share, got no"):
        table.check_run()


def test_folder_left_next_to_a_finished_table_is_removed(table):
    for number in range(3):
        write(table, number)
    table.finish()
    table.start()
    table.finish()
    assert not table.parts.exists()


def test_table_without_rows_is_rejected(table):
    for number, rows in enumerate(table.shards):
        write(table, number, [(f"{row}.ply", "broken") for row in rows])
    with pytest.raises(ValueError, match=r"must hold a file that can be read, got 5 others\. 0\.ply: broken"):
        table.finish()


def test_large_table_has_several_row_groups(table, monkeypatch):
    monkeypatch.setattr(embedding_shards, "_ROW_GROUP_BYTES", 100)
    for number in range(3):
        write(table, number)
    table.finish()
    metadata = pq.read_metadata(table.output)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [4, 1]
