"""The base of the builders of published datasets: files are found first, checked next, and read part by part."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from datasets.exceptions import DatasetGenerationError
from datasets.fingerprint import Hasher

from jointmae_hf.data.schema import point_cloud_table

from .source_files import BUILDER_SOURCES, SourceFiles, as_folder, check_files, files_state, hash_sources


_CLOUDS_PER_TABLE = 256


class DatasetError(DatasetGenerationError, ValueError):
    """The files of a dataset are not as they must be. `datasets` raises it unchanged, from its worker processes too."""


@dataclass(frozen=True)
class DatasetSource:
    """What the reader of an error needs in order to get the files of a dataset right.

    Args:
        name (`str`):
            Name of the dataset.
        where (`str`):
            Sites to download it from.
        license (`str`):
            Terms of use.
        tree (`str`):
            Expected files and folders, one a line.
    """

    name: str
    where: str
    license: str
    tree: str

    @contextmanager
    def with_download_hint(self) -> Iterator[None]:
        """Turn every `ValueError` raised in the `with` block into a `DatasetError` that ends with this source."""
        try:
            yield
        except DatasetError:
            raise
        except ValueError as error:
            tree = "\n".join(f"  {line}" for line in self.tree.strip().splitlines())
            raise DatasetError(
                f"{error}\nDownload {self.name} from: {self.where}\nLicense: {self.license}\nExpected tree:\n{tree}"
            ) from error


class PointCloudBuilder(datasets.ArrowBasedBuilder):
    """Builder of a published dataset from files that the user has downloaded.

    All files are found before any is read. The first mistake stops the build with a `DatasetError` that names the file and
    the sites to download the dataset from; nothing is skipped. The cache depends on the options, on path, size and
    modification time of every file, and on the source of `SOURCES`.

    Args:
        find (`Callable[..., SourceFiles]`):
            Finds the files, given the folder and the options.
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
    SOURCES: ClassVar[Sequence[str]] = BUILDER_SOURCES
    """Modules that build the dataset, see `hash_sources`."""

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
            folder = as_folder(data_dir)
            self._files: SourceFiles = find(folder, **options)
            check_files(self._files.paths)
        if hash is None:
            hash = Hasher.hash([hash_sources(self.SOURCES), sorted(options.items()), files_state(self._files.paths)])
        super().__init__(data_dir=str(folder), hash=hash, **kwargs)

    def _describe(self, description: str, features: datasets.Features) -> datasets.DatasetInfo:
        """Return what `datasets` and a converted repository say about the dataset."""
        return datasets.DatasetInfo(
            description=f"{description}\n\n{self._files.frame.describe()}",
            features=features,
            homepage=self.SOURCE.where,
            license=self.SOURCE.license,
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
                yield (number, start), point_cloud_table(self.info.features, **columns)
