import sys

import h5py
import numpy as np
import pytest

from jointmae_hf.data.readers.hdf5 import Hdf5Column, check_hdf5, read_hdf5


DATA, LABEL = Hdf5Column("data", (4, 3)), Hdf5Column("label", (), kinds="iu")
POINTS = np.arange(24, dtype=np.float32).reshape(2, 4, 3)


def write(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file.create_dataset(name, data=values, compression="gzip", compression_opts=4)
    return path


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.h5", data=POINTS, label=np.array([[1], [0]], np.uint8))


def test_read_returns_the_arrays(path):
    arrays = read_hdf5(path, [DATA, LABEL])
    np.testing.assert_array_equal(arrays["data"], POINTS)
    assert arrays["label"].tolist() == [1, 0]


def test_check_returns_the_number_of_clouds(path):
    assert check_hdf5(path, [DATA, LABEL]) == 2


def test_read_leaves_out_an_array_that_may_be_missing(path):
    assert set(read_hdf5(path, [DATA, Hdf5Column("mask", (4,), is_required=False)])) == {"data"}


def test_check_names_the_missing_key_and_those_that_are_there(path):
    with pytest.raises(ValueError, match=r"a\.h5` must have the key `pid`, got \['data', 'label'\]"):
        check_hdf5(path, [DATA, Hdf5Column("pid", (4,))])


def test_check_lists_keys_that_are_no_text(tmp_path):
    path = write(tmp_path / "a.h5", **{"label": [0]})
    with h5py.File(path, "a") as file:
        file[b"\xff"] = POINTS
    with pytest.raises(ValueError, match=r"must have the key `data`, got \[b'\\xff', 'label'\]"):
        check_hdf5(path, [DATA])


@pytest.mark.parametrize(
    "values",
    [POINTS[:, :3], POINTS[..., :2], POINTS[0], POINTS.astype(np.int32), np.array([[["a"] * 3] * 4], dtype="S1")],
    ids=["points", "coordinates", "axes", "integers", "text"],
)
def test_check_names_the_shape_and_type_when_they_are_wrong(tmp_path, values):
    path = write(tmp_path / "bad.h5", data=values)
    with pytest.raises(
        ValueError, match=r"bad\.h5` must hold `data` of shape \(num_clouds, 4, 3\) and kind 'f', got \("
    ):
        check_hdf5(path, [DATA])


def test_check_refuses_a_scalar(tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["label"] = 3
    with pytest.raises(ValueError, match=r"of shape \(num_clouds,\) and kind 'iu', got \(\) of int64"):
        check_hdf5(tmp_path / "bad.h5", [LABEL])


def test_check_refuses_arrays_of_different_lengths(tmp_path):
    path = write(tmp_path / "bad.h5", data=POINTS, label=np.zeros(3, np.int32))
    with pytest.raises(ValueError, match=r"as many rows in every array, got {'data': 2, 'label': 3}"):
        check_hdf5(path, [DATA, LABEL])


@pytest.mark.parametrize(
    "link",
    [
        pytest.param(lambda file, path: h5py.ExternalLink(str(path), "data"), id="other_file"),
        pytest.param(lambda file, path: h5py.SoftLink("/label"), id="other_name"),
        pytest.param(lambda file, path: h5py.ExternalLink("/nowhere.h5", "data"), id="missing_file"),
    ],
)
def test_check_follows_no_links(path, tmp_path, link):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["data"] = link(file, path)
    with pytest.raises(ValueError, match=r"bad\.h5` must hold `data` itself as an array"):
        check_hdf5(tmp_path / "bad.h5", [DATA])


def test_check_refuses_a_group(tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_group("data")
    with pytest.raises(ValueError, match="itself as an array"):
        check_hdf5(tmp_path / "bad.h5", [DATA])


def test_check_refuses_values_in_another_file(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(96))
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_dataset("data", (2, 4, 3), "f4", external=[(str(tmp_path / "secret"), 0, 96)])
    with pytest.raises(ValueError, match="itself as an array"):
        check_hdf5(tmp_path / "bad.h5", [DATA])


def test_check_refuses_a_view_of_another_file(tmp_path, path):
    layout = h5py.VirtualLayout((2, 4, 3), "f4")
    layout[:] = h5py.VirtualSource(path, "data", (2, 4, 3))
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    with pytest.raises(ValueError, match="itself as an array"):
        check_hdf5(tmp_path / "bad.h5", [DATA])


def test_check_refuses_values_that_were_never_written(tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_dataset("data", (90_000, 4, 3), "f4", chunks=(100, 4, 3))
    with pytest.raises(ValueError, match="must hold the values of `data`"):
        check_hdf5(tmp_path / "bad.h5", [DATA])


@pytest.mark.parametrize("rows", [0, 10**9])
def test_check_refuses_a_number_of_rows_that_no_dataset_has(tmp_path, rows):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_dataset("data", (rows, 4, 3), "f4", chunks=(100, 4, 3), maxshape=(None, 4, 3))
    with pytest.raises(ValueError, match=f"must hold 1 to 100000 clouds, got {rows}"):
        check_hdf5(tmp_path / "bad.h5", [DATA])


def test_check_names_the_file_when_it_is_cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"a\.h5` must be a complete HDF5 file"):
        check_hdf5(path, [DATA])


def test_check_names_the_file_when_it_is_something_else(tmp_path):
    (tmp_path / "bad.h5").write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"bad\.h5` must be a complete HDF5 file"):
        check_hdf5(tmp_path / "bad.h5", [DATA])


def test_read_names_the_file_when_its_values_are_damaged(tmp_path):
    path = write(tmp_path / "a.h5", data=np.random.default_rng(0).normal(size=(50, 4, 3)).astype(np.float32))
    with h5py.File(path) as file:
        start = file["data"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[start + 20 : start + 60] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.h5` must be a complete HDF5 file"):
        read_hdf5(path, [DATA])


def test_read_names_the_extra_when_h5py_is_missing(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'pip install "jointmae_hf\[data\]"'):
        read_hdf5(path, [DATA])
