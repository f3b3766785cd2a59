"""Reads files with every reader that takes them, in 1 GiB more of memory than it starts with, and says what happened.

python read_files.py FILE ... > outcomes.json
"""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

import h5py
import pyarrow.parquet
import torch

from jointmae_hf.data import POINT_CLOUD_SUFFIXES, load_point_clouds, read_point_cloud
from jointmae_hf.data.readers.hdf5 import Hdf5Column, read_hdf5
from jointmae_hf.data.readers.safe_pickle import read_safe_pickle
from jointmae_hf.hub.point_mae_checkpoint import read_point_mae
from jointmae_hf.model.cloud_files import CLOUD_FILE_SUFFIXES, read_cloud_file


MEBIBYTE = 1 << 20
LOADED = (h5py, pyarrow.parquet, torch)  # what readers import is no memory of theirs


def readers_of(path):
    """Every reader that takes a file with this ending."""
    suffix = path.suffix
    if suffix in (".tar", ".tgz", ".zip"):
        yield "load_point_clouds", lambda: load_point_clouds("folder", data_dir=path)
        yield "read_point_cloud", lambda: read_point_cloud(path)
    if suffix in POINT_CLOUD_SUFFIXES:
        yield "read_point_cloud", lambda: read_point_cloud(path, 64)
    if suffix in CLOUD_FILE_SUFFIXES:
        yield "read_cloud_file", lambda: read_cloud_file(path, 64)
    if suffix == ".h5":
        yield "read_hdf5", lambda: read_hdf5(path, [Hdf5Column("points", (3,))])
    if suffix == ".pkl":
        yield "read_safe_pickle", lambda: read_safe_pickle(path, MEBIBYTE)
    if suffix == ".pth":
        yield "read_point_mae", lambda: read_point_mae(path)


def read(call):
    """What a reader raises for a file, and what it costs."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    signal.alarm(60)  # ends the process
    outcome = {"error": None, "message": "", "out_of_memory": False}
    try:
        call()
    except Exception as error:
        chain = [error, error.__cause__, error.__context__]
        outcome = {
            "error": type(error).__name__,
            "message": str(error),
            "out_of_memory": any(isinstance(link, MemoryError) for link in chain),
        }
    signal.alarm(0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 // MEBIBYTE
    return outcome | {"seconds": time.process_time() - start, "mebibytes": grown}


def main(paths):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + 1024 * MEBIBYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    outcomes = {path.name: {name: read(call) for name, call in readers_of(path)} for path in map(Path, paths)}
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
