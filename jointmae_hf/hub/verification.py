"""Checking that a folder loads as those will load it who have transformers but not this package."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForPreTraining, AutoProcessor, PreTrainedModel

import jointmae_hf

from .published_files import read_architecture


# What the other process runs: our package is not importable there, nothing is downloaded.
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
save_file(found, outputs, metadata={"class": type(model).__name__})
"""


def verify_checkpoint(folder: str | os.PathLike[str], timeout: float = 600.0) -> PreTrainedModel:
    """Load a checkpoint by the class that it names, here and without the package, and compare both.

    Args:
        folder (`str` or `os.PathLike`):
            Folder with weights and code, see [`write_remote_code`].
        timeout (`float`, *optional*, defaults to 600.0):
            Seconds that the other process may take.

    Returns:
        `PreTrainedModel`: The model.

    Raises:
        ValueError: If weights are missing or have another shape than the configuration says, or the outputs are not
            finite or differ between the two.
        RuntimeError: If the folder does not load without the package.
        OSError: If weights or processor do not load.
    """
    folder = Path(folder)
    architecture = read_architecture(folder)
    model, info = getattr(jointmae_hf, architecture).from_pretrained(
        folder, output_loading_info=True, dtype=torch.float32
    )
    for kind in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if info[kind]:
            raise ValueError(
                f"`folder` must hold exactly the weights of {architecture}, got {kind} {sorted(info[kind])}."
            )
    if (folder / "preprocessor_config.json").is_file():
        AutoProcessor.from_pretrained(folder)
    inputs = {"points": torch.rand(1, model.config.num_points, 3, generator=torch.Generator().manual_seed(0))}
    torch.manual_seed(0)
    with torch.no_grad():
        expected = model.eval()(**inputs)
    for name, value in expected.items():
        if isinstance(value, torch.Tensor) and not value.isfinite().all():
            raise ValueError(f"`folder` must give finite outputs, got NaN or infinity in `{name}` of random points.")
    for name, value in _load_elsewhere(folder, architecture, inputs, timeout).items():
        if not torch.allclose(value.double(), expected[name].double(), rtol=1e-3, atol=1e-5):
            raise ValueError(f"`folder` must give the same `{name}` with and without the package, got another.")
    return model


def _load_elsewhere(
    folder: Path, architecture: str, inputs: dict[str, torch.Tensor], timeout: float
) -> dict[str, torch.Tensor]:
    """Outputs of the model in a fresh process that cannot import this package."""
    auto_class = AutoModelForPreTraining.__name__ if architecture == "JointMAEForPreTraining" else "AutoModel"
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
