import pickle

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from jointmae_hf.data import (
    MixtureDataset,
    ParquetPointClouds,
    PointCloudCollator,
    PointCloudTensors,
    point_cloud_features,
    point_cloud_table,
)


FEATURES = point_cloud_features(num_points=4, class_names=["even", "odd"])
NUM_CLOUDS, ROWS_IN_GROUP = 150, 10


def write_clouds(path, numbers, rows_in_group=ROWS_IN_GROUP, features=FEATURES, num_points=4):
    """Write clouds whose coordinates are their number."""
    points = [np.full((num_points, 3), number, dtype=np.float32) for number in numbers]
    ids = [str(number) for number in numbers]
    table = point_cloud_table(features, points, ids, labels=[number % 2 for number in numbers])
    pq.write_table(table, path, row_group_size=rows_in_group)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """150 clouds in 15 row groups of two files."""
    folder = tmp_path_factory.mktemp("parquet")
    return [write_clouds(folder / f"{first}.parquet", range(first, first + 75), 5) for first in (0, 75)]


@pytest.fixture
def make(files):
    def build(**options):
        return ParquetPointClouds(files, **({"batch_size": 6, "num_lanes": 4, "buffer_size": 12} | options))

    return build


def numbers_of(clouds, epoch=0, **loading):
    """Numbers of the clouds of an epoch, batch by batch."""
    clouds.set_epoch(epoch)
    loader = DataLoader(clouds, 6, collate_fn=PointCloudCollator(), **loading)
    return [batch["points"][:, 0, 0].int().tolist() for batch in loader]


def flat(batches):
    return [number for batch in batches for number in batch]


def test_epoch_has_every_cloud_once(make):
    clouds = make()
    numbers = flat(numbers_of(clouds))
    assert len(clouds) == 150
    assert sorted(numbers) == list(range(NUM_CLOUDS))
    assert numbers != sorted(numbers)
    assert flat(numbers_of(clouds, epoch=1)) != numbers


@pytest.mark.parametrize(("batch_size", "num_lanes"), [(7, 3), (7, 40), (150, 8), (100, 8), (1, 8)])
def test_any_batch_size_leaves_out_less_than_a_batch(make, batch_size, num_lanes):
    clouds = make(batch_size=batch_size, num_lanes=num_lanes)
    numbers = [cloud["points"][0, 0] for cloud in clouds.__getitems__(range(len(clouds)))]
    assert len(clouds) == NUM_CLOUDS - NUM_CLOUDS % batch_size
    assert len(set(numbers)) == len(numbers) == len(clouds)


def test_epochs_leave_out_different_clouds(make):
    clouds = make(batch_size=80)
    seen = []
    for epoch in range(8):
        clouds.set_epoch(epoch)
        seen += [int(cloud["points"][0, 0]) for cloud in clouds.__getitems__(range(len(clouds)))]
    assert set(seen) == set(range(NUM_CLOUDS))


def test_batches_mix_row_groups(make):
    groups = [{number // 5 for number in batch} for batch in numbers_of(make())]
    assert np.mean([len(found) for found in groups]) > 2


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(make, num_workers):
    assert numbers_of(make(), 1, num_workers=num_workers) == numbers_of(make(), 1)


def test_running_workers_follow_the_epoch(make):
    clouds = make()
    loader = DataLoader(clouds, 6, num_workers=2, persistent_workers=True, collate_fn=PointCloudCollator())
    for epoch in range(2):
        clouds.set_epoch(epoch)
        numbers = [batch["points"][:, 0, 0].int().tolist() for batch in loader]
        assert numbers == numbers_of(make(), epoch)


@pytest.fixture
def reads(monkeypatch):
    """Row groups that were read."""
    found, read = [], ParquetPointClouds._read_row_group

    def count(self, number, columns):
        found.append(number)
        return read(self, number, columns)

    monkeypatch.setattr(ParquetPointClouds, "_read_row_group", count)
    return found


@pytest.mark.parametrize("num_readers", [1, 2, 4])
def test_readers_share_the_row_groups(make, reads, num_readers):
    for reader in range(num_readers):
        clouds = make()
        for batch in range(reader, len(clouds) // 6, num_readers):
            list(clouds.__getitems__(range(6 * batch, 6 * batch + 6)))
    assert set(reads) == set(range(30))
    assert len(reads) <= 30 + 4  # each lane may share its first row group with the one before


def test_resume_reads_one_window(make, reads):
    clouds = make()
    expected = numbers_of(clouds)[20]
    reads.clear()
    resumed = make()
    assert [int(cloud["points"][0, 0]) for cloud in resumed.__getitems__(range(120, 126))] == expected
    assert len(reads) <= 5  # a window of at least 12 clouds in row groups of 5, or parts of them


def test_only_one_window_of_each_lane_is_kept(make):
    clouds = make()
    numbers_of(clouds)
    assert sorted(clouds._windows) == [0, 1, 2, 3]
    assert all(len(window) < 12 + 5 for _, window in clouds._windows.values())


def test_order_without_shuffling_is_that_of_the_files(make):
    clouds = make(shuffle=False)
    assert flat(numbers_of(clouds)) == flat(numbers_of(clouds, epoch=1)) == list(range(NUM_CLOUDS))


def test_copy_for_a_spawned_worker_has_no_windows(make):
    clouds = make()
    expected = clouds[3]["points"]
    copy = pickle.loads(pickle.dumps(clouds))
    assert copy._windows == {}
    np.testing.assert_array_equal(copy[3]["points"], expected)


def test_held_out_row_groups_are_whole_and_random(make):
    train, validation = make().hold_out(0.2, seed=1)
    held_out = flat(numbers_of(validation))
    assert len(held_out) == 30
    assert len({number // 5 for number in held_out}) == 6
    assert held_out != list(range(30))
    assert sorted([*held_out, *flat(numbers_of(train))]) == list(range(NUM_CLOUDS))


def test_hold_out_needs_two_row_groups(tmp_path):
    clouds = ParquetPointClouds([write_clouds(tmp_path / "one.parquet", range(8))], batch_size=2)
    with pytest.raises(ValueError, match=r"at least two row groups to hold out clouds, got 1 in .*one\.parquet"):
        clouds.hold_out(0.1)


def test_selected_clouds_have_all_columns(make):
    clouds = make(shuffle=False).select([140, 3, 4])
    assert clouds["label"] == [0, 1, 0]
    assert clouds["id"] == ["140", "3", "4"]


def test_clouds_of_different_sizes_are_resampled_by_the_collator(tmp_path):
    features = point_cloud_features(class_names=["even", "odd"])
    files = [write_clouds(tmp_path / f"{size}.parquet", range(6), 3, features, size) for size in (5, 9)]
    clouds = ParquetPointClouds(files, batch_size=4)
    assert clouds.num_points is None
    assert PointCloudCollator(num_points=7)(clouds.__getitems__(range(12)))["points"].shape == (12, 7, 3)


def test_mixture_reads_every_cloud_of_a_round(make):
    others = PointCloudTensors(torch.full((30, 4, 3), 1000.0))
    mixture = MixtureDataset([make(num_lanes=1), others], weights=[0.5, 0.5], length=600)
    numbers = [int(sample["points"][0, 0]) for sample in mixture.__getitems__(range(600))]
    own = [number for number in numbers if number < 1000]
    assert sorted(own[:150]) == sorted(own[150:300]) == list(range(NUM_CLOUDS))
    assert own[:150] != own[150:300]


@pytest.mark.parametrize("name", ["batch_size", "num_lanes", "buffer_size"])
def test_numbers_must_be_positive(make, name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
        make(**{name: 0})


def test_too_few_clouds_are_named_with_their_file(tmp_path):
    file = write_clouds(tmp_path / "few.parquet", range(3))
    with pytest.raises(ValueError, match=r"at least 8 clouds, one batch, got 3 in .*few\.parquet"):
        ParquetPointClouds([file], batch_size=8)


def test_file_without_points_is_refused(tmp_path):
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "text.parquet")
    with pytest.raises(ValueError, match=r"must have a column `points` of .* got None"):
        ParquetPointClouds([str(tmp_path / "text.parquet")])


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "data").mkdir()
    write_clouds(tmp_path / "data" / "train-00000-of-00001.parquet", range(40))
    write_clouds(tmp_path / "data" / "validation-00000-of-00001.parquet", range(40, 44))
    (tmp_path / "README.md").write_text("---\nlicense: cc0-1.0\n---\n", encoding="utf-8")
    return tmp_path


def test_repository_has_its_splits_and_license(repository):
    splits = ParquetPointClouds.from_repository(repository, batch_size=8)
    assert {name: len(split) for name, split in splits.items()} == {"train": 40, "validation": 4}
    assert (splits["train"].shuffle, splits["validation"].shuffle) == (True, False)
    assert splits["train"].info.license == "cc0-1.0"


def test_repository_of_other_files_is_refused(tmp_path):
    (tmp_path / "train.csv").write_text("x\n1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"`path` must hold Parquet files, got .*train\.csv"):
        ParquetPointClouds.from_repository(tmp_path)
    with pytest.raises(ValueError, match="`path` must be a dataset on the Hub or a folder of Parquet files"):
        ParquetPointClouds.from_repository(tmp_path / "missing")


def test_folder_needs_no_card(tmp_path):
    write_clouds(tmp_path / "train.parquet", range(20))
    splits = ParquetPointClouds.from_repository(tmp_path, batch_size=5)
    assert (list(splits), len(splits["train"]), splits["train"].info.license) == (["train"], 20, "")
