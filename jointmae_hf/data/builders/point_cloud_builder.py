"""What the builders of published datasets share: files are found first, checked next, and read part by part."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from datasets.fingerprint import Hasher

from jointmae_hf.data import schema
from jointmae_hf.data.readers import validation as point_checks

from . import cache_seal
from . import source_files as source_files
from . import split_lists as split_lists
from .cache_seal import SealedCache
from .dataset_source import DatasetSource


_CLOUDS_PER_TABLE = 256
_SHARED_MODULES = (cache_seal, source_files, split_lists, point_checks, schema)


class PointCloudBuilder(SealedCache, datasets.ArrowBasedBuilder):
    """Builder of a published dataset from the files that the user has.

    Every file is found before anything is read. What is wrong stops the build with a `DatasetError` that names the file and
    says where the dataset is had; nothing is skipped. The cache depends on the options, on the path, size and time of change
    of every file, and on the source of the readers.

    Args:
        find (`Callable[..., SourceFiles]`):
            Finds the files, from the folder and the options.
        options (`dict[str, Any]`):
            Options of the dataset.
        data_dir (`str`, *optional*):
            Folder of the dataset; `None` is refused.
        hash (`str`, *optional*):
            Name of this state of the dataset in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        TypeError: If `kwargs` hold what neither `datasets` nor the dataset knows.
        DatasetError: If the files in `data_dir` are not those of the dataset.
    """

    VERSION = datasets.Version("1.0.0")
    SOURCE: ClassVar[DatasetSource]
    MODULES: ClassVar[Sequence[ModuleType]]
    """Modules that read the dataset; a change of their source is a change of the dataset."""

    def __init__(
        self,
        find: Callable[..., Any],
        options: dict[str, Any],
        data_dir: str | None,
        hash: str | None = None,
        **kwargs: Any,
    ) -> None:
        unknown = sorted(set(kwargs) - set(inspect.signature(datasets.DatasetBuilder.__init__).parameters))
        if unknown:
            raise TypeError(
                f"`{unknown[0]}` must be an option of {type(self).__name__}, got {sorted(options)} as options."
            )
        with self.SOURCE.with_download_hint():
            folder = source_files.as_folder(data_dir)
            self._files: source_files.SourceFiles = find(folder, **options)
            state = source_files.files_state(self._files.paths)
        if hash is None:
            sources = [inspect.getsource(module) for module in (*_SHARED_MODULES, *self.MODULES)]
            hash = Hasher.hash([sources, sorted(options.items()), state])
        super().__init__(data_dir=str(folder), hash=hash, **kwargs)

    def _described(self, description: str, features: datasets.Features) -> datasets.DatasetInfo:
        """What `datasets` and a converted repository say of the dataset."""
        return datasets.DatasetInfo(
            description=description, features=features, homepage=self.SOURCE.where, license=self.SOURCE.licence
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        with self.SOURCE.with_download_hint():
            self._files.check()
        return [
            # A list is what `datasets` divides among processes.
            datasets.SplitGenerator(name=split, gen_kwargs={"parts": list(parts)})
            for split, parts in self._files.splits.items()
        ]

    def _generate_tables(self, parts: list[Any]) -> Iterator[tuple[tuple[int, int], pa.Table]]:
        for number, part in enumerate(parts):
            with self.SOURCE.with_download_hint():
                clouds = self._files.read(part)
            for start in range(0, len(clouds.ids), _CLOUDS_PER_TABLE):
                columns = clouds.columns(start, start + _CLOUDS_PER_TABLE)
                yield (number, start), schema.point_cloud_table(self.info.features, **columns)
