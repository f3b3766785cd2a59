"""The `folder` corpus: a user's tree of point cloud files as a `datasets` builder."""

import inspect
from collections.abc import Iterator
from typing import Any

import datasets
import pyarrow as pa
from datasets.fingerprint import Hasher

from . import readers
from .folder_files import PointCloudFile, class_names_of, find_point_cloud_files, folder_state
from .schema import point_cloud_features, point_cloud_table


_POINTS_PER_TABLE = 1 << 20


class PointCloudFolder(datasets.ArrowBasedBuilder):
    """Builder of a corpus from files on disk; points keep the units and axes of their file.

    The class of a cloud is the name of the folder that holds it. Every file is read and checked before the first row is
    written, so that a bad one stops the build with its name. The cache depends on the path, size and time of change of
    every file.

    Args:
        data_dir (`str`):
            Folder of files, or of splits; see `find_point_cloud_files`.
        hash (`str`, *optional*):
            Name of this state of the corpus in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ValueError: If `data_dir` is not a folder of point clouds, or a file in it is not a valid cloud.
    """

    VERSION = datasets.Version("1.0.0")

    def __init__(self, *, data_dir: str | None = None, hash: str | None = None, **kwargs: Any) -> None:
        if data_dir is None:
            raise ValueError("`data_dir` must name the folder of point clouds, got None.")
        self._splits = find_point_cloud_files(data_dir)
        if hash is None:
            hash = Hasher.hash([inspect.getsource(readers), folder_state(self._splits)])
        super().__init__(data_dir=str(data_dir), hash=hash, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Point clouds from files of a folder.",
            features=point_cloud_features(class_names=class_names_of(self._splits)),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        # An error raised later, among the tables, would reach the user as a DatasetGenerationError without the name.
        for files in self._splits.values():
            for file in files:
                readers.read_point_cloud(file.path)
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": files}) for split, files in self._splits.items()
        ]

    def _generate_tables(self, files: list[PointCloudFile]) -> Iterator[tuple[int, pa.Table]]:
        start = 0
        waiting: list[Any] = []
        num_waiting = 0
        for position, file in enumerate(files):
            waiting.append(readers.read_point_cloud(file.path))
            num_waiting += len(waiting[-1])
            if num_waiting >= _POINTS_PER_TABLE or position + 1 == len(files):
                yield start, self._table(files[start : position + 1], waiting)
                start, waiting, num_waiting = position + 1, [], 0

    def _table(self, files: list[PointCloudFile], points: list[Any]) -> pa.Table:
        """One table of consecutive files."""
        labels = None
        if "label" in self.info.features:
            labels = [self.info.features["label"].str2int(file.class_name) for file in files]
        return point_cloud_table(self.info.features, points, [file.id for file in files], labels)
