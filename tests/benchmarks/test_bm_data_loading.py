import importlib
import json

import datasets
import torch

from benchmarks import __main__ as every_benchmark
from benchmarks import bm_data_loading
from benchmarks.bm_data_loading import MemoryMappedClouds, Sizes, consume, to_tensors, write_datasets
from jointmae_hf.data import PointCloudCollator, PointCloudDataset, stream_batches


SIZES = Sizes(num_clouds=10, num_points=8, batch_size=4, num_rounds=1)


def test_all_candidates_give_the_same_batches(tmp_path):
    arrow, parquet, reference = write_datasets(tmp_path, SIZES)
    assert isinstance(reference, MemoryMappedClouds)
    expected = to_tensors(reference.__getitems__([0, 1, 2, 3]))
    stream = datasets.load_dataset(str(parquet), split="train", streaming=True, columns=["points", "label"])
    own = PointCloudCollator()(PointCloudDataset(arrow).__getitems__([0, 1, 2, 3]))
    streamed = next(iter(stream_batches(stream, 4)))
    for batch in (own, streamed):
        assert list(batch) == ["points", "index", "labels"]
        for name, values in expected.items():
            assert torch.equal(batch[name], values)


def test_consume_counts_samples():
    assert consume([{"points": [1, 2]}, {"points": [3]}]) == 3


def test_main_prints_and_writes_one_row_for_each_candidate(tmp_path, capsys):
    flags = [f"--{name}={value}" for name, value in vars(SIZES).items()]
    bm_data_loading.main([*flags, "--output_dir", str(tmp_path)])
    content = json.loads((tmp_path / "data_loading.json").read_text())
    assert len(content["measurements"]) == 4
    assert content["settings"] == vars(SIZES)
    assert "numpy memory map, batched" in capsys.readouterr().out


def test_package_runs_every_benchmark(tmp_path, monkeypatch):
    calls = []
    for name in every_benchmark.BENCHMARKS:
        monkeypatch.setattr(importlib.import_module(f"benchmarks.{name}"), "main", calls.append)
    every_benchmark.main(["--output_dir", str(tmp_path)])
    assert calls == [["--output_dir", str(tmp_path)]] * len(every_benchmark.BENCHMARKS)
