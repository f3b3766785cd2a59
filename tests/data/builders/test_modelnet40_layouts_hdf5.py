import json

import h5py
import numpy as np
import pytest

from jointmae_hf.data import MODELNET40_CLASSES, DatasetError, load_point_clouds


FILES = {
    "train": [["airplane_0001", "night_stand_0002"], ["xbox_0003", "bed_0004", "sofa_0005"]],
    "test": [["tv_stand_0301", "bathtub_0302"]],
}


def points_of(name):
    rng = np.random.default_rng(int(name[-4:]))
    return rng.uniform(-1, 1, (2048, 3)).astype(np.float32)


def write(path, names, **changes):
    num_clouds = len(names)
    arrays = {
        "data": np.stack([points_of(name) for name in names]),
        "normal": np.zeros((num_clouds, 2048, 3), np.float32),
        "faceId": np.zeros((num_clouds, 2048), np.int32),
        "label": np.array([[MODELNET40_CLASSES.index(name[:-5])] for name in names], np.uint8),
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            if values is not None:
                options = 1 if name == "label" else 4
                file.create_dataset(name, data=values, compression="gzip", compression_opts=options)


@pytest.fixture
def source_dir(tmp_path):
    """The tree of modelnet40_ply_hdf5_2048.zip with seven shapes."""
    root = tmp_path / "modelnet40_ply_hdf5_2048"
    root.mkdir()
    (root / "shape_names.txt").write_text("".join(f"{name}\n" for name in MODELNET40_CLASSES))
    for split, files in FILES.items():
        lines = []
        for number, names in enumerate(files):
            write(root / f"ply_data_{split}{number}.h5", names)
            plys = [f"{name[:-5]}/{name}.ply" for name in names]
            (root / f"ply_data_{split}_{number}_id2file.json").write_text(json.dumps(plys))
            lines.append(f"data/modelnet40_ply_hdf5_2048/ply_data_{split}{number}.h5\n")
        (root / f"{split}_files.txt").write_text("".join(lines))
    return root


def load(data_dir, tmp_path, **options):
    return load_point_clouds("modelnet40", data_dir, cache_dir=tmp_path / "cache", **options)


def test_hdf5_keeps_the_order_of_the_lists_and_drops_their_prefix(source_dir, tmp_path):
    splits = load(source_dir, tmp_path)
    for split, files in FILES.items():
        names = [name for file in files for name in file]
        assert splits[split]["id"][:] == names
        for row, name in zip(splits[split].with_format("numpy"), names, strict=True):
            np.testing.assert_array_equal(row["points"], points_of(name))
            assert MODELNET40_CLASSES[int(row["label"])] == name[:-5]


def test_hdf5_is_found_from_the_folder_above(source_dir, tmp_path):
    assert len(load(source_dir.parent, tmp_path, split="test")) == 2


def test_hdf5_names_rows_by_number_without_their_names(source_dir, tmp_path):
    for path in source_dir.glob("*.json"):
        path.unlink()
    assert load(source_dir, tmp_path, split="train")["id"][2] == "ply_data_train1-00000"


def test_hdf5_gives_the_ten_classes_of_modelnet10(source_dir, tmp_path):
    splits = load(source_dir, tmp_path, num_classes=10)
    train = splits["train"]
    assert train["id"][:] == ["night_stand_0002", "bed_0004", "sofa_0005"]
    assert train.features["label"].int2str(train["label"][:]) == ["night_stand", "bed", "sofa"]
    assert (train.features["label"].num_classes, train["label"][:]) == (10, [6, 1, 7])
    np.testing.assert_array_equal(train.with_format("numpy")[2]["points"], points_of("sofa_0005"))


def test_hdf5_with_9840_training_shapes_is_complete(source_dir, tmp_path, caplog):
    load(source_dir, tmp_path)
    assert "ModelNet40: the published splits hold {'train': 9840, 'test': 2468} clouds" in caplog.text


def test_hdf5_is_built_again_when_its_names_change(source_dir, tmp_path):
    load(source_dir, tmp_path)
    (source_dir / "ply_data_test_0_id2file.json").write_text(
        '["tv_stand/tv_stand_0399.ply", "bathtub/bathtub_0302.ply"]'
    )
    assert load(source_dir, tmp_path, split="test")["id"][0] == "tv_stand_0399"


def swap_names(root):
    (root / "ply_data_test_0_id2file.json").write_text('["bathtub/bathtub_0302.ply", "tv_stand/tv_stand_0301.ply"]')


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (lambda root: (root / "ply_data_train1.h5").unlink(), r"ply_data_train1\.h5 \(missing\)"),
        (lambda root: (root / "train_files.txt").unlink(), r"train_files\.txt` must be a list of names"),
        (lambda root: write(root / "ply_data_train1.h5", FILES["train"][1], label=None),
         r"ply_data_train1\.h5` must have the key `label`, got \['data', 'faceId', 'normal'\]"),
        (lambda root: write(root / "ply_data_test0.h5", FILES["test"][0], label=np.array([[3], [40]], np.uint8)),
         "labels from 0 to 39, got 40 at cloud 1"),
        (lambda root: write(root / "ply_data_test0.h5", FILES["test"][0][:1]), "must name the 1 clouds of ply_data_test0"),
        (swap_names, "must have the labels that ply_data_test_0_id2file.json gives, got 'tv_stand' for 'bathtub_0302'"),
        (lambda root: (root / "ply_data_test_0_id2file.json").write_text("[1]"), "must be a JSON list"),
        (lambda root: (root / "shape_names.txt").write_text("bed\n"), "must list the 40 classes of the dataset in order"),
        (lambda root: (root / "ply_data_test0.h5").write_bytes(b"\x89HDF\r\n\x1a\n"), "must be a complete HDF5 file"),
    ],
)  # fmt: skip
def test_hdf5_names_what_is_wrong_and_where_to_get_it(source_dir, tmp_path, corrupt, message):
    corrupt(source_dir)
    with pytest.raises(DatasetError, match=message) as caught:
        load(source_dir, tmp_path)
    for text in ("modelnet.cs.princeton.edu", "License: academic research only", "ply_data_train_0_id2file.json"):
        assert text in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.arrow"))
