"""Converting a dataset to a Parquet repository that plain `datasets.load_dataset` reads, and publishing it."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from huggingface_hub import HfApi

from jointmae_hf.data.builders.point_cloud_builder import DatasetError

from .dataset_card import name_repository, write_dataset_card
from .loading import load_point_clouds
from .uploading import try_again, upload_in_one_commit


CHECKSUMS_NAME = "SHA256SUMS"
"""Name of the list of checksums, in the form of `sha256sum`: plain readers of Parquet do not verify any."""

MAX_SHARD_BYTES = 500_000_000
_ROW_GROUP_BYTES = 16 << 20


def convert_to_parquet(
    name: str,
    output_dir: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    num_proc: int | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    **config: Any,
) -> Path:
    """Write all splits of a dataset as `data/{split}-00000-of-000NN.parquet`, with a card, complete or not at all.

    `SHA256SUMS` keeps checksums of the Parquet files, see `verify_checksums`.

    Args:
        name (`str`):
            Name of the dataset, see `load_point_clouds`.
        output_dir (`str` or `os.PathLike`):
            Folder to write. It must not exist or be empty, and must not lie in `data_dir`.
        data_dir (`str` or `os.PathLike`, *optional*):
            Folder of the dataset's files.
        cache_dir (`str` or `os.PathLike`, *optional*):
            Where the dataset is built first. Defaults to the cache of `datasets`.
        num_proc (`int`, *optional*):
            Processes that build the dataset, one by default.
        max_shard_bytes (`int`, *optional*, defaults to 500,000,000):
            Maximum size of a file; only a single cloud that is larger exceeds it.
        config (`Any`, *optional*):
            Options of the dataset.

    Returns:
        `pathlib.Path`: `output_dir`.

    Raises:
        ValueError: If `output_dir` holds something or lies in `data_dir`, `max_shard_bytes` is not positive, or the dataset
            cannot be built.
    """
    output_dir = Path(output_dir).absolute()
    _check_output(output_dir, data_dir)
    if max_shard_bytes < 1:
        raise ValueError(f"`max_shard_bytes` must be positive, got {max_shard_bytes}.")
    splits = load_point_clouds(
        name,
        data_dir=None if data_dir is None else Path(data_dir),
        cache_dir=None if cache_dir is None else Path(cache_dir),
        num_proc=num_proc,
        **config,
    )
    output_dir.parent.mkdir(parents=True, exist_ok=True)
    # Next to the output, so that the last step is a rename. The temporary folder itself is closed to others.
    with tempfile.TemporaryDirectory(prefix=f".{output_dir.name}.", dir=output_dir.parent) as temporary:
        written = Path(temporary, "dataset")
        (written / "data").mkdir(parents=True)
        paths = [path for split in splits for path in _write_split(splits[split], split, written, max_shard_bytes)]
        num_bytes = sum(path.stat().st_size for path in paths)
        _write_checksums(written, paths)
        card = write_dataset_card(name, splits, config, num_bytes)
        (written / "README.md").write_text(card, encoding="utf-8")
        _check_output(output_dir, data_dir)
        if output_dir.exists():
            output_dir.rmdir()
        written.rename(output_dir)
    return output_dir


def _check_output(output_dir: Path, data_dir: str | os.PathLike[str] | None) -> None:
    """Raise unless the output can be written without touching anything that exists."""
    if output_dir.exists() and (not output_dir.is_dir() or any(output_dir.iterdir())):
        raise ValueError(f"`output_dir` must not exist or be an empty folder, got {output_dir}. Name another.")
    if data_dir is not None and output_dir.resolve().is_relative_to(Path(data_dir).resolve()):
        raise ValueError(f"`output_dir` must lie outside `data_dir`, got {output_dir} in {data_dir}.")


def _row_groups(dataset: Dataset) -> Iterator[pa.Table]:
    """Yield consecutive rows of about 16 MiB, with the features in their schema."""
    num_rows = max(1, int(_ROW_GROUP_BYTES * len(dataset) / max(1, dataset.data.nbytes)))
    schema = dataset.features.arrow_schema
    for start in range(0, len(dataset), num_rows):
        table = dataset.data.slice(start, min(num_rows, len(dataset) - start))
        yield pa.Table.from_arrays([table.column(name).combine_chunks() for name in schema.names], schema=schema)


def _encoding(schema: pa.Schema) -> dict[str, Any]:
    """Return how columns are stored. Coordinates hardly repeat: a dictionary of them only costs time."""
    empty = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), empty)
    stored = pq.ParquetFile(pa.BufferReader(empty.getvalue())).schema
    kinds = {stored.column(number).path: stored.column(number).physical_type for number in range(len(stored))}
    floats = [path for path, kind in kinds.items() if kind in ("FLOAT", "DOUBLE")]
    others = [path for path in kinds if path not in floats]
    return {"compression": "zstd", "use_dictionary": others, "use_byte_stream_split": floats}


def _write_split(dataset: Dataset, split: str, folder: Path, max_shard_bytes: int) -> list[Path]:
    """Write the files of one split; their number, which is part of their names, is known at the end."""
    paths: list[Path] = []
    writer = None
    for table in _row_groups(dataset):
        # Parquet never takes more than Arrow, whose lists of coordinates carry four bytes of position a point.
        if writer is not None and paths[-1].stat().st_size + table.nbytes > max_shard_bytes:
            writer.close()
            writer = None
        if writer is None:
            paths.append(folder / "data" / f"{split}-{len(paths):05d}.parquet")
            writer = pq.ParquetWriter(paths[-1], table.schema, **_encoding(table.schema), write_page_index=True)
        writer.write_table(table, row_group_size=len(table))
    if writer is not None:
        writer.close()
    return [path.rename(path.with_stem(f"{path.stem}-of-{len(paths):05d}")) for path in paths]


def _write_checksums(folder: Path, paths: Sequence[Path]) -> None:
    """Write the SHA-256 of files below a folder, so that `sha256sum --check SHA256SUMS` verifies them."""
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in sorted(paths)]
    (folder / CHECKSUMS_NAME).write_text("".join(lines), encoding="utf-8")


def verify_checksums(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files of a converted dataset after comparing them with its checksums, which `load_dataset` does not.

    A file that is missing, altered or not listed raises a `DatasetError` that names it.
    """
    folder = Path(folder)
    if not (folder / CHECKSUMS_NAME).is_file():
        raise DatasetError(f"`folder` must hold {CHECKSUMS_NAME}, got none in {folder}. Convert the dataset again.")
    lines = (folder / CHECKSUMS_NAME).read_text(encoding="utf-8").splitlines()
    listed = {folder / name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    broken = [f"{path} (missing)" for path in listed if not path.is_file()]
    broken += [
        f"{path} (checksum mismatch)" for path, digest in listed.items() if path.is_file() and _sha256(path) != digest
    ]
    broken += [f"{path} (not listed)" for path in sorted(folder.rglob("*.parquet")) if path not in listed]
    if broken or not listed:
        raise DatasetError(
            f"`folder` must hold the files that {CHECKSUMS_NAME} lists, got {', '.join(broken) or 'an empty list'}. "
            "Convert or download the dataset again."
        )
    return list(listed)


def _sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def push_dataset(folder: str | os.PathLike[str], repo_id: str, private: bool = True, token: str | None = None) -> str:
    """Upload a converted dataset to the Hub in one commit: after a fault, it is complete or absent.

    The files are verified first, and their checksums are uploaded with them. Parquet files of an older upload that the new
    one does not have are removed in the same commit. The uploaded card names the repository; the folder is not changed.

    Args:
        folder (`str` or `os.PathLike`):
            What `convert_to_parquet` wrote.
        repo_id (`str`):
            Dataset on the Hub, `"owner/name"`, or `"name"` for your own.
        private (`bool`, *optional*, defaults to `True`):
            Whether it must be private; few datasets may be redistributed. A public one that exists is then refused.
        token (`str`, *optional*):
            Access token. Defaults to the one you are logged in with.

    Returns:
        `str`: URL of the commit.

    Raises:
        ValueError: If `folder` holds no converted dataset, a file does not match its checksum, or the dataset on the Hub is
            public although `private` is set.
        ConnectionError: If the Hub could not be reached several times.
    """
    folder, api = Path(folder), HfApi(token=token)
    paths = sorted(folder.glob("data/*.parquet"))
    if not (folder / "README.md").is_file() or not paths:
        raise ValueError(f"`folder` must hold README.md and data/*.parquet, got {folder}. Convert a dataset first.")
    verify_checksums(folder)
    options: dict[str, Any] = {"repo_type": "dataset", "private": private, "exist_ok": True}
    name = try_again(lambda: api.create_repo(repo_id, **options), f"create {repo_id}").repo_id
    if private and not try_again(lambda: api.repo_info(name, repo_type="dataset"), f"read {name}").private:
        raise ValueError(f"`repo_id` must be private, got {name}, which is public. Pass `private=False`.")
    card = name_repository((folder / "README.md").read_text(encoding="utf-8"), name)
    files: dict[str, Path | bytes] = {f"data/{path.name}": path for path in paths}
    files[CHECKSUMS_NAME] = folder / CHECKSUMS_NAME
    files["README.md"] = card.encode()
    return upload_in_one_commit(api, name, files, "Upload point clouds", ["data/*.parquet"], "dataset").commit_url
