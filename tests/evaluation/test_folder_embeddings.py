"""Features of a folder: the rows, bad files, and that an interrupted or shared run ends in the bytes of an undisturbed one."""

import multiprocessing
import os
import signal
import socket
import time

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import PartialState

from jointmae_hf import JointMAEFeatureExtractor, JointMAEModel
from jointmae_hf.evaluation import EmbeddingSettings, FileEmbedder, embed_folder
from jointmae_hf.evaluation.folder_embeddings import _files_per_shard


FORK = multiprocessing.get_context("fork")  # a process that imports everything again would take seconds


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory, build_tiny_config):
    folder = tmp_path_factory.mktemp("model")
    JointMAEModel(build_tiny_config()).save_pretrained(folder)
    JointMAEFeatureExtractor(num_points=64).save_pretrained(folder)
    return folder


@pytest.fixture
def embedder(model_dir):
    return FileEmbedder(model_dir, settings=EmbeddingSettings(batch_size=2))


@pytest.fixture
def folder(tmp_path):
    """Nine clouds in sub-folders and a mesh: five shards of one batch."""
    rng = np.random.default_rng(0)
    for index in range(9):
        path = tmp_path / "parts" / "ab"[index % 2] / f"{index}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, rng.normal(size=(40 + index, 3)))
    (tmp_path / "parts" / "mesh.off").write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    return tmp_path / "parts"


@pytest.fixture
def undisturbed(folder, embedder, tmp_path):
    return embed_folder(folder, tmp_path / "undisturbed.parquet", embedder).output.read_bytes()


def stop_after(embedder, num_batches, monkeypatch):
    """Let the model fail after some batches, and return the sizes of those that it computed."""
    compute, sizes = embedder.embed_clouds, []

    def embed_clouds(clouds):
        if len(sizes) == num_batches:
            raise RuntimeError("stopped")
        sizes.append(len(clouds))
        return compute(clouds)

    monkeypatch.setattr(embedder, "embed_clouds", embed_clouds)
    return sizes


def test_table_has_a_row_per_file_in_order_of_path(folder, embedder, tmp_path):
    written = embed_folder(folder, tmp_path / "out.parquet", embedder)
    rows = datasets.Dataset.from_parquet(str(written.output), cache_dir=str(tmp_path / "cache")).with_format("numpy")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    assert (list(rows["path"]), written.num_rows, written.feature_size, written.skipped) == (names, 10, 32, [])
    expected = [embedder.embed_clouds([embedder.reader.read(folder / name, name)[0]])[0] for name in names]
    np.testing.assert_allclose(rows[:]["features"], np.stack(expected), rtol=1e-4, atol=1e-5)
    assert np.stack(expected).std(axis=0).max() > 0.01  # rows of other files differ
    assert rows[0]["num_points"] == 40
    assert rows[9]["num_points"] == 64


def test_stopped_run_goes_on_and_writes_the_same_bytes(folder, embedder, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(embedder, 3, patch)
        with pytest.raises(RuntimeError, match="stopped"):
            embed_folder(folder, tmp_path / "out.parquet", embedder)
    assert not (tmp_path / "out.parquet").exists()
    sizes = stop_after(embedder, 100, monkeypatch)
    assert embed_folder(folder, tmp_path / "out.parquet", embedder).output.read_bytes() == undisturbed
    assert sizes == [2, 2]
    assert not (tmp_path / "out.parquet.parts").exists()


def embed_in_child(*arguments):
    """Embed a folder in a forked process, which must not use the threads of its parent."""
    torch.set_num_threads(1)
    return embed_folder(*arguments)


def test_killed_run_goes_on_and_writes_the_same_bytes(folder, embedder, undisturbed, tmp_path):
    compute = embedder.embed_clouds
    embedder.embed_clouds = lambda clouds: (time.sleep(0.1), compute(clouds))[1]
    output, parts = tmp_path / "out.parquet", tmp_path / "out.parquet.parts"
    process = FORK.Process(target=embed_in_child, args=(folder, output, embedder))
    process.start()
    while process.is_alive() and len(list(parts.glob("part-*"))) < 2:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not output.exists()
    assert embed_folder(folder, output, embedder).output.read_bytes() == undisturbed


def share(rank, port, folder, output, embedder):
    """Compute the share of one of two processes, as a launcher starts them."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ.update(address, RANK=str(rank), LOCAL_RANK=str(rank))
    PartialState._reset_state()
    assert PartialState(cpu=True).num_processes == 2
    compute, sizes = embedder.embed_clouds, []
    embedder.embed_clouds = lambda clouds: (sizes.append(len(clouds)), compute(clouds))[1]
    assert embed_in_child(folder, output, embedder).num_rows == 10
    assert sizes == [[2, 2, 2], [2, 2]][rank]


def test_two_processes_share_the_work_and_write_the_same_bytes(folder, embedder, undisturbed, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = (port, folder, tmp_path / "out.parquet", embedder)
    processes = [FORK.Process(target=share, args=(rank, *arguments)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "out.parquet").read_bytes() == undisturbed


def test_workers_read_the_same(folder, embedder, undisturbed, tmp_path):
    assert embed_folder(folder, tmp_path / "out.parquet", embedder, num_workers=2).output.read_bytes() == undisturbed


def test_finished_table_is_not_computed_again(folder, embedder, undisturbed, tmp_path, monkeypatch):
    stop_after(embedder, 0, monkeypatch)
    assert embed_folder(folder, tmp_path / "undisturbed.parquet", embedder).num_rows == 10


def test_file_that_cannot_be_read_ends_the_run_and_is_named(folder, embedder, tmp_path):
    (folder / "a" / "4.npy").write_bytes(b"no cloud")
    with pytest.raises(ValueError, match=r"^`a/4\.npy` must be a complete \.npy file .*\. Pass `skip_errors`"):
        embed_folder(folder, tmp_path / "out.parquet", embedder)


def test_file_that_cannot_be_read_is_skipped_without_a_trace_in_other_rows(folder, embedder, undisturbed, tmp_path):
    (folder / "a" / "4.npy").write_bytes(b"no cloud")
    written = embed_folder(folder, tmp_path / "out.parquet", embedder, skip_errors=True)
    ((name, reason),) = written.skipped
    assert (name, written.num_rows) == ("a/4.npy", 9)
    assert "must be a complete .npy file" in reason
    rows, expected = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("out", "undisturbed"))
    assert rows.to_pylist() == [row for row in expected.to_pylist() if row["path"] != "a/4.npy"]


def test_skipping_may_begin_when_a_run_goes_on(folder, embedder, tmp_path):
    (folder / "a" / "4.npy").write_bytes(b"no cloud")
    with pytest.raises(ValueError, match=r"a/4\.npy"):
        embed_folder(folder, tmp_path / "out.parquet", embedder)
    assert len(list((tmp_path / "out.parquet.parts").glob("part-*"))) == 1
    assert embed_folder(folder, tmp_path / "out.parquet", embedder, skip_errors=True).num_rows == 9


def test_missing_package_ends_the_run_even_when_errors_are_skipped(folder, embedder, tmp_path, monkeypatch):
    def read(*arguments):
        raise ImportError("h5py")

    monkeypatch.setattr("jointmae_hf.evaluation.embeddings.read_point_cloud", read)
    with pytest.raises(ImportError, match="h5py"):
        embed_folder(folder, tmp_path / "out.parquet", embedder, skip_errors=True)


@pytest.mark.parametrize("change", [lambda path: path.unlink(), lambda path: os.utime(path, (1, 1))])
def test_files_that_changed_since_the_interruption_are_rejected(folder, embedder, tmp_path, monkeypatch, change):
    with monkeypatch.context() as patch:
        stop_after(embedder, 1, patch)
        with pytest.raises(RuntimeError, match="stopped"):
            embed_folder(folder, tmp_path / "out.parquet", embedder)
    change(folder / "a" / "4.npy")
    with pytest.raises(ValueError, match=r"`(num_files|files_sha256)` must be that of .*out\.parquet\.parts"):
        embed_folder(folder, tmp_path / "out.parquet", embedder)


@pytest.mark.parametrize(
    ("output", "rule"), [("out.csv", r"must end in \.parquet"), ("parts/out.parquet", "must lie outside `folder`")]
)
def test_wrong_output_is_rejected(folder, embedder, tmp_path, output, rule):
    with pytest.raises(ValueError, match=f"`output` {rule}"):
        embed_folder(folder, tmp_path / output, embedder)


@pytest.mark.parametrize(
    ("num_files", "batch_size", "expected"),
    [(10, 2, 2), (300, 32, 32), (10_000, 32, 64), (10**7, 32, 4096), (9, 5000, 5000)],
)
def test_shards_are_whole_batches_of_a_bounded_size(num_files, batch_size, expected):
    assert _files_per_shard(num_files, batch_size) == expected
