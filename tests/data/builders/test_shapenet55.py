from zlib import crc32

import numpy as np
import pytest

from jointmae_hf.data import SHAPENET55_SYNSETS, DatasetError, ShapeNet55, load_point_clouds


TRAIN = [
    "02828884-3d2ee152db78b312e5a8eba5f6050bab.npy",
    "03001627-u481ebf18-4bbb-4b49-90c9-7a1e9348b647.npy",
    "04379243-.npy",
]
TEST = ["02747177-.npy", "02691156-10155655850468db78d106ce0a280f87.npy"]


def cloud_of(name):
    return np.random.default_rng(crc32(name.encode())).uniform(-1, 1, (8192, 3)).astype(np.float32)


@pytest.fixture
def source_dir(tmp_path):
    """Point-BERT's tree with three and two clouds."""
    root = tmp_path / "data" / "ShapeNet55-34"
    (root / "shapenet_pc").mkdir(parents=True)
    (root / "ShapeNet-55").mkdir()
    for name in TRAIN + TEST:
        np.save(root / "shapenet_pc" / name, cloud_of(name))
    (root / "ShapeNet-55" / "train.txt").write_text("\n".join(TRAIN) + "\n")
    (root / "ShapeNet-55" / "test.txt").write_text("\n".join(TEST) + "\n")
    return root


def load(data_dir, tmp_path, **options):
    return load_point_clouds("shapenet55", data_dir, cache_dir=tmp_path / "cache", **options)


def remove_lists(source_dir):
    for path in (source_dir / "ShapeNet-55").iterdir():
        path.unlink()


def test_shapenet55_keeps_the_order_of_the_lists(source_dir, tmp_path):
    splits = load(source_dir, tmp_path)
    assert list(splits) == ["train", "test"]
    for split, names in (("train", TRAIN), ("test", TEST)):
        rows = splits[split].with_format("numpy")
        for row, name in zip(rows, names, strict=True):
            np.testing.assert_array_equal(row["points"], cloud_of(name))


def test_shapenet55_splits_names_at_the_first_hyphen_alone(source_dir, tmp_path):
    train = load(source_dir, tmp_path, split="train")
    assert train["synset"][:] == ["02828884", "03001627", "04379243"]
    assert train["id"][:] == ["3d2ee152db78b312e5a8eba5f6050bab", "u481ebf18-4bbb-4b49-90c9-7a1e9348b647", ""]


def test_shapenet55_labels_are_the_55_synsets_in_order(source_dir, tmp_path):
    train = load(source_dir, tmp_path, split="train")
    names = train.features["label"].names
    assert names == list(SHAPENET55_SYNSETS.values())
    assert len(set(names)) == 55
    assert [names[label] for label in train["label"][:]] == ["bench", "chair", "table"]
    assert list(SHAPENET55_SYNSETS) == sorted(SHAPENET55_SYNSETS)


def test_shapenet55_joins_the_splits_when_whole(source_dir, tmp_path):
    splits = load(source_dir, tmp_path, whole=True)
    assert {split: len(dataset) for split, dataset in splits.items()} == {"train": 5}


def test_shapenet55_is_the_same_from_the_folder_above(source_dir, tmp_path):
    assert load(source_dir.parent, tmp_path, split="test")["synset"][:] == ["02747177", "02691156"]


@pytest.mark.parametrize("place", ["ShapeNet-35", "."])
def test_shapenet55_finds_the_lists_in_other_places(source_dir, tmp_path, place):
    (source_dir / place).mkdir(exist_ok=True)
    for path in list((source_dir / "ShapeNet-55").iterdir()):
        path.rename(source_dir / place / path.name)
    assert len(load(source_dir, tmp_path, split="train")) == 3


def test_shapenet55_splits_by_checksum_when_the_lists_are_missing(source_dir, tmp_path, caplog):
    remove_lists(source_dir)
    names = [f"02691156-{number:032x}.npy" for number in range(12)]
    for name in names:
        np.save(source_dir / "shapenet_pc" / name, cloud_of(name))
    splits = load(source_dir, tmp_path)
    expected = sorted(name for name in names + TRAIN + TEST if crc32(name.encode()) % 5 == 0)
    assert [f"{row['synset']}-{row['id']}.npy" for row in splits["test"]] == expected
    assert len(splits["train"]) + len(splits["test"]) == 17
    assert "the split is ours, not the published one" in caplog.text


def test_shapenet55_split_by_checksum_has_no_empty_split(source_dir, tmp_path):
    remove_lists(source_dir)
    for name in TRAIN + TEST:
        if crc32(name.encode()) % 5 == 0:
            (source_dir / "shapenet_pc" / name).unlink()
    assert list(load(source_dir, tmp_path)) == ["train"]


def test_shapenet55_warns_that_it_is_not_complete(source_dir, tmp_path, caplog):
    load(source_dir, tmp_path)
    assert "{'train': 41952, 'test': 10518} clouds, these {'train': 3, 'test': 2}" in caplog.text


def test_shapenet55_warns_of_clouds_in_no_list(source_dir, tmp_path, caplog):
    np.save(source_dir / "shapenet_pc" / "02691156-1.npy", cloud_of("a"))
    assert len(load(source_dir, tmp_path, split="train")) == 3
    assert "1 files are in no list and are left out: 02691156-1.npy" in caplog.text


def corrupt_list(split, line):
    def corrupt(source_dir):
        with open(source_dir / "ShapeNet-55" / f"{split}.txt", "a") as file:
            file.write(f"{line}\n")

    return corrupt


def corrupt_cloud(array):
    return lambda source_dir: np.save(source_dir / "shapenet_pc" / TRAIN[1], array)


def cut_off(source_dir):
    path = source_dir / "shapenet_pc" / TRAIN[1]
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (
            lambda source_dir: (source_dir / "ShapeNet-55" / "test.txt").unlink(),
            r"test\.txt` must exist, as the other list",
        ),
        (
            lambda source_dir: (source_dir / "shapenet_pc" / TRAIN[2]).unlink(),
            r"got 1 bad: .*04379243-\.npy \(missing\)",
        ),
        (lambda source_dir: (source_dir / "shapenet_pc" / TRAIN[2]).write_bytes(b""), r"04379243-\.npy \(empty\)"),
        (
            corrupt_list("train", TRAIN[0]),
            "every name once, got '02828884-3d2ee152db78b312e5a8eba5f6050bab.npy' twice",
        ),
        (corrupt_list("test", TRAIN[0]), "in train and test"),
        (corrupt_list("test", "99999999-a.npy"), "of the 55 synsets of ShapeNet-55, got '99999999'"),
        (corrupt_list("test", "02691156.npy"), "named `<synset>-<model>.npy`, got '02691156.npy'"),
        (corrupt_list("test", "../02691156-a.npy"), "names within the dataset"),
        (corrupt_cloud(np.zeros((8191, 3), np.float32)), r"7a1e9348b647\.npy` must hold 8192 points, got 8191"),
        (corrupt_cloud(np.zeros((8192, 6), np.float32)), r"7a1e9348b647\.npy` must hold an array of shape"),
        (corrupt_cloud(np.full((8192, 3), np.nan)), "must hold finite float32 values"),
        (cut_off, r"7a1e9348b647\.npy` must be a complete \.npy file"),
    ],
)
def test_shapenet55_names_what_is_wrong_and_where_to_get_it(source_dir, tmp_path, corrupt, message):
    corrupt(source_dir)
    with pytest.raises(DatasetError, match=message) as caught:
        load(source_dir, tmp_path)
    for text in ("Point-BERT", "License: ShapeNet terms", "shapenet_pc/02691156-"):
        assert text in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_shapenet55_needs_clouds(tmp_path):
    with pytest.raises(DatasetError, match=r"must hold clouds `<synset>-<model>.npy`, got none in"):
        ShapeNet55(data_dir=str(tmp_path))


def test_shapenet55_refuses_whole_that_is_no_bool(tmp_path):
    with pytest.raises(TypeError, match="`whole` must be a bool, got 'yes'"):
        ShapeNet55(data_dir=str(tmp_path), whole="yes")
