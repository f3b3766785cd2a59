import io

import numpy as np
import pytest

from jointmae_hf.data import MODELNET10_CLASSES, MODELNET40_CLASSES, DatasetError, load_point_clouds


SPLITS = {"train": ["airplane_0001", "night_stand_0002"], "test": ["tv_stand_0301", "bathtub_0302"]}


def rows_of(name):
    return np.random.default_rng(int(name[-4:])).uniform(-1, 1, (10_000, 6)).round(6)


@pytest.fixture(scope="module")
def texts():
    """A cloud in the published format is written once: it takes a while."""
    files = {name: io.StringIO() for names in SPLITS.values() for name in names}
    for name, file in files.items():
        np.savetxt(file, rows_of(name), fmt="%.6f", delimiter=",")
    return {name: file.getvalue() for name, file in files.items()}


@pytest.fixture
def source_dir(tmp_path, texts):
    """The tree of modelnet40_normal_resampled.zip with four shapes."""
    root = tmp_path / "modelnet40_normal_resampled"
    root.mkdir()
    for split, names in SPLITS.items():
        (root / f"modelnet40_{split}.txt").write_text("".join(f"{name}\n" for name in names))
        ten = [name for name in names if name[:-5] in MODELNET10_CLASSES]
        (root / f"modelnet10_{split}.txt").write_text("".join(f"{name}\n" for name in ten))
        for name in names:
            (root / name[:-5]).mkdir()
            (root / name[:-5] / f"{name}.txt").write_text(texts[name])
    (root / "modelnet40_shape_names.txt").write_text("".join(f"{name}\n" for name in MODELNET40_CLASSES))
    (root / "modelnet10_shape_names.txt").write_text("".join(f"{name}\n" for name in MODELNET10_CLASSES))
    (root / "filelist.txt").write_text("airplane/airplane_0001.txt\n")
    return root


def load(data_dir, tmp_path, **options):
    return load_point_clouds("modelnet40", data_dir, cache_dir=tmp_path / "cache", **options)


def test_text_has_the_first_three_columns(source_dir, tmp_path):
    splits = load(source_dir, tmp_path)
    for split, names in SPLITS.items():
        assert splits[split]["id"][:] == names
        for row, name in zip(splits[split].with_format("numpy"), names, strict=True):
            np.testing.assert_allclose(row["points"], rows_of(name)[:, :3], rtol=1e-6)
            assert MODELNET40_CLASSES[int(row["label"])] == name[:-5]


def test_text_gives_modelnet10_by_its_own_lists(source_dir, tmp_path):
    splits = load(source_dir.parent, tmp_path, num_classes=10)
    assert [splits[split]["id"][:] for split in ("train", "test")] == [["night_stand_0002"], ["bathtub_0302"]]
    assert splits["train"].features["label"].names == list(MODELNET10_CLASSES)


def test_text_warns_of_shapes_in_no_list_and_of_missing_ones(source_dir, tmp_path, caplog):
    (source_dir / "airplane" / "airplane_0999.txt").write_text("x")
    assert len(load(source_dir, tmp_path, split="train")) == 2
    assert "1 files are in no list and are left out: airplane_0999" in caplog.text
    assert "{'train': 9843, 'test': 2468} clouds, these {'train': 2, 'test': 2}" in caplog.text


def rewrite(name, change):
    def corrupt(root):
        (root / name).write_text(change((root / name).read_text()))

    return corrupt


CLOUD = "airplane/airplane_0001.txt"


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda root: (root / CLOUD).unlink(), r"airplane_0001\.txt \(missing\)"),
        (rewrite(CLOUD, lambda text: text[:-30]), r"airplane_0001\.txt` must hold lines of 6 numbers"),
        (rewrite(CLOUD, lambda text: text[: text.rindex("\n", 0, -1) + 1]), "must hold 10000 lines, got 9999"),
        (rewrite(CLOUD, lambda text: "nan" + text[text.index(","):]), "must hold finite float32 values"),
        (rewrite("modelnet40_test.txt", lambda text: text + "night_0001\n"), "a class of ModelNet40, got 'night_0001' in"),
        (rewrite("modelnet40_test.txt", lambda text: text + "airplane_0001\n"), "in train and test"),
        (rewrite("modelnet40_test.txt", lambda text: text + "airplane_../../x_0001\n"), "within the dataset"),
        (lambda root: (root / "modelnet40_train.txt").unlink(), r"modelnet40_train\.txt` must be a list of names"),
        (rewrite("modelnet40_shape_names.txt", lambda text: text[9:]), "must list the 40 classes"),
    ],
)  # fmt: skip
def test_text_names_what_is_wrong(source_dir, tmp_path, corrupt, message):
    corrupt(source_dir)
    with pytest.raises(DatasetError, match=message):
        load(source_dir, tmp_path)
