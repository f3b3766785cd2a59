import hashlib
import runpy
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from jointmae_hf.data import SAMPLE_SHAPES_CLASSES, SampleShapes, SampleShapesConfig, load_point_clouds
from jointmae_hf.data.builders.sample_shapes import (
    POINTS_PATH,
    SCALE,
    TABLE_COLUMNS,
    TABLE_PATH,
    decode_points,
    read_points,
    read_table,
)


ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tool():
    return runpy.run_path(str(ROOT / "docs" / "provenance" / "build_sample_shapes.py"))


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    return load_point_clouds("sample_shapes", cache_dir=tmp_path_factory.mktemp("sample_shapes"))


@pytest.fixture(scope="module")
def points():
    return read_points()


def members(label):
    return [index for index, row in enumerate(read_table()) if row["label"] == label]


def test_sample_shapes_have_the_documented_sizes(splits):
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 740, "test": 247}


def test_sample_shapes_fill_the_columns_of_the_schema(splits):
    row = splits["test"].with_format("numpy")[0]
    assert set(row) == {"points", "label", "id"}
    assert (row["points"].shape, row["points"].dtype) == ((1024, 3), np.float32)


def test_sample_shapes_have_at_least_twenty_shapes_of_each_class():
    counts = Counter(row["label"] for row in read_table())
    assert list(counts) == list(SAMPLE_SHAPES_CLASSES)
    assert len(counts) >= 20
    assert min(counts.values()) >= 20


def test_sample_shapes_hold_out_about_a_quarter_of_each_class():
    counts = Counter(row["label"] for row in read_table())
    in_test = Counter(row["label"] for row in read_table() if row["split"] == "test")
    assert all(abs(in_test[label] - counts[label] / 4) < 2 for label in counts)


def test_sample_shapes_are_in_one_split_each(splits):
    ids = [row_id for rows in splits.values() for row_id in rows["id"]]
    assert len(set(ids)) == len(ids) == len(read_table())
    sources = [(row["repository"], row["path"]) for row in read_table()]
    assert len(set(sources)) == len(sources)


def test_sample_shapes_keep_copies_in_one_split():
    table = read_table()
    copies = [row["split"] for row in table if Path(row["path"]).stem == "Katana"]
    assert len(copies) == 2
    assert len(set(copies)) == 1


def test_sample_shapes_agree_with_the_table(splits):
    labels = {
        row["id"]: (row["label"], split) for split in splits for row in splits[split].select_columns(["id", "label"])
    }
    names = splits["train"].features["label"].names
    assert {key: (names[label], split) for key, (label, split) in labels.items()} == {
        row["id"]: (row["label"], row["split"]) for row in read_table()
    }


def test_sample_shapes_table_names_creator_and_license_of_every_shape():
    assert tuple(read_table()[0]) == TABLE_COLUMNS
    assert all(all(row.values()) for row in read_table())
    assert {row["license"] for row in read_table()} == {"CC0-1.0"}


def test_sample_shapes_files_are_smaller_than_three_megabytes():
    assert POINTS_PATH.stat().st_size + TABLE_PATH.stat().st_size < 3_000_000


def test_sample_shapes_files_are_part_of_the_wheel():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packed = {
        path for pattern in setuptools["package-data"]["jointmae_hf"] for path in (ROOT / "jointmae_hf").glob(pattern)
    }
    assert {POINTS_PATH, TABLE_PATH} <= packed


def test_sample_shapes_touch_the_unit_sphere(points):
    radii = np.linalg.norm(points, axis=2).max(axis=1)
    assert radii.max() <= 1.0
    assert radii.min() > 0.998
    assert np.abs(points.mean(axis=1)).max() < 5e-4


@pytest.mark.parametrize(
    ("label", "is_top_heavy"), [("table", True), ("sign", True), ("bottle", False), ("sofa", False), ("rock", False)]
)
def test_sample_shapes_stand_upright(points, label, is_top_heavy):
    heights = points[members(label), :, 1]
    above_middle = heights.mean(axis=1) > (heights.max(axis=1) + heights.min(axis=1)) / 2.0
    assert (above_middle == is_top_heavy).mean() > 0.9


@pytest.mark.parametrize("label", ["column", "sign", "sword", "tower"])
def test_sample_shapes_of_tall_classes_extend_along_y(points, label):
    extents = np.ptp(points[members(label)], axis=1)
    assert (extents.argmax(axis=1) == 1).mean() > 0.9


def test_sample_shapes_are_always_the_same(points):
    grid = np.rint(points * SCALE).astype("<i2")
    digest = hashlib.sha256(grid.tobytes()).hexdigest()
    assert digest == "04f670e169e8a99180211abc719f14134b06201d3f1fbaa936d78a961d83a6f8"


def test_sample_shapes_are_shuffled(points):
    steps = np.linalg.norm(np.diff(points, axis=1), axis=2).mean(axis=1)
    assert steps.min() > 0.2


def test_sample_shapes_lose_less_than_a_thousandth_to_the_grid():
    assert np.sqrt(3) / 2 / SCALE < 0.001


def test_sample_shapes_take_the_first_points_when_fewer_are_asked_for(tmp_path, splits):
    fewer = load_point_clouds("sample_shapes", split="test", cache_dir=tmp_path, num_points=100)
    whole = splits["test"].with_format("numpy")["points"][:]
    np.testing.assert_array_equal(fewer.with_format("numpy")["points"][:], whole[:, :100])


def test_sample_shapes_are_the_same_with_two_processes(tmp_path, splits):
    builder = SampleShapes(cache_dir=str(tmp_path))
    builder.download_and_prepare(num_proc=2)
    assert builder.as_dataset(split="test")["id"][:] == splits["test"]["id"][:]


def test_sample_shapes_stream(tmp_path, splits):
    row = next(iter(SampleShapes(cache_dir=str(tmp_path)).as_streaming_dataset(split="test")))
    np.testing.assert_array_equal(row["points"], splits["test"].with_format("numpy")[0]["points"])


@pytest.mark.parametrize("num_points", [0, 1025])
def test_sample_shapes_refuse_other_numbers_of_points(num_points):
    with pytest.raises(ValueError, match=f"`num_points` must be between 1 and 1024, got {num_points}"):
        SampleShapesConfig(num_points=num_points)


def test_sample_shapes_refuse_numbers_of_points_that_are_not_integers():
    with pytest.raises(TypeError, match=r"`num_points` must be an int, got 2\.5"):
        SampleShapesConfig(num_points=2.5)


def test_sample_shapes_refuse_a_data_dir(tmp_path):
    with pytest.raises(ValueError, match="`data_dir` must be left out"):
        load_point_clouds("sample_shapes", data_dir=tmp_path, cache_dir=tmp_path)


def test_decode_points_sums_up_steps():
    low = np.array([[[2, 1, 3], [0, 0, 254], [1, 0, 0]]], dtype=np.uint8)
    high = np.array([[[0, 0, 0], [0, 0, 1], [0, 0, 0]]], dtype=np.uint8)
    expected = [[[1, 0, -1], [0, 0, -1], [-2, 255, -1]]]
    np.testing.assert_array_equal(decode_points(low, high, scale=1), expected)


def test_encoding_keeps_all_points(tool):
    cloud = np.random.default_rng(0).integers(-SCALE, SCALE + 1, size=(1, 50, 3))
    decoded = decode_points(*tool["encode"](cloud), scale=1)
    assert sorted(decoded[0].tolist()) == sorted(cloud[0].tolist())


def test_splits_keep_near_duplicates_together(tool):
    rng = np.random.default_rng(0)
    boxes = [rng.uniform(-1.0, 1.0, size=(400, 3)) * (1.0, height, 0.5) for height in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)]
    copy = rng.permutation(boxes[0] + rng.normal(scale=0.01, size=(400, 3)))[:, [2, 1, 0]]
    for seed in range(4):
        splits = tool["assign_splits"]([*boxes, copy], list("abcdefg"), seed=seed)
        assert splits[0] == splits[-1]
        assert splits.count("test") == 2
