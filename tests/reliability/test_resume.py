"""A resumed run is the uninterrupted one, bit by bit: states, order of batches, logged losses."""

import shutil

import datasets
import pytest
import torch
from tiny_runs import STEPS_IN_EPOCH, assert_same, log_of, state_of, train

from jointmae_hf.data import (
    MixtureDataset,
    ParquetPointClouds,
    PointCloudDataset,
    PointCloudTensors,
    PrimitiveShapeDataset,
    point_cloud_features,
    point_cloud_table,
)


MAX_STEPS = 10
STOPS = {1: "first step", 3: "mid-epoch", STEPS_IN_EPOCH: "end of an epoch", MAX_STEPS: "last step"}
TASKS = ["pre-training", "classification"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Runs that were never stopped, each trained once: logs that do not fit the epochs, an evaluation after each."""
    runs = {}

    def get(**arguments):
        key = tuple(arguments.items())
        if key not in runs:
            runs[key] = train(tmp_path_factory.mktemp("straight") / "run", **arguments)
        return runs[key]

    return get


def resume(straight, stop, output_dir, **arguments):
    """Go on from one of its checkpoints in another folder."""
    shutil.copytree(f"{straight.args.output_dir}/checkpoint-{stop}", output_dir / f"checkpoint-{stop}")
    return train(output_dir, resume=True, **arguments)


def assert_same_run(straight, resumed, stop, step=MAX_STEPS):
    """Compare the batches after the stop, all logs, and the last checkpoint."""
    assert resumed.batches == straight.batches[len(straight.batches) * stop // step :]
    assert log_of(resumed) == log_of(straight)
    folders = [f"{trainer.args.output_dir}/checkpoint-{step}" for trainer in (straight, resumed)]
    assert_same(*(state_of(folder) for folder in folders))


@pytest.mark.parametrize("stop", STOPS, ids=STOPS.values())
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_resumed_run_is_the_uninterrupted_one(uninterrupted, tmp_path, task, stop, num_workers):
    arguments = {"task": task, "dataloader_num_workers": num_workers, "max_steps": MAX_STEPS, "eval_strategy": "epoch"}
    straight = uninterrupted(**arguments)
    assert_same_run(straight, resume(straight, stop, tmp_path, **arguments), stop)


def test_resumed_run_with_workers_is_the_one_without(uninterrupted, tmp_path):
    arguments = {"task": "pre-training", "max_steps": MAX_STEPS, "eval_strategy": "epoch"}
    straight = uninterrupted(task="pre-training", dataloader_num_workers=0, max_steps=MAX_STEPS, eval_strategy="epoch")
    resumed = resume(straight, 3, tmp_path, dataloader_num_workers=2, **arguments)
    assert_same_run(straight, resumed, 3)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_resumed_run_accumulates_the_same_gradients(uninterrupted, tmp_path, stop):
    arguments = {"gradient_accumulation_steps": 2, "max_steps": 4, "logging_strategy": "epoch"}
    straight = uninterrupted(**arguments)
    assert_same_run(straight, resume(straight, stop, tmp_path, **arguments), stop, step=4)


def test_resumed_run_reports_the_mean_loss_of_all_steps(uninterrupted, tmp_path):
    arguments = {"max_steps": 4, "logging_steps": 1}
    straight = uninterrupted(**arguments)
    resumed = resume(straight, 3, tmp_path, **arguments)
    losses = [entry["loss"] for entry in straight.state.log_history if "loss" in entry]
    assert resumed.state.log_history[-1]["train_loss"] == pytest.approx(sum(losses) / 4)


def test_resumed_run_keeps_the_best_epoch(uninterrupted, tmp_path):
    arguments = {"task": "classification", "save_strategy": "epoch", "eval_strategy": "epoch", "max_steps": 12}
    arguments |= {"metric_for_best_model": "overall_accuracy", "greater_is_better": True}
    straight = uninterrupted(**arguments)
    resumed = resume(straight, 8, tmp_path, **arguments)
    assert resumed.state.best_metric == straight.state.best_metric
    assert resumed.state.best_global_step == straight.state.best_global_step


@pytest.fixture(scope="module")
def parquet_file(tmp_path_factory):
    """Nine clouds of 64 points, three in a row group."""
    path = tmp_path_factory.mktemp("parquet") / "train.parquet"
    points = torch.randn(9, 64, 3, generator=torch.Generator().manual_seed(1)).numpy()
    table = point_cloud_table(point_cloud_features(64), list(points), [str(number) for number in range(9)])
    datasets.Dataset(table).to_parquet(path, batch_size=3)
    return str(path)


@pytest.fixture
def ordered_datasets(parquet_file):
    """Build a dataset that is shuffled by itself; two calls build equal ones."""

    def mixture():
        own = PointCloudTensors(torch.randn(5, 64, 3, generator=torch.Generator().manual_seed(2)))
        return MixtureDataset([PrimitiveShapeDataset(2**40, num_points=64), own], [0.7, 0.3], length=8)

    def parquet():
        return ParquetPointClouds([parquet_file], batch_size=2, num_lanes=2, buffer_size=4)

    def stream():
        rows = datasets.Dataset.from_parquet(parquet_file).to_iterable_dataset(num_shards=3)
        return PointCloudDataset(rows.shuffle(seed=3, buffer_size=6))

    return {"mixture": mixture, "parquet": parquet, "stream": stream}


@pytest.mark.parametrize("kind", ["mixture", "parquet", "stream"])
@pytest.mark.parametrize("stop", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_resumed_run_takes_the_same_clouds(ordered_datasets, tmp_path, kind, stop):
    arguments = {"train_sampling_strategy": "sequential", "max_steps": 6}  # the second epoch begins after step 4
    straight = train(tmp_path / "straight", dataset=ordered_datasets[kind](), **arguments)
    resumed = resume(straight, stop, tmp_path / "resumed", dataset=ordered_datasets[kind](), **arguments)
    assert_same_run(straight, resumed, stop, step=6)
