import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from jointmae_hf.data import PointCloudCollator, PointCloudTensors, hold_out_clouds, read_point_cloud_tensors


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


def test_selection_is_counted_anew(clouds):
    selected = clouds.select([5, 2])
    assert [selected[row]["index"] for row in (0, 1)] == [0, 1]
    assert torch.equal(selected.points[0], clouds.points[5])


@pytest.mark.parametrize("index", [6, -7])
def test_index_outside_is_refused(clouds, index):
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


def test_held_out_part_has_its_share_of_each_class():
    clouds = PointCloudTensors(torch.rand(30, 4, 3), torch.tensor([0] * 20 + [1] * 10))
    kept, held_out = hold_out_clouds(clouds, 0.1, seed=3)
    assert sorted(held_out.labels.tolist()) == [0, 0, 1]
    points = torch.cat([kept.points, held_out.points]).flatten(1)
    assert torch.equal(points.unique(dim=0), clouds.points.flatten(1).unique(dim=0))


def test_share_that_takes_a_whole_class_is_refused():
    with pytest.raises(ValueError, match=r"`share` must leave clouds of class 1, got 0\.5 of 1"):
        hold_out_clouds(PointCloudTensors(torch.rand(5, 4, 3), torch.tensor([0, 0, 0, 0, 1])), 0.5)
