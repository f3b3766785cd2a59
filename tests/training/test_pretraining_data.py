"""Flags and contents of the data of pre-training: one dataset, a mixture, or streamed Parquet files."""

import json

import pytest
from transformers import HfArgumentParser, TrainingArguments

from jointmae_hf.data import MixtureDataset, ParquetPointClouds
from jointmae_hf.data.conversion import convert_to_parquet
from jointmae_hf.training.arguments import PreTrainingArguments, parse_pretraining_arguments
from jointmae_hf.training.pretraining_data import ENDLESS, PreTrainingDataArguments


SIZES = {"num_train": 60, "num_validation": 20, "num_test": 20, "num_points": 16}


def parse(*flags):
    return HfArgumentParser(PreTrainingDataArguments).parse_args_into_dataclasses(list(flags))[0]


@pytest.fixture
def training(tmp_path):
    return TrainingArguments(str(tmp_path / "run"), use_cpu=True, per_device_train_batch_size=4, seed=7)


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("converted")
    sizes = SIZES | {"num_validation": 0}
    return convert_to_parquet("synthetic_shapes", folder / "shapes", cache_dir=folder / "cache", **sizes)


@pytest.fixture
def mixed(tmp_path):
    options = [{"num_points": 16}, SIZES | {"cache_dir": str(tmp_path / "cache")}]
    names = ["--dataset", "primitive_shapes", "synthetic_shapes", "--dataset_weights", "0.75", "0.25"]
    return parse(*names, "--dataset_options", json.dumps(options))


def test_one_dataset_is_loaded_as_everywhere(training, tmp_path):
    arguments = parse("--dataset", "synthetic_shapes", "--dataset_options", json.dumps({"cache_dir": str(tmp_path)}))
    data = arguments.load(training, **SIZES)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 60, "validation": 20, "test": 20}
    assert (data.name, data.labeled_name, data.labeled) == ("synthetic_shapes", "synthetic_shapes", data.splits)
    assert data.to_draw is data.splits["test"]
    assert data.shares(100) == [{}]
    assert not arguments.has_own_order


def test_mixture_has_shares_counts_and_the_labels_of_one_dataset(training, mixed):
    data = mixed.load(training)
    assert data.name == "primitive_shapes + synthetic_shapes"
    assert isinstance(data.splits["train"], MixtureDataset)
    assert len(data.splits["train"]) == 240  # 60 labeled shapes are a quarter
    assert data.labeled_name == "synthetic_shapes"
    assert data.shares(400) == [
        {"share": 0.75, "num_drawn": 300, "num_samples": 300},
        {"share": 0.25, "num_drawn": 100, "num_samples": 60},
    ]


def test_mixture_generates_primitive_shapes_without_end(training, mixed):
    data = mixed.load(training)
    name, shapes = data.sources[0]
    assert (name, len(shapes), shapes.info.license) == ("primitive_shapes", ENDLESS, "apache-2.0")


def test_validation_of_a_mixture_is_the_same_in_every_epoch(training, mixed):
    validation = mixed.load(training).splits["validation"]
    before = validation.locate(range(10))[1].tolist()
    validation.set_epoch(3)
    assert validation.locate(range(10))[1].tolist() == before


def test_mixture_depends_on_the_seed_of_the_data(training, mixed):
    first = mixed.load(training).splits["train"].locate(range(40))[1].tolist()
    training.data_seed = 8
    assert mixed.load(training).splits["train"].locate(range(40))[1].tolist() != first


def test_folders_are_given_in_the_order_of_the_datasets_that_read_one():
    names = ["folder", "primitive_shapes", "modelnet40"]
    arguments = parse("--dataset", *names, "--dataset_weights", "1", "1", "2", "--data_dir", "mine", "ModelNet40")
    assert [source.data_dir for source in arguments.sources] == ["mine", None, "ModelNet40"]
    assert arguments.dataset_name == "mine + primitive_shapes + modelnet40"


def test_parquet_files_are_streamed_and_held_out_by_row_groups(parquet, training, monkeypatch):
    monkeypatch.setattr(ParquetPointClouds, "hold_out", lambda self, share, seed: (self, share))
    data = parse("--dataset", "parquet", "--data_dir", str(parquet)).load(training, 0.05)
    train = data.splits["train"]
    assert (train.batch_size, train.num_lanes, train.seed, data.splits["validation"]) == (4, 8, 7, 0.05)
    assert (data.name, data.labeled) == ("shapes", None)


def test_lanes_are_a_multiple_of_the_readers(parquet, training, monkeypatch):
    monkeypatch.setattr(ParquetPointClouds, "hold_out", lambda self, share, seed: (self, share))
    training.dataloader_num_workers = 3
    assert parse("--dataset", "parquet", "--data_dir", str(parquet)).load(training).splits["train"].num_lanes == 9


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "shapenet"], "`dataset` must be one of .*, got shapenet"),
        (
            ["--dataset", "folder", "nowhere", "--dataset_weights", "1", "1"],
            "`dataset` must be one of .*, got nowhere",
        ),
        (
            ["--dataset", "a/b", "c/d"],
            "`dataset_weights` must have one number for each dataset, got 0 for 2: a/b, c/d",
        ),
        (["--dataset", "a/b", "c/d", "--dataset_weights", "1"], "one number for each dataset, got 1 for 2"),
        (["--dataset", "a/b", "c/d", "--dataset_weights", "1", "0"], "must be positive and finite, got 0.0 for c/d"),
        (["--dataset", "a/b", "c/d", "--dataset_weights", "nan", "1"], "must be positive and finite, got nan for a/b"),
        (["--dataset", "a/b", "--dataset_weights", "1"], "`dataset_weights` must come with several datasets, got"),
        (["--dataset", "a/b", "a/b", "--dataset_weights", "1", "2"], "must name each dataset once, got a/b twice"),
        (["--dataset", "a/b", "folder", "--dataset_weights", "1", "2"], r"reads one \(folder\), got 0: none"),
        (["--dataset", "a/b", "--data_dir", "c"], r"reads one \(none of them\), got 1: c"),
        (["--dataset", "folder"], r"reads one \(folder\), got 0: none"),
        (["--dataset", "a/b", "--dataset_options", '{"size": 3}'], "of Parquet files must be of .*, got size for a/b"),
        (["--data_dir", "a", "b"], "`data_dir` must name one folder .*, got 2: a, b"),
        (
            ["--dataset", "a/b", "c/d", "--dataset_weights", "1", "2", "--dataset_options", '{"seed": 1}'],
            "`dataset_options` must be a JSON list of 2 objects, one for each dataset, got",
        ),
    ],
)
def test_wrong_flags_are_named(flags, message):
    with pytest.raises(ValueError, match=message):
        parse(*flags)


def test_wrong_options_of_generated_shapes_are_named(training):
    options = [{"size": 3}, SIZES]
    names = ["--dataset", "primitive_shapes", "synthetic_shapes", "--dataset_weights", "1", "1"]
    with pytest.raises(ValueError, match="`dataset_options` of primitive_shapes must be its options, got size"):
        parse(*names, "--dataset_options", json.dumps(options)).load(training)


def test_sampling_is_refused_where_data_have_their_own_order(monkeypatch, capsys):
    flags = ["--dataset", "a/b", "--train_sampling_strategy", "random", "--use_cpu", "True"]
    monkeypatch.setattr("sys.argv", ["script.py", *flags])
    with pytest.raises(SystemExit):
        parse_pretraining_arguments(PreTrainingArguments, "mine", PreTrainingDataArguments)
    assert "`train_sampling_strategy` must be sequential, got random. Mixtures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "rule"),
    [
        ("dataloader_num_workers", "2", "must be 0, got 2"),
        ("dataloader_pin_memory", "True", "must be False, got True"),
    ],
)
def test_flags_of_a_loader_are_refused_for_clouds_on_the_device(monkeypatch, capsys, flag, value, rule):
    monkeypatch.setattr("sys.argv", ["script.py", "--data_on_device", "True", f"--{flag}", value, "--use_cpu", "True"])
    with pytest.raises(SystemExit):
        parse_pretraining_arguments(PreTrainingArguments, "mine", PreTrainingDataArguments)
    assert f"`{flag}` {rule}. With `data_on_device`" in capsys.readouterr().err


@pytest.mark.parametrize("names", [["a/b"], ["primitive_shapes", "sample_shapes", "--dataset_weights", "0.5", "0.5"]])
def test_streams_and_mixtures_cannot_be_kept_on_the_device(names):
    with pytest.raises(ValueError, match="`data_on_device` must be False for mixtures and streamed Parquet files"):
        parse("--data_on_device", "True", "--dataset", *names)
