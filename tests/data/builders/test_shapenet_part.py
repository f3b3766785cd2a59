import json

import h5py
import numpy as np
import pytest

from jointmae_hf.data import SHAPENET_PART_PARTS, SHAPENET_PART_SYNSETS, DatasetError, load_point_clouds


SHAPES = {
    "train": [("04225987", "1a", 44), ("04379243", "2b", 47)],
    "val": [("02691156", "3c", 0)],
    "test": [("03790512", "4d", 30), ("04379243", "5e", 49)],
}


def rows_of(model, part, num_points):
    rng = np.random.default_rng(int(model, 16))
    rows = rng.uniform(-1, 1, (num_points, 7)).round(6)
    rows[:, 6] = part
    return rows


@pytest.fixture
def text(tmp_path):
    """The tree of the text archive, with clouds of 5 to 9 points."""
    root = tmp_path / "parts" / "shapenetcore_partanno_segmentation_benchmark_v0_normal"
    (root / "train_test_split").mkdir(parents=True)
    lines = [f"{name}\t{synset}\n" for name, synset in SHAPENET_PART_SYNSETS.items()]
    (root / "synsetoffset2category.txt").write_text("".join(lines))
    for split, shapes in SHAPES.items():
        names = [f"shape_data/{synset}/{model}" for synset, model, _ in shapes]
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(json.dumps(names))
        for synset, model, part in shapes:
            (root / synset).mkdir(exist_ok=True)
            rows = rows_of(model, part, 5 + int(model[0]) - 1)
            np.savetxt(root / synset / f"{model}.txt", rows, fmt="%.6f")
    return root


def write_hdf5(path, shapes, **changes):
    labels = [list(SHAPENET_PART_SYNSETS.values()).index(synset) for synset, _, _ in shapes]
    arrays = {
        "data": np.stack([rows_of(model, part, 2048)[:, :3] for _, model, part in shapes]).astype(np.float32),
        "label": np.array(labels, np.uint8)[:, None],
        "pid": np.array([[part] * 2048 for _, _, part in shapes], np.uint8),
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            if values is not None:
                file.create_dataset(name, data=values, compression="gzip")


@pytest.fixture
def hdf5(tmp_path):
    """The tree of the HDF5 archive with one file a split."""
    root = tmp_path / "parts" / "hdf5_data"
    root.mkdir(parents=True)
    for split, shapes in SHAPES.items():
        write_hdf5(root / f"ply_data_{split}0.h5", shapes)
        (root / f"{split}_hdf5_file_list.txt").write_text(f"ply_data_{split}0.h5\n")
    return root


def load(data_dir, tmp_path, **options):
    return load_point_clouds("shapenet_part", data_dir, cache_dir=tmp_path / "cache", **options)


def test_parts_cover_fifty_labels_in_order():
    assert list(SHAPENET_PART_PARTS) == list(SHAPENET_PART_SYNSETS)
    assert [part for parts in SHAPENET_PART_PARTS.values() for part in parts] == list(range(50))
    assert len(SHAPENET_PART_PARTS) == 16


def test_text_is_read_as_it_is(text, tmp_path):
    splits = load(text, tmp_path)
    assert list(splits) == ["train", "validation", "test"]
    for split, shapes in zip(("train", "validation", "test"), SHAPES.values(), strict=True):
        for row, (synset, model, part) in zip(splits[split].with_format("numpy"), shapes, strict=True):
            expected = rows_of(model, part, len(row["points"]))
            np.testing.assert_allclose(row["points"], expected[:, :3], rtol=1e-6)
            np.testing.assert_allclose(row["normals"], expected[:, 3:6], rtol=1e-6)
            assert (str(row["synset"]), str(row["id"])) == (synset, model)


def test_text_turns_float_labels_into_parts(text, tmp_path):
    assert "49.000000\n" in (text / "04379243" / "5e.txt").read_text()
    test = load(text, tmp_path, split="test")
    assert test["part_labels"][1] == [49] * 9
    assert test.features["label"].int2str(test["label"][:]) == ["Motorbike", "Table"]


def test_text_has_clouds_of_different_sizes(text, tmp_path):
    assert [len(parts) for parts in load(text, tmp_path, split="train")["part_labels"]] == [5, 6]


def test_hdf5_is_read_as_it_is(hdf5, tmp_path):
    splits = load(hdf5, tmp_path)
    for split, (name, shapes) in zip(("train", "validation", "test"), SHAPES.items(), strict=True):
        with h5py.File(hdf5 / f"ply_data_{name}0.h5") as file:
            rows = splits[split].with_format("numpy")
            np.testing.assert_array_equal(rows["points"][:], file["data"][()])
            np.testing.assert_array_equal(rows["part_labels"][:], file["pid"][()])
        assert rows["synset"][:].tolist() == [synset for synset, _, _ in shapes]
    assert "normals" not in splits["train"].column_names
    assert splits["test"]["id"][1] == "ply_data_test0-00001"


def test_both_layouts_have_the_same_labels(text, hdf5, tmp_path):
    labels = [load(root, tmp_path, split="test")["label"][:] for root in (text, hdf5)]
    assert labels[0] == labels[1]


def test_layout_must_be_chosen_when_both_are_there(text, hdf5, tmp_path):
    with pytest.raises(DatasetError, match=r"must hold one layout, got txt in .*hdf5 in .*Choose by `layout='txt'`"):
        load(text.parent, tmp_path)
    assert "normals" not in load(text.parent, tmp_path, split="test", layout="hdf5").column_names


def test_layout_must_be_known(text, tmp_path):
    with pytest.raises(ValueError, match="`layout` must be one of 'txt', 'hdf5', got 'pts'"):
        load(text, tmp_path, layout="pts")


def rewrite(name, change):
    def corrupt(root):
        path = root / name
        path.write_text(change(path.read_text()))

    return corrupt


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda root: (root / "04379243" / "2b.txt").unlink(), r"2b\.txt \(missing\)"),
        (rewrite("04379243/2b.txt", lambda text: text[:-20]), r"2b\.txt` must hold lines of 7 numbers"),
        (rewrite("04379243/2b.txt", lambda text: text.replace("47.000000", "46.000000", 1)),
         r"part labels of Table, \(47, 48, 49\), got 46.0 on line 1"),
        (rewrite("04379243/2b.txt", lambda text: text.replace("47.000000", "47.500000")), r"got 47\.5 on line 1"),
        (rewrite("04379243/2b.txt", lambda text: text.replace("47.000000", "nan")), "got nan on line 1"),
        (rewrite("04379243/2b.txt", lambda text: "nan" + text[text.index(" "):]), "must hold finite float32 values"),
        (rewrite("train_test_split/shuffled_val_file_list.json", lambda text: text[:-3]), "must be a JSON list of names"),
        (rewrite("train_test_split/shuffled_val_file_list.json", lambda text: '{"a": 1}'), "must be a JSON list of names"),
        (rewrite("train_test_split/shuffled_val_file_list.json", lambda text: '["shape_data/../x"]'), "within the dataset"),
        (rewrite("train_test_split/shuffled_val_file_list.json", lambda text: '["02691156/3c"]'), "hold names `shape_data/"),
        (rewrite("train_test_split/shuffled_val_file_list.json", lambda text: '["shape_data/00000000/3c"]'),
         "of the 16 categories, got synset '00000000'"),
        (lambda root: (root / "train_test_split" / "shuffled_test_file_list.json").unlink(), "must be a JSON list of names"),
        (rewrite("synsetoffset2category.txt", lambda text: text.replace("Bag", "Box")), "must list the 16 categories"),
    ],
)  # fmt: skip
def test_text_names_what_is_wrong_and_where_to_get_it(text, tmp_path, corrupt, message):
    corrupt(text)
    with pytest.raises(DatasetError, match=message) as caught:
        load(text, tmp_path)
    for part in ("cminst/ShapeNet", "License: ShapeNet terms", "shuffled_train_file_list.json"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pid": None}, r"ply_data_val0\.h5` must have the key `pid`, got \['data', 'label'\]"),
        ({"label": np.array([[16]], np.uint8)}, "labels from 0 to 15, got 16 at cloud 0"),
        ({"pid": np.full((1, 2048), 4, np.uint8)}, r"part labels of Airplane, \(0, 1, 2, 3\), got \[4\] at cloud 0"),
        ({"data": np.zeros((1, 2048, 2), np.float32)}, "`data` of shape"),
    ],
)
def test_hdf5_names_what_is_wrong(hdf5, tmp_path, changes, message):
    write_hdf5(hdf5 / "ply_data_val0.h5", SHAPES["val"], **changes)
    with pytest.raises(DatasetError, match=message):
        load(hdf5, tmp_path)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


@pytest.mark.parametrize("name", ["ply_data_train0.h5", "val_hdf5_file_list.txt"])
def test_hdf5_names_a_missing_file(hdf5, tmp_path, name):
    (hdf5 / name).unlink()
    with pytest.raises(DatasetError, match=name.replace(".", r"\.")):
        load(hdf5, tmp_path)


def test_text_keeps_shapes_that_the_official_lists_have_twice(text, tmp_path, caplog):
    (text / "train_test_split" / "shuffled_val_file_list.json").write_text('["shape_data/04225987/1a"]')
    splits = load(text, tmp_path)
    assert (splits["train"]["id"][0], splits["validation"]["id"][0]) == ("1a", "1a")
    assert "ShapeNetPart: 1 clouds are in two splits and stay there: shape_data/04225987/1a" in caplog.text


def test_text_warns_of_shapes_in_no_list_and_of_missing_ones(text, tmp_path, caplog):
    (text / "02691156" / "6f.txt").write_text("0 0 0 0 0 0 0\n")
    (text / "02691156" / "._6f.txt").write_text("hidden")
    load(text, tmp_path)
    assert "1 files are in no list and are left out: 02691156/6f" in caplog.text
    assert "{'train': 12137, 'validation': 1870, 'test': 2874} clouds" in caplog.text
