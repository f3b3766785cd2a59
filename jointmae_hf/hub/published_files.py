"""What of an output folder travels to the Hub, with the code beside the weights, and what must not be in it."""

import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import jointmae_hf.model
from jointmae_hf.model.remote_code import FEATURE_EXTRACTOR_AUTO_MAP, build_auto_map, build_custom_pipelines


PUBLISHED_PATTERNS = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "README.md",
    "results.json",
    "*.png",
)
"""Files at the top of an output folder that travel, beside the code: no optimizer, no pickle, no logs, no sub-folder."""

_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{30,}|AKIA[0-9A-Z]{16})\b")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# A path below a usual root of a machine, or on a drive of Windows; not the path of a web address.
_ROOTS = "home|Users|root|tmp|mnt|media|data|datasets|scratch|work|workspace|content|var|opt|srv|private|gpfs|lustre"
_MACHINE_PATH = re.compile(
    rf"(?<![\w.:/~-])(?:file://)?/(?:{_ROOTS})/[^\s\"'`<>|)\]]+|(?<!\w)[A-Za-z]:\\+\w[^\s\"'`<>|]*"
)


def stage_files(folder: str | os.PathLike[str], staging: str | os.PathLike[str]) -> list[Path]:
    """Lay out the files that travel, as they will lie on the Hub.

    Args:
        folder (`str` or `os.PathLike`):
            Output folder of a run. It is not changed.
        staging (`str` or `os.PathLike`):
            Empty folder. Weights and pictures become links in it.

    Returns:
        `list[pathlib.Path]`: The files in `staging`.

    Raises:
        FileNotFoundError: If `folder` holds no `config.json` or no weights.
        ValueError: If the checkpoint is not of a class of ours.
    """
    folder, staging = Path(folder).resolve(), Path(staging)
    for pattern, what in (("config.json", "a configuration"), ("model*.safetensors", "safetensors weights")):
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(
                f"`folder` must hold {what}, {pattern}, got {folder}. Write them by `save_pretrained`."
            )
    for pattern in PUBLISHED_PATTERNS:
        for source in sorted(folder.glob(pattern)):
            if source.suffix in (".json", ".md"):
                shutil.copyfile(source, staging / source.name)
            else:
                (staging / source.name).symlink_to(source)
    write_remote_code(staging)
    return sorted(staging.iterdir())


def write_remote_code(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the code of the model beside its weights, and say in the JSON files which class is where.

    The folder then loads by `trust_remote_code=True` where this package is not installed.

    Args:
        folder (`str` or `os.PathLike`):
            Folder with `config.json` and, maybe, `preprocessor_config.json`.

    Returns:
        `list[pathlib.Path]`: The code files.

    Raises:
        ValueError: If `config.json` names no class of ours under `architectures`.
    """
    folder = Path(folder)
    architecture = read_architecture(folder)
    entries = {"auto_map": build_auto_map(architecture), "custom_pipelines": build_custom_pipelines(architecture)}
    _add_to_json(folder / "config.json", entries)
    processor = folder / "preprocessor_config.json"
    if processor.is_file():
        _add_to_json(processor, {"auto_map": FEATURE_EXTRACTOR_AUTO_MAP})
    written = []
    for source in sorted(Path(jointmae_hf.model.__file__).parent.glob("*.py")):
        if source.name != "__init__.py":
            written.append(Path(shutil.copyfile(source, folder / source.name)))
    return written


def read_architecture(folder: str | os.PathLike[str]) -> str:
    """Read the class that a checkpoint was saved from.

    Args:
        folder (`str` or `os.PathLike`):
            Folder with `config.json`.

    Returns:
        `str`: Name of the class.

    Raises:
        ValueError: If `config.json` names none.
    """
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    architectures = config.get("architectures") or []
    if len(architectures) != 1:
        raise ValueError(
            f"`architectures` in config.json must name one class, got {architectures}. Save it by `save_pretrained`."
        )
    return architectures[0]


def check_contents(paths: list[Path]) -> None:
    """Refuse files that tell a secret or something about this machine.

    Text, metadata of pictures and the headers of weights are searched for access tokens, private keys and absolute
    paths.

    Args:
        paths (`list[pathlib.Path]`):
            Files that are about to travel.

    Raises:
        ValueError: Naming file, line and, for a path, what was found. A token is never repeated.
    """
    for path in paths:
        for number, line in enumerate(_searchable(path).splitlines(), start=1):
            where = f"{path.name}, line {number}"
            if _TOKEN.search(line) or _PRIVATE_KEY.search(line):
                raise ValueError(f"`folder` must hold no access token, got one in {where}. Remove and revoke it.")
            for found in _machine_paths(line):
                raise ValueError(
                    f"`folder` must hold no path of this machine, got {found!r} in {where}. Write what it stands for."
                )


def _machine_paths(line: str) -> Iterator[str]:
    """Yield absolute paths, and the home and working folder of this process wherever they lie."""
    yield from (match.group() for match in _MACHINE_PATH.finditer(line))
    for own in {str(Path.home()), os.getcwd()}:
        if len(Path(own).parts) > 2 and re.search(rf"(?<![\w.]){re.escape(own)}(?![\w-])", line):
            yield own


def _searchable(path: Path) -> str:
    """Return the part of a file that may hold text: of weights the header, of pictures their metadata."""
    content = path.read_bytes() if path.suffix != ".safetensors" else _weights_header(path)
    return (_picture_metadata(content) if path.suffix == ".png" else content).decode("latin-1")


def _weights_header(path: Path) -> bytes:
    """Return the JSON before the weights, whose length is in the first eight bytes."""
    with open(path, "rb") as file:
        return file.read(int.from_bytes(file.read(8), "little"))


def _picture_metadata(content: bytes) -> bytes:
    """Return all chunks of a PNG file but its pixels, one a line; a compressed text as it reads."""
    texts, start = [], 8
    while start + 8 <= len(content):
        size, kind = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        data = content[start + 8 : start + 8 + size]
        keyword, _, compressed = data.partition(b"\0")
        if kind == b"zTXt":
            texts.append(keyword + b" " + zlib.decompress(compressed[1:]))
        elif kind != b"IDAT":
            texts.append(data)
        start += size + 12  # with size, kind and checksum
    return b"\n".join(texts).replace(b"\0", b" ")


def _add_to_json(path: Path, entries: dict) -> None:
    """Put entries into a JSON file, in the order that transformers writes."""
    content = json.loads(path.read_text(encoding="utf-8")) | entries
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
