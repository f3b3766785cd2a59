import h5py
import numpy as np
import pytest

from jointmae_hf.data import SCANOBJECTNN_CLASSES, DatasetError, load_point_clouds


def write(path, num_clouds, seed, **changes):
    rng = np.random.default_rng(seed)
    arrays = {
        "data": rng.uniform(-1, 1, (num_clouds, 2048, 3)).astype(np.float32),
        "label": rng.integers(0, 15, num_clouds).astype(np.int32),
        "mask": rng.integers(-1, 3, (num_clouds, 2048)).astype(np.int32),
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            if values is not None:
                options = 1 if name == "label" else 4
                file.create_dataset(name, data=values, compression="gzip", compression_opts=options)
    return arrays


FILES = {
    "obj_bg": "main_split/{}_objectdataset.h5",
    "obj_only": "main_split_nobg/{}_objectdataset.h5",
    "pb_t50_rs": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
}


@pytest.fixture
def source_dir(tmp_path):
    """The tree of h5_files.zip with three and two clouds a file, and its stray file."""
    root = tmp_path / "h5_files"
    for seed, name in enumerate(FILES.values()):
        write(root / name.format("training"), 3, 2 * seed)
        write(root / name.format("test"), 2, 2 * seed + 1)
    with h5py.File(root / "main_split" / "test_objectdataset_newsplit.h5", "w"):
        pass
    return root


def load(data_dir, tmp_path, **options):
    return load_point_clouds("scanobjectnn", data_dir, cache_dir=tmp_path / "cache", **options)


@pytest.mark.parametrize("subset", FILES)
def test_scanobjectnn_equals_the_files_of_the_subset(source_dir, tmp_path, subset):
    splits = load(source_dir, tmp_path, subset=subset)
    for split, name in (("train", "training"), ("test", "test")):
        with h5py.File(source_dir / FILES[subset].format(name)) as file:
            rows = splits[split].with_format("numpy")
            np.testing.assert_array_equal(rows["points"][:], file["data"][()])
            np.testing.assert_array_equal(rows["label"][:], file["label"][()])
            np.testing.assert_array_equal(rows["is_background"][:], file["mask"][()] == -1)


def test_scanobjectnn_defaults_to_the_hardest_subset(source_dir, tmp_path):
    test = load(source_dir.parent, tmp_path, split="test")
    assert test["id"][1] == "main_split/test_objectdataset_augmentedrot_scale75-00001"


def test_scanobjectnn_names_its_classes(source_dir, tmp_path):
    names = load(source_dir, tmp_path, split="test").features["label"].names
    assert names == list(SCANOBJECTNN_CLASSES)
    assert (len(names), names[0], names[10], names[14]) == (15, "bag", "bed", "toilet")


def test_scanobjectnn_has_no_background_when_cut_objects_have_no_mask(source_dir, tmp_path):
    write(source_dir / "main_split_nobg" / "test_objectdataset.h5", 2, 0, mask=None)
    test = load(source_dir, tmp_path, split="test", subset="obj_only").with_format("numpy")
    assert not test["is_background"][:].any()


@pytest.mark.parametrize("labels", [np.array([[3], [4]], np.uint8), np.array([3, 4], np.int64)])
def test_scanobjectnn_takes_any_integer_labels(source_dir, tmp_path, labels):
    write(source_dir / "main_split" / "test_objectdataset.h5", 2, 0, label=labels)
    assert load(source_dir, tmp_path, split="test", subset="obj_bg")["label"][:] == [3, 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, r"test_objectdataset\.h5` must have the key `label`, got \['data', 'mask'\]"),
        ({"mask": None}, "must have the key `mask`"),
        ({"label": np.array([0, 15])}, r"test_objectdataset\.h5` must hold labels from 0 to 14, got 15 at cloud 1"),
        ({"label": np.array([0, -1])}, "got -1 at cloud 1"),
        ({"label": np.array([0.0, 1.0])}, "`label` of shape .* and kind 'iu'"),
        ({"data": np.zeros((2, 1024, 3), np.float32)}, r"`data` of shape \(num_clouds, 2048, 3\)"),
        ({"data": np.full((2, 2048, 3), np.inf, np.float32)}, "must hold finite float32 values"),
        ({"mask": np.zeros((1, 2048), np.int32)}, "as many rows in every array"),
    ],
)
def test_scanobjectnn_names_what_is_wrong_and_where_to_get_it(source_dir, tmp_path, changes, message):
    write(source_dir / "main_split" / "test_objectdataset.h5", 2, 0, **changes)
    with pytest.raises(DatasetError, match=message) as caught:
        load(source_dir, tmp_path, subset="obj_bg")
    for text in ("hkust-vgd.ust.hk", "License: ScanObjectNN terms of use", "main_split_nobg/"):
        assert text in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_scanobjectnn_names_a_missing_file(source_dir, tmp_path):
    (source_dir / "main_split" / "training_objectdataset.h5").unlink()
    with pytest.raises(DatasetError, match=r"training_objectdataset\.h5 \(missing\)"):
        load(source_dir, tmp_path, subset="obj_bg")


def test_scanobjectnn_warns_that_it_is_not_complete(source_dir, tmp_path, caplog):
    load(source_dir, tmp_path)
    assert "{'train': 11416, 'test': 2882} clouds, these {'train': 3, 'test': 2}" in caplog.text


def test_scanobjectnn_lists_the_subsets_when_it_does_not_know_one(source_dir, tmp_path):
    with pytest.raises(ValueError, match="`subset` must be one of 'obj_bg', 'obj_only', 'pb_t50_rs', got 'hardest'"):
        load(source_dir, tmp_path, subset="hardest")
