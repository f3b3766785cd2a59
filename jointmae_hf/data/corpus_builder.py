"""What the builders of published corpora share: files are found first, checked next, and read part by part."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

import datasets
import pyarrow as pa
from datasets.fingerprint import Hasher

from . import cache_seal, corpus_files, corpus_lists, point_checks, schema
from .cache_seal import SealedCache
from .corpus_source import CorpusSource


_CLOUDS_PER_TABLE = 256
_SHARED_MODULES = (cache_seal, corpus_files, corpus_lists, point_checks, schema)


class CorpusBuilder(SealedCache, datasets.ArrowBasedBuilder):
    """Builder of a published corpus from the files that the user has.

    Every file is found before anything is read. What is wrong stops the build with a `CorpusError` that names the file and
    says where the corpus is had; nothing is skipped. The cache depends on the options, on the path, size and time of change
    of every file, and on the source of the readers.

    Args:
        find (`Callable[..., CorpusFiles]`):
            Finds the files, from the folder and the options.
        options (`dict[str, Any]`):
            Options of the corpus.
        data_dir (`str`, *optional*):
            Folder of the corpus; `None` is refused.
        hash (`str`, *optional*):
            Name of this state of the corpus in the cache. Computed if left out.
        kwargs (`Any`, *optional*):
            Passed to `datasets.ArrowBasedBuilder`, such as `cache_dir`.

    Raises:
        TypeError: If `kwargs` hold what neither `datasets` nor the corpus knows.
        CorpusError: If the files in `data_dir` are not those of the corpus.
    """

    VERSION = datasets.Version("1.0.0")
    SOURCE: ClassVar[CorpusSource]
    MODULES: ClassVar[Sequence[ModuleType]]
    """Modules that read the corpus; a change of their source is a change of the corpus."""

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
        with self.SOURCE.explained():
            folder = corpus_files.as_folder(data_dir)
            self._files: corpus_files.CorpusFiles = find(folder, **options)
            state = corpus_files.files_state(self._files.paths)
        if hash is None:
            sources = [inspect.getsource(module) for module in (*_SHARED_MODULES, *self.MODULES)]
            hash = Hasher.hash([sources, sorted(options.items()), state])
        super().__init__(data_dir=str(folder), hash=hash, **kwargs)

    def _described(self, description: str, features: datasets.Features) -> datasets.DatasetInfo:
        """What `datasets` and a converted repository say of the corpus."""
        return datasets.DatasetInfo(
            description=description, features=features, homepage=self.SOURCE.where, license=self.SOURCE.licence
        )

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        with self.SOURCE.explained():
            self._files.check()
        return [
            # A list is what `datasets` divides among processes.
            datasets.SplitGenerator(name=split, gen_kwargs={"parts": list(parts)})
            for split, parts in self._files.splits.items()
        ]

    def _generate_tables(self, parts: list[Any]) -> Iterator[tuple[tuple[int, int], pa.Table]]:
        for number, part in enumerate(parts):
            with self.SOURCE.explained():
                clouds = self._files.read(part)
            for start in range(0, len(clouds.ids), _CLOUDS_PER_TABLE):
                columns = clouds.columns(start, start + _CLOUDS_PER_TABLE)
                yield (number, start), schema.point_cloud_table(self.info.features, **columns)
