"""The file `results.json`: measured numbers, how they were selected, and the code and machine that produced them."""

import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PureWindowsPath
from typing import Any

import torch


FORMAT_VERSION = 1
PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "huggingface_hub",
    "safetensors",
    "numpy",
    "scikit-learn",
)
# An absolute path, POSIX or Windows, up to the next separator; not what follows the scheme of a URL.
ABSOLUTE_PATH = re.compile(
    r"""(?:(?<=^)|(?<=[\s=,;"'\[({])|(?<=file:)|(?<=:)(?!//))(?:[A-Za-z]:[\\/]|[\\/])[^=,:;"'\])}]*"""
)


@dataclass(frozen=True)
class Result:
    """Hold one measured number and the facts needed to interpret it.

    Args:
        name (`str`):
            Name of the metric, such as `"linear_svm_accuracy"`.
        value (`float`):
            The number; must be finite.
        unit (`str`):
            Unit, such as `"%"`, `"fraction"` or `"samples/s"`.
        split (`str`):
            Split of the evaluation, such as `"test"`.
        selection_rule (`str`):
            How epoch and hyperparameters were chosen, and on which split, such as `"last epoch"`.
        seed (`int`):
            Seed of the run.
        num_train (`int`):
            Number of training samples.
        num_test (`int`):
            Number of test samples.
        dataset (`str`):
            Name of the dataset.
        std (`float`, *optional*):
            Sample standard deviation over `num_runs` runs, if `value` is their mean.
        num_runs (`int`, *optional*, defaults to 1):
            Number of folds or seeds that `value` is averaged over.
        protocol (`str`, *optional*):
            Evaluation protocol, such as `"standard protocol (C = 0.01), first 1,024 points"`.
        pre_training (`str`, *optional*):
            How and on what the weights were pre-trained, see [`read_provenance`].
    """

    name: str
    value: float
    unit: str
    split: str
    selection_rule: str
    seed: int
    num_train: int
    num_test: int
    dataset: str
    std: float | None = None
    num_runs: int = 1
    protocol: str | None = None
    pre_training: str | None = None

    def __post_init__(self) -> None:
        if self.num_runs < 1:
            raise ValueError(f"`num_runs` of {self.name!r} must be at least 1, got {self.num_runs}.")
        if self.std is not None and not (math.isfinite(self.std) and self.std >= 0.0 and self.num_runs > 1):
            raise ValueError(
                f"`std` of {self.name!r} must be finite, non-negative and computed over several runs, got {self.std} "
                f"over {self.num_runs}."
            )
        if not math.isfinite(self.value):
            raise ValueError(f"`value` of {self.name!r} must be finite, got {self.value}.")
        for field in ("name", "unit", "split", "selection_rule", "dataset"):
            if not getattr(self, field):
                raise ValueError(f"`{field}` of {self.name!r} must not be empty, got an empty string.")


def write_json(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Write a record as indented JSON, atomically; refuse NaN and infinity."""
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_results(path: str | os.PathLike[str], results: Sequence[Result], run_facts: Mapping[str, Any]) -> None:
    """Write results and facts about the run as JSON, atomically.

    Args:
        path (`str` or `os.PathLike`):
            Usually `results.json` in the output folder of the run; the folder must exist.
        results (`Sequence[Result]`):
            At least one.
        run_facts (`Mapping[str, Any]`):
            Facts from [`collect_run_facts`], plus anything else that JSON can represent.

    Raises:
        ValueError: If `results` is empty, or a number in `run_facts` is NaN or infinite.
    """
    if not results:
        raise ValueError("`results` must hold at least one result, got none.")
    content = {
        "format_version": FORMAT_VERSION,
        "results": [_without_empty(asdict(result)) for result in results],
        "run": dict(run_facts),
    }
    write_json(path, content)


def read_results(path: str | os.PathLike[str]) -> tuple[list[Result], dict[str, Any]]:
    """Read a file written by [`write_results`].

    Args:
        path (`str` or `os.PathLike`):
            Path of the file.

    Returns:
        `tuple[list[Result], dict[str, Any]]`: The results and the facts about the run.

    Raises:
        ValueError: If the file has another format.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    found = content.get("format_version") if isinstance(content, dict) else None
    if found != FORMAT_VERSION:
        raise ValueError(f"`path` must hold results of format {FORMAT_VERSION}, got {found} in {Path(path).name}.")
    return [Result(**result) for result in content["results"]], content["run"]


def num_cores() -> int:
    """Count the cores that this process may use.

    Returns:
        `int`: At least one; fewer than the machine has if a batch system restricts the process.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def collect_run_facts(seconds: float | None = None, arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Collect the facts needed to reproduce a run. Absolute paths are reduced to their last component.

    Args:
        seconds (`float`, *optional*):
            Duration of the run.
        arguments (`Sequence[str]`, *optional*, defaults to `sys.argv`):
            Script name and arguments.

    Returns:
        `dict[str, Any]`: `commit` of the git repository in the working directory or `None`, `has_uncommitted_changes`,
        `versions`, `hardware`, `seconds` and `command`.
    """
    commit = _git("rev-parse", "HEAD")
    return {
        "commit": commit,
        "has_uncommitted_changes": None if commit is None else bool(_git("status", "--porcelain")),
        "versions": installed_versions(),
        "hardware": {
            "cpu": _cpu_model(),
            "num_cores": num_cores(),
            "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
            "num_gpus": torch.cuda.device_count(),
        },
        "seconds": None if seconds is None else round(float(seconds), 3),
        "command": _public_command(sys.argv if arguments is None else arguments),
    }


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Drop the fields of a result that are at their default."""
    return {name: value for name, value in fields.items() if value is not None and (name, value) != ("num_runs", 1)}


def _git(*arguments: str) -> str | None:
    """Run git in the working directory; return its output, or `None` without git or a commit."""
    try:
        finished = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return finished.stdout.strip() if finished.returncode == 0 else None


def installed_versions() -> dict[str, str | None]:
    """Return the versions of Python, of this package and of its dependencies; `None` for what is not installed."""
    own = getattr(sys.modules.get("jointmae_hf"), "__version__", None)  # A checkout need not be installed.
    versions: dict[str, str | None] = {"python": platform.python_version(), "jointmae_hf": own}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _cpu_model() -> str | None:
    """Return the name of the processor, from /proc/cpuinfo or else from Python."""
    try:
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        description = ""
    match = re.search(r"^model name\s*:\s*(.+)$", description, flags=re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or None


def _public_command(arguments: Sequence[str]) -> str:
    """Return a shell command without absolute paths, which would reveal details of the machine."""
    shortened = [ABSOLUTE_PATH.sub(_last_part, argument) for argument in arguments]
    return shlex.join(["python", *shortened])


def _last_part(match: re.Match[str]) -> str:
    """Return the last component of a path; `PureWindowsPath` parses POSIX paths too."""
    return PureWindowsPath(match.group().rstrip()).name or "."
