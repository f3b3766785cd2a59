import pytest
import torch
from transformers import HfArgumentParser, TrainingArguments

from jointmae_hf.training import DatasetArguments, processes, set_up_process


def parse(*flags):
    return HfArgumentParser(DatasetArguments).parse_args_into_dataclasses(list(flags))[0]


def test_dataset_is_embedded_shapes_without_a_flag():
    assert (parse().dataset, parse().dataset_name) == ("synthetic_shapes", "synthetic_shapes")


def test_dataset_is_a_folder_with_data_dir_alone(tmp_path):
    arguments = parse("--data_dir", str(tmp_path / "my clouds"))
    assert (arguments.dataset, arguments.dataset_name) == ("folder", "my clouds")


def test_dataset_is_named_with_its_variant():
    arguments = parse("--dataset", "scanobjectnn", "--dataset_options", '{"subset": "obj_bg"}')
    assert arguments.dataset_name == "scanobjectnn obj_bg"


@pytest.mark.parametrize("text", ["[1]", "{subset}", "3"])
def test_dataset_options_must_be_an_object(text):
    with pytest.raises(ValueError, match="`dataset_options` must be a JSON object, got"):
        parse("--dataset_options", text)


def test_load_lets_options_take_the_place_of_defaults(tmp_path):
    arguments = parse("--dataset_options", f'{{"num_train": 40, "cache_dir": "{tmp_path}"}}')
    splits = arguments.load(0, num_train=60, num_validation=20, num_test=20, num_points=64)
    assert {name: len(split) for name, split in splits.items()} == {"train": 40, "validation": 20, "test": 20}


def test_load_leaves_splits_as_they_are_when_told(tmp_path):
    arguments = parse("--dataset_options", f'{{"cache_dir": "{tmp_path}"}}')
    splits = arguments.load(0, None, num_train=60, num_validation=20, num_test=20, num_points=64)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [60, 20, 20]


@pytest.mark.parametrize(("processes_here", "num_threads_expected"), [(None, 6), (2, 3), (4, 1), (8, 1)])
def test_process_on_a_cpu_pins_no_memory_and_takes_its_share_of_the_cores(
    tmp_path, monkeypatch, processes_here, num_threads_expected
):
    monkeypatch.setattr(processes, "num_cores", lambda: 6)
    if processes_here is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes_here))
    training = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    num_threads = torch.get_num_threads()
    try:
        set_up_process(training)
        assert (torch.get_num_threads(), training.dataloader_pin_memory) == (num_threads_expected, False)
    finally:
        torch.set_num_threads(num_threads)
