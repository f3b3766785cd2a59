import logging

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from jointmae_hf import JointMAEModel
from jointmae_hf.cli import embed, main
from jointmae_hf.evaluation import read_embedding_metadata


@pytest.fixture
def model(save_model, tiny_config):
    return save_model(JointMAEModel(tiny_config))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "parts").mkdir()
    for name in ("b", "a"):
        np.savetxt(tmp_path / "parts" / f"{name}.xyz", np.random.default_rng(0).normal(size=(70, 3)))
    return tmp_path / "parts"


def test_command_writes_a_row_per_file(model, folder, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    output = tmp_path / "features.parquet"
    main(["embed", str(folder), "--output", str(output), "--model", model, "--pooling", "max", "--batch_size", "1"])
    assert pq.read_table(output)["path"].to_pylist() == ["a.xyz", "b.xyz"]
    metadata = read_embedding_metadata(output)
    assert (metadata["model"], metadata["pooling"], metadata["batch_size"]) == (model, "max", 1)
    assert f"written: {output}, 2 rows of 32 features" in caplog.text


def test_skipped_files_are_listed_with_their_reason(model, folder, tmp_path, caplog):
    (folder / "c.ply").write_text("no")
    main(["embed", str(folder), "--output", str(tmp_path / "o.parquet"), "--model", model, "--skip_errors"])
    assert "skipped: 1 files that cannot be read" in caplog.text
    assert "  c.ply: `c.ply` must be a complete .ply file, got: " in caplog.text


def test_file_that_cannot_be_read_ends_the_command(model, folder, tmp_path, refuse):
    (folder / "c.ply").write_text("no")
    line = refuse(["embed", folder, "--output", tmp_path / "o.parquet", "--model", model])
    assert line.startswith("jointmae: error: `c.ply` must be a complete .ply file")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--output", "features.csv"], "`--output` must end in .parquet, got features.csv."),
        (["--output", "none/features.parquet"], "`--output` must lie in an existing folder"),
        (["--device", "abacus"], "`--device` must be a device of this machine, got 'abacus'"),
        (["--num_workers", "-1"], "`--num_workers` must not be negative, got -1"),
        (["--seed", "-1"], "`seed` must not be negative, got -1"),
    ],
)
def test_wrong_flag_is_refused(folder, tmp_path, refuse, flags, message):
    command = ["embed", folder, "--output", tmp_path / "features.parquet", "--model", "none", *flags]
    assert f"jointmae: error: {message}" in refuse(command)


def test_missing_folder_is_refused(refuse):
    message = "jointmae: error: `folder` must be an existing folder, got nothing_here."
    assert refuse(["embed", "nothing_here", "--output", "features.parquet"]) == message


class State:
    """One of four processes on GPUs."""

    num_processes = 4
    device = torch.device("cuda:3")


def test_each_of_several_processes_has_its_own_device():
    assert embed._choose_device(None, State()) == torch.device("cuda:3")
    with pytest.raises(ValueError, match="`--device` must be left out for several processes, got cuda:0"):
        embed._choose_device("cuda:0", State())


def test_reading_processes_share_the_cores_next_to_a_gpu(monkeypatch):
    monkeypatch.setattr("jointmae_hf.evaluation.num_cores", lambda: 16, raising=False)
    assert embed._choose_num_workers(None, torch.device("cuda"), State()) == 4
    assert embed._choose_num_workers(None, torch.device("cpu"), State()) == 0
    assert embed._choose_num_workers(7, torch.device("cpu"), State()) == 7
