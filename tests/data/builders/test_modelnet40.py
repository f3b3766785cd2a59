import pytest

from jointmae_hf.data import MODELNET10_CLASSES, MODELNET40_CLASSES, DatasetError, ModelNet40
from jointmae_hf.data.builders.modelnet40_layouts import class_of_shape, label_of_shape


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")


MARKS = {
    "hdf5": ["modelnet40_ply_hdf5_2048/ply_data_train0.h5"],
    "txt": ["modelnet40_normal_resampled/airplane/airplane_0001.txt"],
    "dat": [
        "modelnet40_normal_resampled/modelnet40_train_8192pts_fps.dat",
        "modelnet40_normal_resampled/modelnet40_test_8192pts_fps.dat",
    ],
    "off": ["ModelNet40/airplane/train/airplane_0001.off"],
}


def test_classes_are_alphabetical():
    assert list(MODELNET40_CLASSES) == sorted(MODELNET40_CLASSES)
    assert len(MODELNET40_CLASSES) == 40
    assert set(MODELNET10_CLASSES) < set(MODELNET40_CLASSES)
    # The size of the published list.
    assert len("".join(f"{name}\n" for name in MODELNET40_CLASSES)) == 275


@pytest.mark.parametrize("name", ["night_stand_0001", "tv_stand_0267", "range_hood_0001", "flower_pot_0169"])
def test_class_names_keep_their_underscores(name):
    assert class_of_shape(name) == name[:-5]
    assert MODELNET40_CLASSES[label_of_shape(name, 40, "list")] == name[:-5]


@pytest.mark.parametrize("name", ["night_0001", "stand_0001", "airplane", "", "airplane0001"])
def test_label_of_shape_refuses_unknown_classes(name):
    with pytest.raises(ValueError, match=f"a class of ModelNet40, got {name!r} in list"):
        label_of_shape(name, 40, "list")


def test_label_of_shape_refuses_other_classes_than_the_ten():
    with pytest.raises(ValueError, match="a class of ModelNet10"):
        label_of_shape("airplane_0001", 10, "list")


def test_layout_must_be_chosen_when_there_are_several(tmp_path):
    for names in MARKS.values():
        for name in names:
            touch(tmp_path / name)
    with pytest.raises(
        DatasetError, match=r"got hdf5 in .*, txt in .*, dat in .*, off in .*Choose by `layout='hdf5'`"
    ):
        ModelNet40(data_dir=str(tmp_path))


def test_clouds_and_cache_in_one_folder_are_two_layouts(tmp_path):
    for name in MARKS["txt"] + MARKS["dat"]:
        touch(tmp_path / name)
    with pytest.raises(DatasetError, match=r"must hold one layout, got txt in .*, dat in "):
        ModelNet40(data_dir=str(tmp_path / "modelnet40_normal_resampled"))
    assert (
        ModelNet40(data_dir=str(tmp_path), layout="dat", cache_dir=str(tmp_path)).info.features["points"].shape[0]
        == 8192
    )


def test_layout_must_be_there(tmp_path):
    touch(tmp_path / MARKS["txt"][0])
    with pytest.raises(DatasetError, match=r"holds, \['txt'\], got 'off'"):
        ModelNet40(data_dir=str(tmp_path), layout="off")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": 20}, ValueError, "`num_classes` must be 40 or 10, got 20"),
        ({"layout": "ply"}, ValueError, "`layout` must be one of 'hdf5', 'txt', 'dat', 'off', got 'ply'"),
        ({"num_points": 0}, ValueError, "`num_points` must be at least 1, got 0"),
        ({"num_points": 2.5}, TypeError, r"`num_points` must be an int, got 2\.5"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0, got -1"),
        ({"seed": True}, TypeError, "`seed` must be an int, got True"),
    ],
)
def test_options_are_checked_before_files(tmp_path, options, error, message):
    with pytest.raises(error, match=message) as caught:
        ModelNet40(data_dir=str(tmp_path / "absent"), **options)
    assert not isinstance(caught.value, DatasetError)


@pytest.mark.parametrize("option", ["num_points", "seed"])
def test_options_of_meshes_are_refused_for_clouds(tmp_path, option):
    touch(tmp_path / MARKS["hdf5"][0])
    with pytest.raises(ValueError, match="`num_points` and `seed` must be left out except for meshes"):
        ModelNet40(data_dir=str(tmp_path), **{option: 1})
