"""Checks before publishing: a checkpoint loads without this package, and its files contain no secrets."""

import json
import os
import re
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor, PreTrainedModel

import jointmae_hf


# Script of the other process: this package cannot be imported there.
_LOADER = """
import sys
from importlib.abc import MetaPathFinder

class NoPackage(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "jointmae_hf":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NoPackage())
folder, auto_class, inputs, outputs, num_threads = sys.argv[1:]
import torch, transformers
from safetensors.torch import load_file, save_file

torch.set_num_threads(int(num_threads))
model = getattr(transformers, auto_class).from_pretrained(folder, trust_remote_code=True, dtype=torch.float32).eval()
torch.manual_seed(0)
with torch.no_grad():
    answer = model(**load_file(inputs))
found = {name: value.contiguous() for name, value in answer.items() if isinstance(value, torch.Tensor)}
save_file(found, outputs)
"""
_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{30,}|AKIA[0-9A-Z]{16})\b")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# A path below a common root folder or on a Windows drive; not the path of a web address.
_ROOTS = "home|Users|root|tmp|mnt|media|data|datasets|scratch|work|workspace|content|var|opt|srv|private|gpfs|lustre"
_LOCAL_PATH = re.compile(
    rf"(?<![\w.:/~-])(?:file://)?/(?:{_ROOTS})/[^\s\"'`<>|)\]]+|(?<!\w)[A-Za-z]:\\+\w[^\s\"'`<>|]*"
)


def read_architecture(folder: str | os.PathLike[str]) -> str:
    """Return the class that a checkpoint was saved from.

    Args:
        folder (`str` or `os.PathLike`):
            Folder with `config.json`.

    Returns:
        `str`: Name of the class.

    Raises:
        ValueError: If `config.json` does not name exactly one class.
    """
    config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    architectures = config.get("architectures") or []
    if len(architectures) != 1:
        raise ValueError(
            f"`architectures` in config.json must name one class, got {architectures}. Save with `save_pretrained`."
        )
    return architectures[0]


def verify_loads(folder: str | os.PathLike[str], timeout: float = 600.0) -> PreTrainedModel:
    """Load a checkpoint with this package and, in another process, without it, and compare the outputs.

    Args:
        folder (`str` or `os.PathLike`):
            Folder with weights and code, see [`write_remote_code`].
        timeout (`float`, *optional*, defaults to 600.0):
            Seconds before the other process is stopped.

    Returns:
        `PreTrainedModel`: The model.

    Raises:
        ValueError: If weights are missing or do not match the configuration, or the outputs are not finite or differ
            between the two processes.
        RuntimeError: If the folder does not load without the package.
        OSError: If weights or processor do not load.
    """
    folder = Path(folder)
    architecture = read_architecture(folder)
    model = _load_exactly(folder, architecture)
    if (folder / "preprocessor_config.json").is_file():
        AutoProcessor.from_pretrained(folder)
    inputs = {"points": torch.rand(1, model.config.num_points, 3, generator=torch.Generator().manual_seed(0))}
    torch.manual_seed(0)
    with torch.no_grad():
        expected = model.eval()(**inputs)
    for name, value in expected.items():
        if isinstance(value, torch.Tensor) and not value.isfinite().all():
            raise ValueError(f"`folder` must give finite outputs, got NaN or infinity in `{name}` of random points.")
    for name, value in _outputs_without_package(folder, architecture, inputs, timeout).items():
        if not torch.allclose(value.double(), expected[name].double(), rtol=1e-3, atol=1e-5):
            raise ValueError(f"`folder` must give the same `{name}` with and without the package, got a difference.")
    return model


def _load_exactly(folder: Path, architecture: str) -> PreTrainedModel:
    """Load the model, and raise if a weight is missing, unknown or of another shape."""
    model, info = getattr(jointmae_hf, architecture).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32
    )
    for kind in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if info[kind]:
            raise ValueError(
                f"`folder` must hold exactly the weights of {architecture}, got {kind} {sorted(info[kind])}."
            )
    return model


def _outputs_without_package(
    folder: Path, architecture: str, inputs: dict[str, torch.Tensor], timeout: float
) -> dict[str, torch.Tensor]:
    """Return the outputs of the model in a new process that cannot import this package."""
    auto_class = "AutoModelForPreTraining" if architecture == "JointMAEForPreTraining" else "AutoModel"
    with tempfile.TemporaryDirectory() as temporary:
        paths = [str(Path(temporary, name)) for name in ("inputs.safetensors", "outputs.safetensors")]
        save_file(inputs, paths[0])
        command = [sys.executable, "-I", "-c", _LOADER, str(folder), auto_class, *paths, str(torch.get_num_threads())]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(Path(temporary, "modules"))}
        finished = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        if finished.returncode:
            last = finished.stderr.strip().splitlines()[-1:]
            raise RuntimeError(f"`folder` must load without the package by trust_remote_code, got {' '.join(last)}")
        return load_file(paths[1])


def check_contents(paths: Sequence[Path]) -> None:
    """Raise if a file contains an access token, a private key or a path of this machine.

    Args:
        paths (sequence of `pathlib.Path`):
            Files to publish. Text, metadata of PNG files and headers of weights are searched.

    Raises:
        ValueError: With file, line and path. A token is never repeated in the message.
    """
    for path in paths:
        for number, line in enumerate(_searchable_text(path).splitlines(), start=1):
            where = f"{path.name}, line {number}"
            if _TOKEN.search(line) or _PRIVATE_KEY.search(line):
                raise ValueError(f"`folder` must hold no access token, got one in {where}. Remove and revoke it.")
            for found in _local_paths(line):
                raise ValueError(f"`folder` must hold no path of this machine, got {found!r} in {where}. Remove it.")


def _local_paths(line: str) -> Iterator[str]:
    """Yield absolute paths below common roots, and the home and working folder of this process."""
    yield from (match.group() for match in _LOCAL_PATH.finditer(line))
    for own in {str(Path.home()), os.getcwd()}:
        if len(Path(own).parts) > 2 and re.search(rf"(?<![\w.]){re.escape(own)}(?![\w-])", line):
            yield own


def _searchable_text(path: Path) -> str:
    """Return the header of weights, the metadata of a PNG file, or the whole of any other file."""
    if path.suffix == ".safetensors":
        with open(path, "rb") as file:
            return file.read(int.from_bytes(file.read(8), "little")).decode("latin-1")
    content = path.read_bytes()
    return (_png_metadata(content) if path.suffix == ".png" else content).decode("latin-1")


def _png_metadata(content: bytes) -> bytes:
    """Return all chunks of a PNG file except its pixels, one per line, with compressed text decompressed."""
    texts, start = [], 8
    while start + 8 <= len(content):
        size, kind = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        data = content[start + 8 : start + 8 + size]
        if kind == b"zTXt":
            keyword, _, compressed = data.partition(b"\0")
            texts.append(keyword + b" " + zlib.decompress(compressed[1:]))
        elif kind != b"IDAT":
            texts.append(data)
        start += size + 12  # with size, kind and checksum
    return b"\n".join(texts).replace(b"\0", b" ")
