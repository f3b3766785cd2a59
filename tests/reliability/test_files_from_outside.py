"""Files from outside that mean harm: each refused by name, nothing run, nothing left behind, little memory, at once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from malicious_files import SECRET, write_malicious_files

from jointmae_hf.data import load_point_clouds, read_point_cloud


PROGRAM = Path(__file__).parent / "programs" / "read_files.py"
MOST_MEBIBYTES, MOST_SECONDS = 512, 5
RULES = {
    "terabytes.npy": "complete .npy file",
    "code.npy": "starts with",
    "terabytes.npz": "complete .npz file",
    "bomb.npz": "must not expand to more than 100 times",
    "external_link.h5": "an array called `points`|itself as an array",
    "external_values.h5": "itself",
    "virtual.h5": "itself",
    "terabytes.h5": "must not expand to more than 100 times|1 to 100000 clouds",
    "wide_chunk.h5": "must not expand to more than 100 times|not written in full",
    "bomb.h5": "must not expand to more than 100 times|1 to 100000 clouds",
    "bomb.parquet": "must not expand to more than 100 times",
    "texts.parquet": "floats or integers",
    "arrow.parquet": "complete Parquet file",
    "vertices.ply": "4 rows",
    "columns.xyz": "1000000 numbers a line|at most 1000 numbers a line",
    "code.pth": "a .pth file of tensors and numbers",
    "bomb.pth": "must not expand to more than 100 times",
    "code.pkl": "mkdir, which is refused",
    "archive.zip": "Extract|extract|end in one of",
    "archive.tar": "Extract|extract|end in one of",
    "pipe.xyz": "a regular file",
    "device.xyz": "a regular file",
}
"""What the message must say, for files that have more than one way to be refused."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("outside")
    (root / "files").mkdir()
    return write_malicious_files(root / "files", root / "touched")


@pytest.fixture(scope="module")
def outcomes(files):
    """What every reader made of every file, in a process with 1 GiB of memory for all of them."""
    command = [sys.executable, str(PROGRAM), *map(str, files)]
    before = sorted(files[0].parent.parent.rglob("*"))
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=files[0].parent)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert sorted(files[0].parent.parent.rglob("*")) == before
    return json.loads(finished.stdout)


def each(outcomes):
    return [(name, reader, outcome) for name, found in outcomes.items() for reader, outcome in found.items()]


def test_every_file_is_refused_by_name(outcomes, files):
    assert set(outcomes) == {path.name for path in files}
    accepted = [
        (name, reader, outcome) for name, reader, outcome in each(outcomes) if outcome["error"] != "ValueError"
    ]
    assert accepted == []
    assert [name for name, found in outcomes.items() if not found] == []
    assert [(name, outcome["message"]) for name, _, outcome in each(outcomes) if name not in outcome["message"]] == []


@pytest.mark.parametrize("name", RULES)
def test_message_names_the_rule(outcomes, name):
    for outcome in outcomes[name].values():
        assert any(rule in outcome["message"] for rule in RULES[name].split("|")), outcome["message"]


def test_no_code_runs_and_no_file_is_left(outcomes, files):
    assert not (files[0].parent.parent / "touched").exists()


def test_no_file_leads_to_another(outcomes):
    assert [name for name, _, outcome in each(outcomes) if str(SECRET)[:8] in outcome["message"]] == []


def test_refusing_takes_little_memory_and_time(outcomes):
    assert [(name, reader) for name, reader, outcome in each(outcomes) if outcome["out_of_memory"]] == []
    assert [row for row in each(outcomes) if row[2]["mebibytes"] > MOST_MEBIBYTES] == []
    assert [row for row in each(outcomes) if row[2]["seconds"] > MOST_SECONDS] == []


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".zip"])
def test_folder_of_archives_says_to_extract_them(tmp_path, files, suffix):
    archive = files[0].parent / f"archive{suffix}"
    (tmp_path / archive.name).write_bytes(archive.read_bytes())
    with pytest.raises(ValueError, match=rf"Extract its archives first: archive\{suffix}"):
        load_point_clouds("folder", data_dir=tmp_path)


def test_ordinary_compressed_clouds_are_still_read(tmp_path):
    points = np.zeros((100_000, 3), np.float32)  # 1.1 MiB of zeros in about a kilobyte
    np.savez_compressed(tmp_path / "a.npz", points=points)
    assert (tmp_path / "a.npz").stat().st_size * 100 < points.nbytes
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.npz"), points)
