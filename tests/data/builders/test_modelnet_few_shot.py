import os
import pickle

import h5py
import numpy as np
import pytest

from jointmae_hf.data import MODELNET40_CLASSES, DatasetError, ModelNet40, load_point_clouds
from jointmae_hf.evaluation import draw_fold


CLASSES = (33, 0, 8, 23, 36)


def published_fold(num_ways=5, num_shots=10, classes=CLASSES, num_points=8192):
    """What Point-BERT's program writes; all shapes of a class are one array here, to be quick."""
    clouds = [np.random.default_rng(number).uniform(-1, 1, (num_points, 6)).astype(np.float32) for number in classes]
    return {
        split: [(clouds[label], label, classes[label]) for label in range(num_ways) for _ in range(count)]
        for split, count in (("train", num_shots), ("test", 20))
    }


@pytest.fixture
def folds(tmp_path):
    """The published tree with one fold of 5 ways and 10 shots."""
    folder = tmp_path / "ModelNetFewshot" / "5way_10shot"
    folder.mkdir(parents=True)
    (folder / "3.pkl").write_bytes(pickle.dumps(published_fold(), protocol=4))
    return folder


@pytest.fixture(scope="module")
def modelnet40(tmp_path_factory):
    """The HDF5 layout with 20 shapes of every class in both splits, each of one repeated point that tells which it is."""
    root = tmp_path_factory.mktemp("modelnet") / "modelnet40_ply_hdf5_2048"
    root.mkdir()
    for number, split in enumerate(("train", "test")):
        (root / f"{split}_files.txt").write_text(f"data/modelnet40_ply_hdf5_2048/ply_data_{split}0.h5\n")
        data = np.broadcast_to(np.arange(800, dtype=np.float32)[:, None, None] + 1000 * number, (800, 2048, 3))
        with h5py.File(root / f"ply_data_{split}0.h5", "w") as file:
            file.create_dataset("data", data=data, compression="gzip", compression_opts=1)
            file["label"] = (np.arange(800) % 40).astype(np.uint8)[:, None]
    return root


def load(data_dir, tmp_path, **options):
    return load_point_clouds("modelnet_few_shot", data_dir, cache_dir=tmp_path / "cache", **options)


def test_published_fold_is_read_as_it_is(folds, tmp_path):
    splits = load(folds.parent, tmp_path, fold=3)
    assert {split: len(dataset) for split, dataset in splits.items()} == {"train": 50, "test": 100}
    for split, items in published_fold().items():
        rows = splits[split].with_format("numpy")
        assert rows["label"][:].tolist() == [label for _, label, _ in items]
        np.testing.assert_array_equal(rows[len(items) - 1]["points"], items[-1][0][:, :3])


def test_published_fold_names_its_classes(folds, tmp_path):
    train = load(folds.parent.parent, tmp_path, fold=3, split="train")
    assert train.features["label"].names == ["table", "airplane", "chair", "night_stand", "tv_stand"]
    assert train["id"][7] == "5way_10shot/3-train-007"


def test_published_folders_may_have_the_other_spelling(folds, tmp_path):
    folds.rename(folds.with_name("5way10shot"))
    assert len(load(folds.parent, tmp_path, fold=3, split="test")) == 100


def test_published_folders_of_both_spellings_are_refused(folds, tmp_path):
    folds.with_name("5way10shot").mkdir()
    with pytest.raises(DatasetError, match="must hold the folder 5way_10shot or 5way10shot, got both"):
        load(folds.parent, tmp_path, fold=3)


def test_published_fold_refuses_a_malicious_file(folds, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "touched"),)

    (folds / "3.pkl").write_bytes(pickle.dumps({"train": [Evil()], "test": []}))
    with pytest.raises(DatasetError, match=r"3\.pkl` must be a complete pickle.*mkdir, which is refused"):
        load(folds.parent, tmp_path, fold=3)
    assert not (tmp_path / "touched").exists()


def changed(change):
    fold = published_fold()
    change(fold)
    return fold


def relabel(split, row, label, number):
    def change(fold):
        fold[split][row] = (fold[split][row][0], label, number)

    return change


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "a dictionary with `train` and `test`"),
        ({"train": []}, "a dictionary with `train` and `test`"),
        ({"train": 1, "test": []}, "lists of shapes, got int"),
        ({"train": [1], "test": []}, r"shapes as \(points, label, class\), got int"),
        (changed(lambda fold: fold["train"].pop()), "10 shapes of each label from 0 to 4 in 'train', got {.*4: 9}"),
        (changed(lambda fold: fold["test"].append(fold["test"][0])), "20 shapes of each label from 0 to 4 in 'test'"),
        (changed(relabel("train", 0, 5, 33)), "10 shapes of each label"),
        (changed(relabel("train", 0, 0, 40)), "one class from 0 to 39 per label, got 40 for label 0"),
        (changed(relabel("test", 0, 0, 12)), "one class from 0 to 39 per label, got 12 for label 0 in 'test'"),
        (changed(relabel("test", 0, 0, 1.5)), r"one integer per label, got 1\.5"),
        (published_fold(classes=(0, 1, 2, 3, 0)), "another class for every label"),
        (published_fold(num_shots=20), "10 shapes of each label"),
        (published_fold(num_points=1024), r"clouds of shape \(8192, 6\), got \(1024, 6\)"),
    ],
)
def test_published_fold_names_what_is_wrong(folds, tmp_path, content, message):
    (folds / "3.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DatasetError, match=message) as caught:
        load(folds.parent, tmp_path, fold=3)
    assert "5way_10shot/0.pkl" in str(caught.value)


def test_published_fold_must_be_there(folds, tmp_path):
    with pytest.raises(DatasetError, match=r"4\.pkl \(missing\)"):
        load(folds.parent, tmp_path, fold=4)
    with pytest.raises(DatasetError, match="must hold the folder 10way_20shot or 10way20shot, got none"):
        load(folds.parent, tmp_path, num_ways=10, num_shots=20)


@pytest.mark.parametrize("num_ways", [5, 10])
@pytest.mark.parametrize("num_shots", [10, 20])
def test_drawn_fold_has_ways_and_shots(modelnet40, tmp_path, num_ways, num_shots):
    splits = load(modelnet40, tmp_path, num_ways=num_ways, num_shots=num_shots, fold=9, seed=0)
    for split, num_shapes in (("train", num_shots), ("test", 20)):
        assert np.bincount(splits[split]["label"][:]).tolist() == [num_shapes] * num_ways
        assert len(set(splits[split]["id"][:])) == num_ways * num_shapes


def test_drawn_fold_takes_each_split_from_the_official_one(modelnet40, tmp_path):
    splits = load(modelnet40.parent, tmp_path, seed=0)
    for number, split in enumerate(("train", "test")):
        names = splits[split].features["label"].names
        for row in splits[split].with_format("numpy"):
            shape = int(row["points"][0, 0])
            assert shape // 1000 == number
            assert MODELNET40_CLASSES[shape % 1000 % 40] == names[int(row["label"])]
            assert str(row["id"]) == f"ply_data_{split}0-{shape % 1000:05d}"


def test_drawn_folds_follow_the_seed(modelnet40, tmp_path):
    def ids(**options):
        return load(modelnet40, tmp_path, split="train", **options)["id"][:]

    first = ids(seed=0)
    assert load(modelnet40, tmp_path / "other", split="train", seed=0)["id"][:] == first
    assert ids(seed=1) != first
    assert ids(seed=0, fold=1) != first


@pytest.mark.parametrize(("num_ways", "fold", "seed"), [(5, 0, 0), (10, 4, 7)])
def test_drawn_fold_is_the_one_that_evaluation_draws(modelnet40, tmp_path, num_ways, fold, seed):
    own = load(modelnet40, tmp_path, num_ways=num_ways, fold=fold, seed=seed)
    splits = load_point_clouds("modelnet40", modelnet40, cache_dir=tmp_path / "cache")
    other = draw_fold(splits["train"], splits["test"], num_ways, 10, fold, seed)
    assert own["train"].features["label"].names == list(other.class_names)
    for split, drawn in (("train", other.train), ("test", other.test)):
        assert drawn.clouds.dataset["id"][:] == own[split]["id"][:]
        assert [sample["labels"] for sample in drawn] == own[split]["label"][:]


def test_drawn_folds_share_the_dataset_in_the_cache(modelnet40, tmp_path, monkeypatch):
    load(modelnet40, tmp_path, seed=0)
    monkeypatch.setattr(ModelNet40, "_generate_tables", None)
    assert len(load(modelnet40, tmp_path, seed=0, fold=1, split="train")) == 50


def test_drawn_fold_names_the_class_with_too_few_shapes(tmp_path):
    with h5py.File(tmp_path / "ply_data_train0.h5", "w") as file:
        file["data"], file["label"] = np.zeros((400, 2048, 3), np.float32), np.arange(400) % 40
    for split in ("train", "test"):
        (tmp_path / f"{split}_files.txt").write_text("ply_data_train0.h5\n")
    with pytest.raises(DatasetError, match=r"must have 20 shapes of '.*' in 'train' to draw from, got 10"):
        load(tmp_path, tmp_path, num_shots=20, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_ways": 7}, r"`num_ways` must be one of \[5, 10\], got 7"),
        ({"num_shots": 1}, r"`num_shots` must be one of \[10, 20\], got 1"),
        ({"fold": 10}, "`fold` must be one of .*got 10"),
        ({"fold": True}, "`fold` must be one of .*got True"),
        ({"seed": -1}, "`seed` must be at least 0, got -1"),
        ({"layout": "off"}, "`layout` and `num_points` must be left out without `seed`"),
    ],
)
def test_options_are_checked_before_files(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "absent", tmp_path, **options)
