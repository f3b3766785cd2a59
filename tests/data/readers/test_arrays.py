import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jointmae_hf.data import read_point_cloud


POINTS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_read_npz_takes_the_array_called_points(tmp_path, save):
    save(tmp_path / "a.npz", points=POINTS, labels=np.zeros(4))
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.npz"), POINTS)


def test_read_npz_takes_the_only_array(tmp_path):
    np.savez(tmp_path / "a.npz", POINTS)
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.npz"), POINTS)


def test_read_npz_takes_the_array_that_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", points=POINTS, scan=POINTS + 1)
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.npz", points_key="scan"), POINTS + 1)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_are_listed_when_none_can_be_chosen(tmp_path, suffix):
    path = tmp_path / f"bad{suffix}"
    write_arrays(path, xyz=POINTS, normals=POINTS)
    rule = r"an array called `points`, or one array alone, got \['normals', 'xyz'\]"
    with pytest.raises(ValueError, match=rf"bad\{suffix}` must hold {rule}. Set `points_key`"):
        read_point_cloud(path)
    with pytest.raises(ValueError, match=rf"bad\{suffix}` must hold an array called `scan`, got"):
        read_point_cloud(path, points_key="scan")


def write_arrays(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
        return
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 3)), r"shape \(num_points, 3\), got \(2, 4, 3\)"),
        (np.zeros((0, 3)), "at least one point, got 0"),
        (np.full((2, 3), np.nan), "finite float32 values"),
        (np.zeros((2, 3), bool), "floats or integers, got dtype bool"),
    ],
)
def test_array_that_is_no_cloud_is_refused_by_name(tmp_path, suffix, array, message):
    write_arrays(tmp_path / f"bad{suffix}", points=array)
    with pytest.raises(ValueError, match=message) as caught:
        read_point_cloud(tmp_path / f"bad{suffix}")
    assert f"bad{suffix}" in str(caught.value)


def test_read_npz_refuses_pickles(tmp_path):
    np.savez(tmp_path / "bad.npz", points=np.array([[1, None, 2]], dtype=object))
    with pytest.raises(ValueError, match=r"bad\.npz` must be a complete \.npz file without Python objects"):
        read_point_cloud(tmp_path / "bad.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"\x93NUMPY", b"\x80\x04pickle"])
def test_read_npz_names_the_file_when_it_is_not_npz(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz` must be a complete \.npz file"):
        read_point_cloud(tmp_path / "bad.npz")


def test_read_npz_names_the_file_when_a_byte_of_its_points_is_changed(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, points=np.ones((100, 3)))
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.npz` must be a complete .* Bad CRC"):
        read_point_cloud(path)


def test_read_npz_refuses_an_array_that_expands_beyond_measure(tmp_path):
    np.savez_compressed(tmp_path / "bad.npz", points=np.zeros((6_000_000, 3), np.float32))
    with pytest.raises(
        ValueError, match=r"bad\.npz` must not expand to more than 100 times what it stores, got 72000128"
    ):
        read_point_cloud(tmp_path / "bad.npz")


def test_read_npz_reserves_no_memory_for_what_a_header_promises(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive, archive.open("points.npy", "w") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 3)}
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(ValueError, match=r"its array of shape \(1099511627776, 3\) does not fit 128 bytes"):
        read_point_cloud(tmp_path / "bad.npz")


@pytest.mark.parametrize("dtype", ["float16", "float64", ">f4", "int32", "uint8"])
def test_read_h5_returns_float32_for_every_number_type(tmp_path, dtype):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("points", data=POINTS.astype(dtype), compression="gzip")
    points = read_point_cloud(tmp_path / "a.h5")
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, POINTS)


def test_read_h5_finds_datasets_in_groups(tmp_path):
    write_arrays(tmp_path / "a.h5", **{"scan/points": POINTS, "scan/labels": np.zeros(4)})
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.h5", points_key="scan/points"), POINTS)


def test_read_h5_ends_when_a_group_holds_itself(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["points"] = POINTS
        file["again"] = file["/"]
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.h5"), POINTS)


@pytest.mark.parametrize("link", [h5py.SoftLink("/other"), h5py.ExternalLink("secret.h5", "/points")])
def test_read_h5_does_not_follow_links(tmp_path, link):
    write_arrays(tmp_path / "secret.h5", points=POINTS)
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file["points"] = link
        file["a"], file["b"] = POINTS, POINTS
    with pytest.raises(ValueError, match=r"bad\.h5` must hold an array called `points`.*got \['a', 'b'\]"):
        read_point_cloud(tmp_path / "bad.h5")


def test_read_h5_refuses_points_that_are_stored_in_another_file(tmp_path):
    (tmp_path / "raw.bin").write_bytes(POINTS.tobytes())
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_dataset("points", (4, 3), "f4", external=[(str(tmp_path / "raw.bin"), 0, 48)])
    with pytest.raises(ValueError, match=r"bad\.h5` must hold its points itself"):
        read_point_cloud(tmp_path / "bad.h5")


def test_read_h5_refuses_virtual_points(tmp_path):
    write_arrays(tmp_path / "source.h5", points=POINTS)
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(tmp_path / "source.h5", "points", (4, 3))
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_virtual_dataset("points", layout)
    with pytest.raises(ValueError, match=r"bad\.h5` must hold its points itself"):
        read_point_cloud(tmp_path / "bad.h5")


def test_read_h5_refuses_values_that_were_never_written(tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_dataset("points", (10**9, 3), "f4", chunks=(1000, 3))
    with pytest.raises(ValueError, match="must hold the values of `/points`, got none: they were never written"):
        read_point_cloud(tmp_path / "bad.h5")


def test_read_h5_refuses_a_chunk_far_larger_than_what_is_stored(tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        options = {"chunks": (6_000_000, 3), "maxshape": (None, 3), "compression": "gzip"}
        file.create_dataset("points", data=POINTS, **options)
    with pytest.raises(ValueError, match=r"bad\.h5` must not expand .* got 72000000 bytes"):
        read_point_cloud(tmp_path / "bad.h5")


def test_read_h5_refuses_terabytes_of_which_some_are_written(tmp_path):
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_dataset("points", (1 << 40, 3), "f4", chunks=(1000, 3))[:1000] = 1
    with pytest.raises(ValueError, match=r"bad\.h5` must not expand .* got 13194139533312 bytes"):
        read_point_cloud(tmp_path / "bad.h5")


@pytest.mark.parametrize("kept", [0, 100, -100])
def test_read_h5_names_the_file_when_it_is_truncated(tmp_path, kept):
    path = tmp_path / "bad.h5"
    write_arrays(path, points=np.ones((1000, 3)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"bad\.h5` must be a complete HDF5 file"):
        read_point_cloud(path)


@pytest.mark.parametrize("names", ["xyz", "XYZ"])
def test_read_parquet_takes_the_columns_of_coordinates(tmp_path, names):
    columns = {"label": pa.array(["a"] * 4)} | {name: POINTS[:, axis] for axis, name in enumerate(names)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_point_cloud(tmp_path / "a.parquet"), POINTS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1.0], "y": [1.0]}, r"columns `x`, `y` and `z`, one point a row, got \['x', 'y'\]"),
        ({"points": [[1.0, 2.0, 3.0]]}, "read by `datasets.load_dataset`"),
        ({"x": [1.0], "y": [None], "z": pa.array([1.0])}, "no nulls in `x`, `y` and `z`"),
        ({"x": ["1"], "y": ["1"], "z": ["1"]}, "got dtype"),
        ({"x": [1.0], "y": [np.inf], "z": [1.0]}, "finite float32 values"),
        ({name: pa.array([], pa.float32()) for name in "xyz"}, "at least one point, got 0"),
    ],
)
def test_read_parquet_names_file_rule_and_value_when_a_column_is_wrong(tmp_path, columns, message):
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=message) as caught:
        read_point_cloud(tmp_path / "bad.parquet")
    assert "bad.parquet" in str(caught.value)


def test_read_parquet_refuses_rows_that_expand_beyond_measure(tmp_path):
    columns = dict.fromkeys("xyz", pa.array(np.zeros(3_000_000, np.float32)))
    pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=r"bad\.parquet` must not expand to more than 100 times"):
        read_point_cloud(tmp_path / "bad.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x,y,z\n1,2,3\n"])
def test_read_parquet_names_the_file_when_it_is_not_parquet(tmp_path, content):
    (tmp_path / "bad.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.parquet` must be a complete Parquet file"):
        read_point_cloud(tmp_path / "bad.parquet")
