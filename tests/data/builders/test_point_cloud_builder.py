import pickle
import shutil
from functools import partial

import numpy as np
import pytest
from datasets.exceptions import DatasetGenerationError

from jointmae_hf.data import DatasetError, ShapeNet55, load_point_clouds
from jointmae_hf.data.builders import point_cloud_builder, shapenet55, source_files
from jointmae_hf.data.builders.point_cloud_builder import DatasetSource


@pytest.fixture
def source_dir(tmp_path, monkeypatch):
    """Five clouds of two points, in parts of two."""
    monkeypatch.setattr(shapenet55, "_NUM_POINTS", 2)
    monkeypatch.setattr(source_files, "parts_of", partial(source_files.parts_of, size=2))
    monkeypatch.setattr(point_cloud_builder, "_CLOUDS_PER_TABLE", 1)
    folder = tmp_path / "clouds"
    folder.mkdir()
    names = [f"02691156-{number}.npy" for number in range(6)]
    for number, name in enumerate(names):
        np.save(folder / name, np.full((2, 3), number, np.float32))
    (folder / "train.txt").write_text("\n".join(names[:5]))
    (folder / "test.txt").write_text(names[5])
    return folder


def load(source_dir, tmp_path, **options):
    dataset = load_point_clouds("shapenet55", source_dir, "train", cache_dir=tmp_path / "cache", **options)
    return dataset.with_format("numpy")["points"][:][:, 0, 0].tolist()


def test_dataset_is_the_same_however_it_is_cut_and_divided(source_dir, tmp_path):
    assert load(source_dir, tmp_path) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert load(source_dir, tmp_path / "other", num_proc=2) == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_dataset_streams(source_dir, tmp_path):
    builder = ShapeNet55(data_dir=str(source_dir), cache_dir=str(tmp_path / "cache"))
    rows = list(builder.as_streaming_dataset(split="train"))
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4"]
    np.testing.assert_array_equal(rows[3]["points"], np.full((2, 3), 3.0))


def test_dataset_is_built_again_when_a_file_changes(source_dir, tmp_path):
    load(source_dir, tmp_path)
    np.save(source_dir / "02691156-1.npy", np.full((2, 3), 7.0, np.float32))
    assert load(source_dir, tmp_path) == [0.0, 7.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("edited", ["data/readers/arrays.py", "data/builders/source_files.py", "data/schema.py"])
def test_dataset_has_another_cache_when_a_reader_is_edited(source_dir, tmp_path, monkeypatch, edited):
    options = {"data_dir": str(source_dir), "cache_dir": str(tmp_path / "cache")}
    before = ShapeNet55(**options).cache_dir
    package = shutil.copytree(source_files._PACKAGE, tmp_path / "package")
    monkeypatch.setattr(source_files, "_PACKAGE", package)
    assert ShapeNet55(**options).cache_dir == before
    (package / edited).write_text("# edited")
    assert ShapeNet55(**options).cache_dir != before


def test_dataset_is_built_again_when_an_option_changes(source_dir, tmp_path):
    load(source_dir, tmp_path)
    assert load(source_dir, tmp_path, whole=True) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_dataset_is_read_from_the_cache_when_nothing_changes(source_dir, tmp_path, monkeypatch):
    load(source_dir, tmp_path)
    monkeypatch.setattr(ShapeNet55, "_generate_tables", None)
    assert load(source_dir, tmp_path) == [0.0, 1.0, 2.0, 3.0, 4.0]


@pytest.mark.parametrize("num_proc", [None, 2])
def test_dataset_error_reaches_the_user_from_any_process(source_dir, tmp_path, num_proc):
    np.save(source_dir / "02691156-4.npy", np.zeros((3, 3), np.float32))
    with pytest.raises(DatasetError, match=r"02691156-4\.npy` must hold 2 points, got 3\.\nDownload ShapeNet-55 from"):
        load(source_dir, tmp_path, num_proc=num_proc)


def test_dataset_tells_source_and_license(source_dir, tmp_path):
    info = load_point_clouds("shapenet55", source_dir, "train", cache_dir=tmp_path / "cache").info
    assert "Point-BERT" in info.homepage
    assert info.license.startswith("ShapeNet terms")


@pytest.mark.parametrize("name", ["modelnet40", "modelnet_few_shot", "scanobjectnn", "shapenet55", "shapenet_part"])
def test_dataset_needs_a_data_dir(name, tmp_path):
    with pytest.raises(
        DatasetError, match=r"`data_dir` must name the folder of the dataset, got None\.\nDownload .* from"
    ):
        load_point_clouds(name)
    with pytest.raises(DatasetError, match=r"`data_dir` must be an existing folder, got .*absent"):
        load_point_clouds(name, tmp_path / "absent")


@pytest.mark.parametrize("name", ["modelnet40", "modelnet_few_shot", "scanobjectnn", "shapenet55", "shapenet_part"])
def test_dataset_names_expected_tree_when_the_folder_is_empty(name, tmp_path):
    with pytest.raises(DatasetError, match=r"License: .*\nExpected tree:\n"):
        load_point_clouds(name, tmp_path, cache_dir=tmp_path / "cache")


def test_dataset_names_the_option_when_it_is_unknown(tmp_path):
    with pytest.raises(TypeError, match=r"`whale` must be an option of ShapeNet55, got \['whole'\] as options"):
        load_point_clouds("shapenet55", tmp_path, whale=True)


SOURCE = DatasetSource("Cups", "cups.org", "research only", "\ncups/\n  a.npy\n")


def test_download_hint_adds_source_license_and_tree():
    with pytest.raises(DatasetError) as caught, SOURCE.with_download_hint():
        raise ValueError("`a.npy` must be a cup.")
    assert str(caught.value) == (
        "`a.npy` must be a cup.\nDownload Cups from: cups.org\nLicense: research only\nExpected tree:\n  cups/\n    a.npy"
    )


def test_download_hint_is_added_once():
    with pytest.raises(DatasetError) as caught, SOURCE.with_download_hint(), SOURCE.with_download_hint():
        raise ValueError("wrong")
    assert str(caught.value).count("License") == 1


def test_download_hint_leaves_other_errors_alone():
    with pytest.raises(KeyError), SOURCE.with_download_hint():
        raise KeyError("a")


def test_dataset_error_is_a_value_error_that_datasets_passes_on():
    assert issubclass(DatasetError, ValueError)
    assert issubclass(DatasetError, DatasetGenerationError)


def test_dataset_error_survives_the_way_between_processes():
    assert str(pickle.loads(pickle.dumps(DatasetError("wrong")))) == "wrong"
