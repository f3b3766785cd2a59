"""Splits and classes by the names of folders: known layouts, and folders that can be read in several ways."""

import re
from pathlib import PurePath

import pytest

from jointmae_hf.data.builders.folder_layouts import check_layout, read_places, split_of_folder


def read(names, layout=None):
    """Split and class of files as `split:class`."""
    places = read_places([PurePath(name) for name in names.split()], layout)
    return " ".join(f"{place.split}:{place.class_name}" for place in places)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("a.npy b.npy", "train:None train:None"),
        ("chair/0.npy table/0.npy", "train:chair train:table"),
        ("0/a.npy 1/a.npy 10/a.npy", "train:0 train:1 train:10"),
        ("train/0.npy test/0.npy", "train:None test:None"),
        ("train/chair/0.npy test/chair/1.npy", "train:chair test:chair"),
        ("Train/chair/0.npy Test/chair/1.npy", "train:chair test:chair"),
        ("training/chair/0.npy testing/chair/1.npy", "train:chair test:chair"),
        ("TRAIN_DATA/chair/0.npy val_set/chair/1.npy", "train:chair validation:chair"),
        ("chair/train/0.npy chair/test/1.npy", "train:chair test:chair"),
        ("chair/Train/0.npy table/VAL/1.npy", "train:chair validation:table"),
        ("chair/train/0/model.obj table/test/1/model.obj", "train:chair test:table"),
        ("chair/0a/models/model.obj", "train:chair"),
        ("02691156/10a/models/model.obj 02691156/2b/models/model.obj", "train:02691156 train:02691156"),
        ("chair/0a/model.obj chair/1a/model.obj table/2a/model.obj", "train:chair train:chair train:table"),
        ("train/chair/0a/models/model.obj test/chair/1a/models/model.obj", "train:chair test:chair"),
        ("chair/red/models/model.obj chair/old/models/model.obj", "train:chair train:chair"),
        ("chair/models/0.obj table/models/1.obj", "train:chair train:table"),
        # A class may be called train where another level names the splits.
        ("train/train/0.npy train/car/1.npy test/train/2.npy", "train:train train:car test:train"),
        ("train/train/0.npy train/test/1.npy car/train/2.npy", "train:train test:train train:car"),
    ],
)
def test_known_layouts_are_read(names, expected):
    assert read(names) == expected


@pytest.mark.parametrize(
    ("names", "layouts"),
    [
        ("train/0.npy car/0.npy", ("split", "class")),
        ("train/chair/0.npy car/chair/0.npy", ("split/class", "class")),
        ("train/train/0.npy test/train/1.npy", ("split/class", "class/split")),
        ("train/train/0.npy train/test/1.npy", ("split/class", "class/split")),
        ("chair/train/0.npy chair/1.npy", ("class", "class/split")),
        ("chair/train/0.npy chair/0a/model.obj", ("class", "class/split")),
        ("data/train/chair/0.npy data/test/chair/1.npy", ("class/split", "*/split/class")),
        ("ModelNet40/chair/train/0.npy ModelNet40/chair/test/1.npy", ("class", "*/class/split")),
        ("data/chair/0.npy data/table/0.npy", ("class", "**/class")),
        ("data/0/a.npy data/1/a.npy", ("class", "**/class")),
        ("table/a.npy table/deep/chair/c.npy", ("class", "**/class")),
        ("chair/0a/a.npy chair/0a/b.npy", ("class", "**/class")),
        ("chair/red/model.obj chair/old/model.obj", ("class", "**/class")),
        ("train/vehicle/train/0.npy test/vehicle/car/0.npy", ("split/class", "split/**/class")),
        ("train/0a/models/model.obj train/1a/models/model.obj", ("split/class", "split")),
        ("ShapeNet/02691156/0a/models/model.obj", ("class", "**/class")),
    ],
)
def test_folders_that_can_be_read_in_several_ways_are_refused(names, layouts):
    first, second = (f"`layout={layout!r}`" for layout in layouts)
    with pytest.raises(ValueError, match=r"must be readable in one way, got two for .* Set `layout`") as error:
        read(names)
    assert first in str(error.value)
    assert second in str(error.value)


def test_the_message_shows_both_readings():
    message = (
        "`data_dir` must be readable in one way, got two for train/0.npy: split 'train', no class by `layout='split'`, which "
        "does not fit car/0.npy; split 'train', class 'train' by `layout='class'`. Set `layout` to the one you mean, or "
        "rename the folders."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read("car/0.npy train/0.npy")


@pytest.mark.parametrize(
    ("names", "layout", "expected"),
    [
        ("train/0.npy car/0.npy", "class", "train:train train:car"),
        ("train/train/0.npy test/train/1.npy", "split/class", "train:train test:train"),
        ("train/train/0.npy test/train/1.npy", "class/split", "train:train train:test"),
        ("data/train/chair/0.npy data/test/chair/1.npy", "*/split/class", "train:chair test:chair"),
        ("table/a.npy table/deep/chair/c.npy", "class", "train:table train:table"),
        ("table/a.npy table/deep/chair/c.npy", "**/class", "train:table train:chair"),
        ("train/a/chair/0.npy test/chair/1.npy", "split/**/class", "train:chair test:chair"),
        ("chair/0/a.npy b.npy", "flat", "train:None train:None"),
    ],
)
def test_layout_decides(names, layout, expected):
    check_layout(layout)
    assert read(names, layout) == expected


def test_a_file_that_does_not_fit_the_layout_is_named():
    with pytest.raises(ValueError, match=r"`layout` must fit every file, got 'class/split' and table/1/a\.npy"):
        read("chair/train/a.npy table/1/a.npy", "class/split")


@pytest.mark.parametrize("layout", ["", "*", "class/name", "class/class", "**/class/**", "/class", 3])
def test_unknown_layouts_are_refused(layout):
    with pytest.raises(ValueError, match="`layout` must be"):
        check_layout(layout)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *[
            (name, "train")
            for name in ("train", "TRAIN", "Training", "train_data", "TrainSet", "train2017", "01_train")
        ],
        *[(name, "validation") for name in ("val", "Valid", "dev", "validation-split")],
        *[(name, "test") for name in ("test", "Testing", "eval", "evaluation", "test set")],
        *[(name, None) for name in ("test_tube", "train_0001", "trainer", "evaluator", "trained", "data", "", "12")],
    ],
)
def test_split_of_a_folder(name, split):
    assert split_of_folder(name) == split


@pytest.mark.parametrize(
    "names",
    [
        ["chair/train_000.npy", "chair/test_000.npy"],
        ["train_000.npy", "test_000.npy"],
        ["chair/chair_0001_train.off", "chair/chair_0002_TEST.off"],
        ["chair_train/0.npy", "chair_test/0.npy"],
        ["chair/train-0.npy", "chair/val0.npy"],
        ["chair/training.1.npy", "chair/eval.1.npy"],
    ],
)
def test_splits_in_names_without_a_folder_for_each_are_refused(names):
    layout = "class" if "/" in names[0] else "flat"
    with pytest.raises(ValueError, match=rf"all files are of split 'train' by `layout='{layout}'`; by their names"):
        read_places(list(map(PurePath, names)), None)
    assert {place.split for place in read_places(list(map(PurePath, names)), layout)} == {"train"}


def test_lists_of_splits_next_to_the_files_are_refused():
    lists = [PurePath("modelnet40_train.txt"), PurePath("modelnet40_test.txt")]
    with pytest.raises(ValueError, match=r"modelnet40_test\.txt is of 'test' and modelnet40_train\.txt of 'train'"):
        read_places([PurePath("chair/0.npy")], None, lists)


@pytest.mark.parametrize("names", [["a/test_0.npy", "a/b.npy"], ["a/trainer.npy", "a/test.npy"], ["train/a/test.npy"]])
def test_names_that_tell_no_splits_apart_are_read(names):
    assert {place.split for place in read_places(list(map(PurePath, names)), None)} == {"train"}
