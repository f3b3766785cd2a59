import pickle

import numpy as np
import pytest
import torch
from datasets import Array2D, Dataset, Features, concatenate_datasets
from torch.utils.data import DataLoader

from jointmae_hf.data import PointCloudCollator, PointCloudDataset, PointCloudTensors, read_point_cloud_tensors


def assert_equals_formatted_reading(dataset):
    fast, slow = PointCloudDataset(dataset), dataset.with_format("numpy")
    assert len(fast) == len(slow)
    for index in range(len(slow)):
        sample, row = fast[index], slow[index]
        assert sample["index"] == index
        np.testing.assert_array_equal(sample["points"], row["points"])
        assert sample.get("labels") == row.get("label")
        np.testing.assert_array_equal(sample.get("part_labels"), row.get("part_labels"))


SELECTIONS = {
    "whole": lambda dataset: dataset,
    "slice": lambda dataset: dataset.select(range(1, len(dataset) - 1)),
    "rows": lambda dataset: dataset.select([2, 0, 2]),
    "shuffled": lambda dataset: dataset.shuffle(seed=0),
    "slice of shuffled": lambda dataset: dataset.shuffle(seed=0).select(range(1, 3)),
    "joined": lambda dataset: concatenate_datasets([dataset, dataset.select([1, 0])]),
    "none": lambda dataset: dataset.select([]),
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_samples_equal_formatted_reading_when_clouds_have_one_size(shapes, selection):
    assert_equals_formatted_reading(SELECTIONS[selection](shapes["train"]))


@pytest.mark.parametrize("selection", SELECTIONS)
def test_samples_equal_formatted_reading_when_clouds_differ_in_size(sizes_dataset, selection):
    assert_equals_formatted_reading(SELECTIONS[selection](sizes_dataset))


def test_samples_are_views_of_the_arrow_file(shapes):
    points = PointCloudDataset(shapes["train"])[3]["points"]
    assert points.dtype == np.float32
    assert not points.flags.owndata
    assert not points.flags.writeable


def test_samples_leave_out_missing_columns(shapes):
    dataset = shapes["train"].remove_columns(["label", "part_labels"])
    assert set(PointCloudDataset(dataset)[0]) == {"points", "index"}


def test_samples_ignore_the_format_of_the_dataset(shapes):
    sample = PointCloudDataset(shapes["train"].with_format("torch", columns=["id"]))[0]
    assert isinstance(sample["points"], np.ndarray)


def test_half_precision_is_read_as_float32():
    features = Features({"points": Array2D((4, 3), "float16")})
    points = np.arange(12, dtype=np.float16).reshape(1, 4, 3)
    sample = PointCloudDataset(Dataset.from_dict({"points": points}, features=features))[0]
    assert sample["points"].dtype == np.float32
    np.testing.assert_array_equal(sample["points"], points[0])


def test_getitems_equals_getitem(shapes):
    dataset = PointCloudDataset(shapes["train"])
    for sample, index in zip(dataset.__getitems__([4, 1]), (4, 1), strict=True):
        np.testing.assert_array_equal(sample["points"], dataset[index]["points"])


@pytest.mark.parametrize("selection", sorted(set(SELECTIONS) - {"none"}))
def test_stacked_samples_equal_single_ones(shapes, selection):
    dataset = PointCloudDataset(SELECTIONS[selection](shapes["train"]))
    samples = dataset.__getitems__([0, -1, 1])
    for name, values in samples.stack().items():
        np.testing.assert_array_equal(values, [sample[name] for sample in samples])


def test_stacked_samples_are_copies(shapes):
    dataset = PointCloudDataset(shapes["train"])
    dataset.__getitems__([3]).stack()["points"][:] = 0.0
    assert np.abs(dataset[3]["points"]).max() > 0.0


@pytest.mark.parametrize("index", [24, -25])
def test_stacked_index_outside_raises_index_error(shapes, index):
    with pytest.raises(IndexError, match=f"`index` must be between -24 and 23, got {index}"):
        PointCloudDataset(shapes["train"]).__getitems__([0, index]).stack()


def test_num_points_is_none_when_clouds_differ_in_size(shapes, sizes_dataset):
    assert PointCloudDataset(shapes["train"]).num_points == 16
    assert PointCloudDataset(sizes_dataset).num_points is None
    with pytest.raises(ValueError, match="`dataset` must hold clouds of one size to be stacked"):
        PointCloudDataset(sizes_dataset).__getitems__([0]).stack()


def test_num_points_is_none_when_part_labels_have_other_lengths(shapes):
    rows = shapes["train"].select([0, 1]).to_dict()
    rows["part_labels"] = [parts[:3] for parts in rows["part_labels"]]
    assert PointCloudDataset(Dataset.from_dict(rows, features=shapes["train"].features)).num_points is None


def test_negative_index_counts_from_the_end(shapes):
    assert PointCloudDataset(shapes["train"])[-1]["index"] == 23


@pytest.mark.parametrize("index", [24, -25])
def test_index_outside_raises_index_error(shapes, index):
    with pytest.raises(IndexError, match=f"`index` must be between -24 and 23, got {index}"):
        PointCloudDataset(shapes["train"])[index]


def test_index_starts_where_a_piece_of_a_stream_does(shapes):
    clouds = pickle.loads(pickle.dumps(PointCloudDataset(shapes["train"], first_index=100)))
    assert clouds[2]["index"] == 102
    assert clouds.__getitems__([2, 0]).stack()["index"].tolist() == [102, 100]


def test_pickle_carries_no_points(shapes):
    dataset = PointCloudDataset(shapes["train"].select([5, 2]))
    data = pickle.dumps(dataset)
    np.testing.assert_array_equal(pickle.loads(data)[1]["points"], dataset[1]["points"])


def test_data_loader_with_workers_equals_the_main_process(shapes):
    dataset = PointCloudDataset(shapes["train"])
    batches = [
        next(iter(torch.utils.data.DataLoader(dataset, 8, collate_fn=PointCloudCollator(), num_workers=workers)))
        for workers in (0, 1)
    ]
    assert torch.equal(batches[0]["points"], batches[1]["points"])


def test_several_splits_are_refused(shapes):
    with pytest.raises(TypeError, match=r"`dataset` must be one split, a `datasets\.Dataset`, got DatasetDict"):
        PointCloudDataset(shapes)


def test_missing_points_are_refused(shapes):
    with pytest.raises(ValueError, match="`dataset` must have a column `points`, got"):
        PointCloudDataset(shapes["train"].remove_columns("points"))


def test_points_of_another_feature_are_refused():
    with pytest.raises(ValueError, match="`points` must be `Array2D"):
        PointCloudDataset(Dataset.from_dict({"points": [[[0.0, 0.0, 0.0]]]}))


def test_arrays_that_contradict_their_feature_are_refused():
    features = Features({"points": Array2D((None, 3), "float32")})
    wide = Dataset.from_dict({"points": [np.zeros((4, 6), np.float32)]}, features=features)
    with pytest.raises(ValueError, match=r"must hold arrays \(num_points, 3\), got other widths"):
        PointCloudDataset(wide)


@pytest.mark.parametrize("column", ["points", "label"])
def test_missing_values_are_refused(shapes, column):
    rows = shapes["train"].select([0, 1]).to_dict()
    rows[column][1] = None
    with pytest.raises(
        ValueError, match=f"column `{column}` must hold .*no.* nulls|column `{column}` .*without nulls"
    ):
        PointCloudDataset(Dataset.from_dict(rows, features=shapes["train"].features))


@pytest.fixture
def clouds(make_cloud):
    parts = torch.arange(16).expand(6, 16)
    return PointCloudTensors(make_cloud(6, 16), torch.tensor([0, 1, 0, 1, 0, 1]), parts)


def test_batch_is_gathered_as_the_loader_asks(clouds):
    loader = DataLoader(clouds, batch_size=2, sampler=[4, 1, 0, 5], collate_fn=PointCloudCollator(16))
    first, second = loader
    assert first["index"].tolist() == [4, 1]
    assert torch.equal(first["points"], clouds.points[[4, 1]])
    assert second["labels"].tolist() == [0, 1]
    assert second["part_labels"].shape == (2, 16)


def test_samples_one_by_one_equal_those_of_a_batch(clouds):
    samples = [clouds[row] for row in (2, 3)]
    joined, gathered = PointCloudCollator()(samples), PointCloudCollator()(clouds.__getitems__([2, 3]))
    assert joined.keys() == gathered.keys()
    assert all(torch.equal(joined[name], gathered[name]) for name in joined)


def test_larger_clouds_are_cut_by_the_collator(clouds):
    assert PointCloudCollator(8)(clouds.__getitems__([0, 1]))["points"].shape == (2, 8, 3)


def test_index_of_a_selection_starts_at_zero(clouds):
    selected = clouds.select([5, 2])
    assert [selected[row]["index"] for row in (0, 1)] == [0, 1]
    assert torch.equal(selected.points[0], clouds.points[5])


@pytest.mark.parametrize("index", [6, -7])
def test_index_outside_clouds_in_memory_is_refused(clouds, index):
    with pytest.raises(IndexError, match="`index` must be between -6 and 5"):
        clouds[index]


@pytest.mark.parametrize(("name", "values"), [("labels", torch.zeros(3)), ("part_labels", torch.zeros(2, 5))])
def test_labels_that_do_not_fit_are_refused(name, values):
    with pytest.raises(ValueError, match=f"`{name}` must have shape"):
        PointCloudTensors(torch.rand(2, 4, 3), **{name: values})


def test_file_is_read_split_by_split(tmp_path, make_cloud):
    points = make_cloud(5, 8).numpy()
    np.savez(tmp_path / "clouds.npz", points=points, labels=np.arange(5), split=np.array([0, 1, 0, 0, 2]), other=1)
    splits = read_point_cloud_tensors(tmp_path / "clouds.npz")
    assert {name: part.labels.tolist() for name, part in splits.items()} == {
        "train": [0, 2, 3],
        "test": [1],
        "validation": [4],
    }
    assert np.array_equal(splits["test"].points[0].numpy(), points[1])


def test_file_without_split_is_for_training(tmp_path):
    np.savez(tmp_path / "clouds.npz", points=np.zeros((2, 4, 3), np.float16))
    splits = read_point_cloud_tensors(tmp_path / "clouds.npz")
    assert list(splits) == ["train"]
    assert splits["train"].points.dtype == torch.float32


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": np.zeros(2)}, "`path` must hold an array `points`"),
        ({"points": np.full((1, 4, 3), np.nan)}, "`points` must be finite"),
        ({"points": np.zeros((1, 4, 3)), "split": np.array([3])}, "`split` must hold 0 .* got 3"),
    ],
)
def test_unusable_file_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "clouds.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_point_cloud_tensors(tmp_path / "clouds.npz")
