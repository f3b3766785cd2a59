"""The file `results.json`: what was measured, on what, chosen how, by which code on which machine."""

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
# An absolute path, POSIX or Windows, up to the next separator; not what follows the scheme of a web address.
ABSOLUTE_PATH = re.compile(
    r"""(?:(?<=^)|(?<=[\s=,;"'\[({])|(?<=file:)|(?<=:)(?!//))(?:[A-Za-z]:[\\/]|[\\/])[^=,:;"'\])}]*"""
)


@dataclass(frozen=True)
class Result:
    """One measured number and what is needed to judge it.

    Args:
        name (`str`):
            What was measured, such as `"linear_svm_accuracy"`.
        value (`float`):
            Finite.
        unit (`str`):
            Such as `"%"`, `"fraction"` or `"samples/s"`.
        split (`str`):
            The split that was measured, such as `"test"`.
        selection_rule (`str`):
            How epoch and hyper-parameters were chosen and on which split, such as `"last epoch"`.
        seed (`int`):
            Of the run.
        num_train (`int`):
            Samples that the number was fitted on.
        num_test (`int`):
            Samples that the number was measured on.
        dataset (`str`):
            Name of the data set.
        std (`float`, *optional*):
            Standard deviation over `num_runs` runs (divisor `num_runs - 1`) where `value` is their mean.
        num_runs (`int`, *optional*, defaults to 1):
            Folds or seeds that `value` is the mean of.
        protocol (`str`, *optional*):
            Which of several protocols, such as `"family: C=0.01, first 1,024 points"`.
        pre_training (`str`, *optional*):
            What the weights were pre-trained by and on, see [`read_pre_training`].
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
                f"`std` of {self.name!r} must be finite, not negative and of several runs, got {self.std} of "
                f"{self.num_runs}."
            )
        if not math.isfinite(self.value):
            raise ValueError(f"`value` of {self.name!r} must be finite, got {self.value}.")
        for field in ("name", "unit", "split", "selection_rule", "dataset"):
            if not getattr(self, field):
                raise ValueError(f"`{field}` of {self.name!r} must say something, got an empty text.")


def write_results(path: str | os.PathLike[str], results: Sequence[Result], run_facts: Mapping[str, Any]) -> None:
    """Write results and facts about the run as JSON, whole or not at all.

    Args:
        path (`str` or `os.PathLike`):
            Usually `results.json` in the output folder of the run, which must exist.
        results (`Sequence[Result]`):
            At least one.
        run_facts (`Mapping[str, Any]`):
            From [`collect_run_facts`], with anything that JSON can hold beside it.

    Raises:
        ValueError: If `results` is empty, or a number among `run_facts` is NaN or infinite.
    """
    if not results:
        raise ValueError("`results` must hold at least one result, got none.")
    content = {
        "format_version": FORMAT_VERSION,
        "results": [_without_empty(asdict(result)) for result in results],
        "run": dict(run_facts),
    }
    write_json(path, content)


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a JSON record atomically into an existing folder; raise `ValueError` if a number is NaN or infinite."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
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


def read_results(path: str | os.PathLike[str]) -> tuple[list[Result], dict[str, Any]]:
    """Read what [`write_results`] wrote.

    Args:
        path (`str` or `os.PathLike`):
            The file.

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
        `int`: One or more; fewer than the machine has where a batch system keeps the process to some of them.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def collect_run_facts(seconds: float | None = None, arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Collect what one needs to run the same again. Absolute paths are cut to their last part.

    Args:
        seconds (`float`, *optional*):
            Duration of the run.
        arguments (`Sequence[str]`, *optional*, defaults to `sys.argv`):
            Script and arguments.

    Returns:
        `dict[str, Any]`: `commit` of the working directory's git repository or `None`, `has_uncommitted_changes`,
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
    """Return the fields of a result but those that say nothing."""
    return {name: value for name, value in fields.items() if value is not None and (name, value) != ("num_runs", 1)}


def _git(*arguments: str) -> str | None:
    """Return the output of a git command in the working directory, None where there is no git or no commit."""
    try:
        finished = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return finished.stdout.strip() if finished.returncode == 0 else None


def installed_versions() -> dict[str, str | None]:
    """Versions of Python, of this package and of what it builds on.

    Returns:
        `dict[str, str | None]`: Name to version, `None` for what is not installed.
    """
    own = getattr(sys.modules.get("jointmae_hf"), "__version__", None)  # A checkout need not be installed.
    versions: dict[str, str | None] = {"python": platform.python_version(), "jointmae_hf": own}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _cpu_model() -> str | None:
    """Return the name of the processor, as Linux tells it or else as Python does."""
    try:
        description = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        description = ""
    match = re.search(r"^model name\s*:\s*(.+)$", description, flags=re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or None


def _public_command(arguments: Sequence[str]) -> str:
    """Return a command line for a shell in which no absolute path tells about the machine."""
    shortened = [ABSOLUTE_PATH.sub(_last_part, argument) for argument in arguments]
    return shlex.join(["python", *shortened])


def _last_part(match: re.Match[str]) -> str:
    """Return the last part of a path; a Windows path also reads a POSIX one."""
    return PureWindowsPath(match.group().rstrip()).name or "."
