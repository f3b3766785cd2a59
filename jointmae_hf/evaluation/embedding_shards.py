"""The table of features on disk: shards that are complete or absent, and one Parquet file in the end."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .results import write_json


METADATA_KEY = b"jointmae"
"""Key of the metadata of a Parquet file under which the description stands as JSON."""

_RUN_NAME = "run.json"
_ROW_GROUP_BYTES = 16 << 20
_NETWORK_DELAY = 90.0
"""Seconds until a network file system shows what another machine has written."""


def read_embedding_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what the features in a file depend on.

    Args:
        path (`str` or `os.PathLike`):
            File that [`embed_folder`] wrote.

    Returns:
        `dict[str, Any]`: See [`FileEmbedder.describe`]; also `num_files` and `files_sha256`, which stands for names, sizes
        and modification times of all files, and `skipped`, a list of `[path, reason]` of the files without a row.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it was not written by [`embed_folder`].
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
    except pa.ArrowInvalid as error:
        raise ValueError(f"`path` must be a Parquet file, got {path}: {error}") from error
    if METADATA_KEY not in metadata:
        raise ValueError(f"`path` must be a file of `jointmae embed`, got {path} without its metadata.")
    return json.loads(metadata[METADATA_KEY])


@dataclass(frozen=True)
class EmbeddingTable:
    """A table that several processes write, shard by shard, and that survives a kill at any moment.

    Shards lie in the folder `{output}.parts` until all are there. A shard is renamed to its name when it is complete, and so
    is the table; a run that starts again writes the missing ones.

    Args:
        output (`pathlib.Path`):
            The table in the end, a `.parquet` file.
        description (`Mapping[str, Any]`):
            What the rows depend on, as JSON.
        num_files (`int`):
            Number of files, each of which gives a row or is skipped.
        files_per_shard (`int`):
            Files of a shard, the last one may have fewer.
    """

    output: Path
    description: Mapping[str, Any]
    num_files: int
    files_per_shard: int
    parts: Path = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", self.output.with_name(f"{self.output.name}.parts"))

    @property
    def shards(self) -> list[range]:
        """Indices of the files of every shard."""
        starts = range(0, self.num_files, self.files_per_shard)
        return [range(start, min(start + self.files_per_shard, self.num_files)) for start in starts]

    def is_complete(self) -> bool:
        """Return whether the table is there, and raise if another file is in its place."""
        if not self.output.exists():
            return False
        try:
            found = read_embedding_metadata(self.output)
        except (ValueError, OSError) as error:
            raise ValueError(f"`output` must be new, got {self.output}, which holds something else.") from error
        found.pop("skipped")
        self._check_same(found, self.output)
        return True

    def start(self) -> None:
        """Create the folder of the shards, unless a run that was interrupted left it."""
        if not (self.parts / _RUN_NAME).exists():
            self.parts.mkdir(parents=True, exist_ok=True)
            write_json(self.parts / _RUN_NAME, self.description)

    def check_run(self) -> None:
        """Raise unless the shards in the folder are of a run with the same description."""
        path = self.parts / _RUN_NAME
        if not _comes(path.exists):
            raise ValueError(f"`output` must lie on a disk that all machines share, got no {path} on this one.")
        self._check_same(json.loads(path.read_text(encoding="utf-8")), self.parts)

    def _check_same(self, found: Mapping[str, Any], path: Path) -> None:
        """Raise if a description differs from ours, with the first field that does."""
        for name in [*self.description, *found]:
            ours, theirs = self.description.get(name), found.get(name)
            if ours != theirs:
                raise ValueError(
                    f"`{name}` must be that of {path}, got {ours!r} and {theirs!r} there. Remove it to start again, or name "
                    "another output."
                )

    def missing_shards(self) -> list[int]:
        """Return the numbers of the shards that are not there."""
        return [number for number in range(len(self.shards)) if not self._path(number).exists()]

    def _path(self, number: int) -> Path:
        """Return the file of a shard."""
        return self.parts / f"part-{number:05d}-of-{len(self.shards):05d}.parquet"

    def write_shard(
        self,
        number: int,
        names: Sequence[str],
        features: np.ndarray,
        num_points: Sequence[int],
        skipped: Sequence[tuple[str, str]],
    ) -> None:
        """Write one shard, complete or not at all; `skipped` are names and reasons."""
        size = features.shape[1]
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1), pa.float32()), size)
        schema = _schema(size, {**self.description, "skipped": list(skipped)})
        columns = [pa.array(names, pa.string()), vectors, pa.array(num_points, pa.int64())]
        self._write(self._path(number), schema, [pa.Table.from_arrays(columns, schema=schema)])

    def finish(self) -> None:
        """Join all shards to the table unless it is there, and remove their folder."""
        if not self.is_complete():
            self._join()
        shutil.rmtree(self.parts, ignore_errors=True)

    def _join(self) -> None:
        """Write the table."""
        if not _comes(lambda: not self.missing_shards()):
            raise ValueError(
                f"`output` must lie on a disk that all machines share, got {len(self.missing_shards())} of "
                f"{len(self.shards)} shards missing in {self.parts}."
            )
        paths = [self._path(number) for number in range(len(self.shards))]
        schemas = [pq.read_schema(path) for path in paths]
        skipped = [entry for schema in schemas for entry in json.loads(schema.metadata[METADATA_KEY])["skipped"]]
        num_rows = sum(pq.read_metadata(path).num_rows for path in paths)
        if num_rows == 0:
            name, reason = skipped[0]
            raise ValueError(
                f"`folder` must hold a file that can be read, got {len(skipped)} others. {name}: {reason}"
            )
        schema = _schema(schemas[0].field("features").type.list_size, {**self.description, "skipped": skipped})
        self._write(self.output, schema, self._row_groups(schema))

    def _row_groups(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Yield the rows of all shards in tables of about 16 MiB."""
        waiting: list[pa.Table] = []
        for number in range(len(self.shards)):
            waiting.append(pq.read_table(self._path(number)).replace_schema_metadata(schema.metadata))
            if sum(table.nbytes for table in waiting) >= _ROW_GROUP_BYTES or number + 1 == len(self.shards):
                yield pa.concat_tables(waiting).combine_chunks()
                waiting = []

    def _write(self, path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
        """Write a Parquet file under another name and rename it when it is complete and on the disk."""
        temporary = self.parts / f".{path.name}.{os.getpid()}.tmp"
        try:
            with pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=False) as writer:
                for table in tables:
                    writer.write_table(table, row_group_size=max(1, len(table)))
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _comes(condition: Callable[[], bool]) -> bool:
    """Return whether a condition holds, or comes to hold while a network file system is behind."""
    deadline = time.monotonic() + _NETWORK_DELAY
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(1.0)
    return holds


def _schema(feature_size: int, description: Mapping[str, Any]) -> pa.Schema:
    """Return the columns of the table, with its description."""
    columns = {"path": pa.string(), "features": pa.list_(pa.float32(), feature_size), "num_points": pa.int64()}
    return pa.schema(columns, metadata={METADATA_KEY: json.dumps(description)})
