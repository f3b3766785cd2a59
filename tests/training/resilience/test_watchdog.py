"""The watchdog: what the trace of a collator says during, after and between batches, timeouts, notes of errors."""

import pytest
import torch
from torch.utils.data import DataLoader

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, PointCloudTensors, load_point_clouds
from jointmae_hf.training.resilience import TracingCollator, Watchdog
from jointmae_hf.training.resilience.watchdog import allocate_trace


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    sizes = {"num_train": 24, "num_validation": 2, "num_test": 3, "num_points": 16}
    return load_point_clouds("synthetic_shapes", cache_dir=tmp_path_factory.mktemp("shapes"), **sizes)


def samples(*indices):
    return [{"index": index} for index in indices]


def test_collator_returns_what_the_other_returns(shapes):
    batch = PointCloudDataset(shapes["train"]).__getitems__([3, 1])
    plain = PointCloudCollator()(batch)
    traced = TracingCollator(PointCloudCollator(), allocate_trace(0, 2))(batch)
    assert traced.keys() == plain.keys()
    assert all(torch.equal(traced[name], plain[name]) for name in plain)


def test_trace_tells_the_samples_during_a_batch_alone():
    seen = []
    collator = TracingCollator(lambda batch: seen.append(collator.describe()), allocate_trace(0, 3), ["train.arrow"])
    collator(samples(5, 9))
    assert len(seen[0]) == 1
    assert seen[0][0].endswith("was at samples 5, 9 of train.arrow.")
    assert collator.describe() == []


def test_trace_tells_the_samples_of_a_batch_that_is_not_read_yet(shapes):
    dataset = PointCloudDataset(shapes["train"], first_index=100)
    dataset._points = None  # to read a sample would raise another error
    with pytest.raises(TypeError) as caught:
        TracingCollator(PointCloudCollator(), allocate_trace(0, 2), dataset.files)(dataset.__getitems__([3, 1]))
    assert f"was at samples 103, 101 of {dataset.files[0]}." in caught.value.__notes__[0]


def test_trace_tells_the_samples_of_clouds_in_memory():
    collator = TracingCollator(lambda batch: collator.describe(), allocate_trace(0, 2))
    clouds = PointCloudTensors(torch.rand(9, 4, 3))
    assert collator(clouds.__getitems__([8, 2]))[0].endswith("was at samples 8, 2.")


def test_trace_names_the_first_samples_of_a_large_batch():
    collator = TracingCollator(lambda batch: collator.describe(), allocate_trace(0, 100))
    sentence = collator(samples(*range(20)))[0]
    assert sentence.endswith("was at samples 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 and 4 more.")


def test_trace_takes_batches_that_are_larger_than_announced():
    collator = TracingCollator(lambda batch: collator.describe(), allocate_trace(0, 2))
    assert collator(samples(7, 8, 9))[0].endswith("was at samples 7, 8.")


def test_dataset_tells_its_files(shapes):
    files = PointCloudDataset(shapes["train"]).files
    assert [name.rpartition(".")[2] for name in files] == ["arrow"]


@pytest.mark.parametrize(("num_workers", "timeout"), [(0, 0.0), (2, 7.0)])
def test_loaders_wait_for_workers_alone(make_trainer, num_workers, timeout):
    trainer = make_trainer(dataloader_num_workers=num_workers)
    trainer.watchdog.timeout = 7.0
    loaders = [trainer.get_train_dataloader(), trainer.get_eval_dataloader(), trainer.get_test_dataloader([])]
    for loader in loaders:
        trainer.watchdog.attach(loader, "any")
    assert [loader.timeout for loader in loaders] == [timeout] * 3
    assert all(isinstance(loader.collate_fn, TracingCollator) for loader in loaders)
    assert not isinstance(loaders[0].collate_fn.collate, TracingCollator)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_trainer_attaches_to_every_loader_that_it_iterates(make_trainer, num_workers):
    trainer, seen = make_trainer(dataloader_num_workers=num_workers, max_steps=2), []
    attach = trainer.watchdog.attach
    trainer.watchdog.attach = lambda loader, kind: (seen.append((kind, loader)), attach(loader, kind))[1]
    trainer.train()
    trainer.evaluate()
    trainer.predict(trainer.eval_dataset)
    trainer.measure_references()
    assert [kind for kind, _ in seen] == ["training", "evaluation", "evaluation", "evaluation"]
    assert all(isinstance(loader.collate_fn, TracingCollator) for _, loader in seen)
    assert all(loader.timeout == (300.0 if num_workers else 0.0) for _, loader in seen)


def test_loader_that_is_kept_gets_one_collator(make_trainer):
    trainer = make_trainer(dataloader_num_workers=1, dataloader_persistent_workers=True)
    first, second = (trainer.watchdog.attach(trainer.get_eval_dataloader(), "evaluation") for _ in range(2))
    assert first is second
    assert not isinstance(second.collate_fn.collate, TracingCollator)


def test_loaders_of_one_kind_share_a_trace():
    watchdog = Watchdog(num_workers=0, batch_size=2, timeout=7.0)
    kinds = ["evaluation", "evaluation", "training"]
    first, second, third = (watchdog.attach(DataLoader(samples(1)), kind).collate_fn._trace for kind in kinds)
    assert first is second
    assert first is not third


def test_error_of_a_lost_worker_says_when_it_was_at_nothing():
    watchdog = Watchdog(num_workers=0, batch_size=2, timeout=7.0)
    with pytest.raises(RuntimeError) as caught, watchdog.guard(DataLoader(samples(1)), "training"):
        raise RuntimeError("DataLoader worker (pid(s) 1) exited unexpectedly")
    (note,) = caught.value.__notes__
    assert note.splitlines()[1:] == ["No worker was at any sample, it was between batches."]


def test_broken_connection_to_a_worker_is_reported_as_its_loss():
    def _try_get_data():  # of torch, which checks whether the process is alive a moment too early
        raise ConnectionResetError(104, "Connection reset by peer")

    watchdog = Watchdog(num_workers=0, batch_size=2, timeout=7.0)
    with pytest.raises(ConnectionResetError) as caught, watchdog.report_lost_samples():
        _try_get_data()
    assert caught.value.__notes__[0].startswith("A worker of the data loader exited unexpectedly.")
    with pytest.raises(ConnectionResetError) as caught, watchdog.report_lost_samples():
        raise ConnectionResetError(104, "Connection reset by peer")
    assert not hasattr(caught.value, "__notes__")


def test_other_errors_stay_as_they_are():
    watchdog = Watchdog(num_workers=0, batch_size=2, timeout=7.0)
    with pytest.raises(RuntimeError, match="out of memory") as caught, watchdog.report_lost_samples():
        raise RuntimeError("out of memory")
    assert not hasattr(caught.value, "__notes__")
