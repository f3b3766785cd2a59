"""The `folder` dataset: a user's tree of point cloud files as a `datasets` builder."""

import inspect
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets.fingerprint import Hasher

from jointmae_hf.data.readers import arrays as array_readers
from jointmae_hf.data.readers import formats as readers
from jointmae_hf.data.readers import hdf5 as hdf5_files
from jointmae_hf.data.readers import pcd as pcd_reader
from jointmae_hf.data.readers import validation as point_checks
from jointmae_hf.data.schema import point_cloud_features, point_cloud_table
from jointmae_hf.model import cloud_files, mesh_files, surface_sampling

from . import cache_seal
from .cache_seal import SealedCache
from .dataset_source import DatasetError
from .folder_files import PointCloudFile, class_names_of, find_point_cloud_files, folder_state


_SOURCES = (
    array_readers,
    cache_seal,
    cloud_files,
    hdf5_files,
    mesh_files,
    pcd_reader,
    point_checks,
    readers,
    surface_sampling,
)
_POINTS_PER_TABLE = 1 << 20
_TURNS = {
    "y": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "z": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "x": ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
}


def rotate_to_y_up(points: np.ndarray, up_axis: str) -> np.ndarray:
    """Turn a cloud so that y is up, by the rotations of `JointMAEFeatureExtractor`; none of them mirrors.

    Args:
        points (`np.ndarray` of shape `(num_points, 3)`):
            Coordinates.
        up_axis (`str`):
            Axis that points up in `points`, `"x"`, `"y"` or `"z"`.

    Returns:
        `np.ndarray`: Coordinates of the same shape and type.

    Example:
        >>> rotate_to_y_up(np.array([[1.0, 2.0, 3.0]]), "z").tolist()
        [[1.0, 3.0, -2.0]]
    """
    return points if up_axis == "y" else points @ np.array(_TURNS[up_axis], dtype=points.dtype).T


@dataclass
class PointCloudFolderConfig(datasets.BuilderConfig):
    """How the files of a `folder` dataset are read.

    Args:
        num_points (`int`, *optional*, defaults to 2048):
            Points to draw from the surface of each mesh. Clouds keep their own number.
        seed (`int`, *optional*, defaults to 0):
            Seed of these points, not negative. They depend on it and on the path of the file below `data_dir`.
        up_axis (`str`, *optional*, defaults to `"y"`):
            Axis that points up in the files, `"x"`, `"y"` or `"z"`; turned, never mirrored, to y.
        points_key (`str`, *optional*):
            Name of the array in `.npz` and `.h5` files. Without it, `"points"`, or else the only array of a file.
        suffixes (`Sequence[str]`, *optional*):
            Endings of the files to read, such as `[".off"]`. Defaults to `POINT_CLOUD_SUFFIXES`.
        follow_links (`bool`, *optional*, defaults to `False`):
            Whether symbolic links may lead out of the folder, see `find_point_cloud_files`.
    """

    num_points: int = 2048
    seed: int = 0
    up_axis: str = "y"
    points_key: str | None = None
    suffixes: Sequence[str] | None = None
    follow_links: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in {"num_points": 1, "seed": 0}.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"`{name}` must be an int, got {value!r}.")
            if value < least:
                raise ValueError(f"`{name}` must be at least {least}, got {value}.")
        if self.up_axis not in _TURNS:
            raise ValueError(f'`up_axis` must be "x", "y" or "z", got {self.up_axis!r}.')


class PointCloudFolder(SealedCache, datasets.ArrowBasedBuilder):
    """Builder of a dataset from files on disk; points keep the units of their file.

    The class of a cloud is the name of the folder that holds it. A bad file stops the build with its name, and nothing of
    the dataset stays in the cache. The cache depends on the options, and on the path, size and time of change of every file.

    Args:
        data_dir (`str`):
            Folder of files, or of splits; see `find_point_cloud_files`.
        suffixes (`Sequence[str]`, *optional*):
            See `PointCloudFolderConfig`, whose other options are taken as well.
        follow_links (`bool`, *optional*, defaults to `False`):
            See `PointCloudFolderConfig`.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Options of the configuration, or of `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        ImportError: If the format of a file needs a package that is not installed.
        ValueError: If `data_dir` is not a folder of point clouds; later, as a `DatasetError`, if a file in it is not a valid
            cloud.
    """

    BUILDER_CONFIG_CLASS = PointCloudFolderConfig
    VERSION = datasets.Version("1.1.0")

    def __init__(
        self,
        *,
        data_dir: str | None = None,
        suffixes: Sequence[str] | None = None,
        follow_links: bool = False,
        hash: str | None = None,
        **kwargs: Any,
    ) -> None:
        if data_dir is None:
            raise ValueError("`data_dir` must name the folder of point clouds, got None.")
        self._splits = find_point_cloud_files(data_dir, suffixes, follow_links)
        if hash is None:
            sources = [inspect.getsource(module) for module in _SOURCES]
            hash = Hasher.hash([sources, folder_state(self._splits)])
        options = {"suffixes": suffixes, "follow_links": follow_links}
        super().__init__(data_dir=str(data_dir), hash=hash, **options, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(
            description="Point clouds from files of a folder.",
            features=point_cloud_features(class_names=class_names_of(self._splits)),
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        # A missing package reaches the user as it is from here, and wrapped by `datasets` from among the tables.
        first_files = {file.path.suffix.lower(): file for files in self._splits.values() for file in reversed(files)}
        for file in first_files.values():
            self._read(file)
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": files}) for split, files in self._splits.items()
        ]

    def _generate_tables(self, files: list[PointCloudFile]) -> Iterator[tuple[int, pa.Table]]:
        start = 0
        waiting: list[np.ndarray] = []
        num_waiting = 0
        for position, file in enumerate(files):
            waiting.append(self._read(file))
            num_waiting += len(waiting[-1])
            if num_waiting >= _POINTS_PER_TABLE or position + 1 == len(files):
                yield start, self._table(files[start : position + 1], waiting)
                start, waiting, num_waiting = position + 1, [], 0

    def _read(self, file: PointCloudFile) -> np.ndarray:
        """The cloud of one file, y up."""
        rng = np.random.default_rng([self.config.seed, zlib.crc32(file.id.encode())])
        try:
            points = readers.read_point_cloud(file.path, self.config.num_points, self.config.points_key, rng)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        return rotate_to_y_up(points, self.config.up_axis)

    def _table(self, files: list[PointCloudFile], points: list[np.ndarray]) -> pa.Table:
        """One table of consecutive files."""
        labels = None
        if "label" in self.info.features:
            labels = [self.info.features["label"].str2int(file.class_name) for file in files]
        return point_cloud_table(self.info.features, points, [file.id for file in files], labels)
