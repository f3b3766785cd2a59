import os
import pickle

import numpy as np
import pytest

from jointmae_hf.data import MODELNET10_CLASSES, MODELNET40_CLASSES, DatasetError, load_point_clouds


SPLITS = {"train": ["airplane_0001", "night_stand_0002"], "test": ["tv_stand_0301"]}


def rows_of(name):
    return np.random.default_rng(int(name[-4:])).uniform(-1, 1, (8192, 6)).astype(np.float32)


def content_of(names, classes=MODELNET40_CLASSES):
    return [[rows_of(name) for name in names], [np.array([classes.index(name[:-5])], np.int32) for name in names]]


def write(root, split, content, num_classes=40):
    path = root / f"modelnet{num_classes}_{split}_8192pts_fps.dat"
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.fixture
def source_dir(tmp_path):
    """Point-BERT's cache of three shapes, with the lists of the folder that it lies in."""
    root = tmp_path / "modelnet40_normal_resampled"
    root.mkdir()
    for split, names in SPLITS.items():
        write(root, split, content_of(names))
        (root / f"modelnet40_{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return root


def load(data_dir, tmp_path, **options):
    return load_point_clouds("modelnet40", data_dir, cache_dir=tmp_path / "cache", **options)


@pytest.mark.parametrize("has_lists", [True, False])
def test_pickles_are_read_in_order(source_dir, tmp_path, has_lists):
    if not has_lists:
        for path in source_dir.glob("*.txt"):
            path.unlink()
    splits = load(source_dir, tmp_path)
    for split, names in SPLITS.items():
        numbers = [f"{split}-{row:05d}" for row in range(len(names))]
        assert splits[split]["id"][:] == (names if has_lists else numbers)
        for row, name in zip(splits[split].with_format("numpy"), names, strict=True):
            np.testing.assert_array_equal(row["points"], rows_of(name)[:, :3])
            assert MODELNET40_CLASSES[int(row["label"])] == name[:-5]


def test_pickles_of_modelnet10_have_their_own_files(source_dir, tmp_path):
    for split in SPLITS:
        write(source_dir, split, content_of(["night_stand_0002"], MODELNET10_CLASSES), num_classes=10)
    train = load(source_dir, tmp_path, num_classes=10)["train"]
    assert (train["label"][:], train.features["label"].int2str(6)) == ([6], "night_stand")


def test_pickles_refuse_a_malicious_file(source_dir, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "touched"),)

    write(source_dir, "test", [[Evil()], [np.array([3])]])
    with pytest.raises(
        DatasetError, match=r"modelnet40_test_8192pts_fps\.dat` must be a complete pickle.*mkdir, which is"
    ):
        load(source_dir, tmp_path)
    assert not (tmp_path / "touched").exists()


def cut_off(root):
    path = root / "modelnet40_test_8192pts_fps.dat"
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda root: (root / "modelnet40_test_8192pts_fps.dat").unlink(), r"modelnet40_test_8192pts_fps\.dat \(missing\)"),
        (cut_off, "must be a complete pickle"),
        (lambda root: write(root, "test", {"a": 1}), "a list of clouds and a list of labels, got dict"),
        (lambda root: write(root, "test", [[], []]), "one label per cloud, got 0 clouds"),
        (lambda root: write(root, "test", [[rows_of("a_0001")], []]), "one label per cloud, got 1 clouds and 0"),
        (lambda root: write(root, "test", [[rows_of("a_0001")[:100]], [np.array([36])]]),
         r"clouds of shape \(8192, 6\), got \(100, 6\)"),
        (lambda root: write(root, "test", [["cloud"], [np.array([36])]]), "got str"),
        (lambda root: write(root, "test", [[rows_of("a_0001")], [np.array([40])]]), "labels from 0 to 39, got 40"),
        (lambda root: write(root, "test", [[rows_of("a_0001")], [np.array([3.5])]]), "one integer per label"),
        (lambda root: write(root, "test", [[rows_of("a_0001")], ["36"]]), "one integer per label, got '36'"),
        (lambda root: write(root, "test", content_of(["sofa_0301"])), "must hold the shapes of modelnet40_test.txt in order"),
        (lambda root: write(root, "test", [[np.full((8192, 3), np.nan)], [np.array([36])]]), "finite float32"),
    ],
)  # fmt: skip
def test_pickles_name_what_is_wrong(source_dir, tmp_path, corrupt, message):
    corrupt(source_dir)
    with pytest.raises(DatasetError, match=message):
        load(source_dir, tmp_path)
