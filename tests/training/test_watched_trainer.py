"""What the trainer makes of its loaders and of the errors of their workers."""

import pytest

from jointmae_hf.data import TracingCollator


@pytest.mark.parametrize(("num_workers", "timeout"), [(0, 0.0), (2, 7.0)])
def test_loaders_wait_for_workers_alone(make_trainer, num_workers, timeout):
    trainer = make_trainer(dataloader_num_workers=num_workers)
    trainer.loader_timeout = 7.0
    loaders = [trainer.get_train_dataloader(), trainer.get_eval_dataloader(), trainer.get_test_dataloader([])]
    assert [loader.timeout for loader in loaders] == [timeout] * 3
    assert all(isinstance(loader.collate_fn, TracingCollator) for loader in loaders)
    assert not isinstance(loaders[0].collate_fn.collate, TracingCollator)


def test_loader_that_is_kept_is_watched_once(make_trainer):
    trainer = make_trainer(dataloader_num_workers=1, dataloader_persistent_workers=True)
    first, second = trainer.get_eval_dataloader(), trainer.get_eval_dataloader()
    assert first is second
    assert not isinstance(second.collate_fn.collate, TracingCollator)


def test_error_of_a_lost_worker_says_when_it_was_at_nothing(make_trainer):
    trainer = make_trainer()
    trainer.get_train_dataloader()
    with pytest.raises(RuntimeError) as caught, trainer.report_lost_samples():
        raise RuntimeError("DataLoader worker (pid(s) 1) exited unexpectedly")
    assert caught.value.__notes__ == ["No worker was at any sample: it was lost between batches."]


def test_other_errors_stay_as_they_are(make_trainer):
    trainer = make_trainer()
    with pytest.raises(RuntimeError, match="out of memory") as caught, trainer.report_lost_samples():
        raise RuntimeError("out of memory")
    assert not hasattr(caught.value, "__notes__")
