"""Point-MAE's public checkpoints as checkpoints of this package.

    python -m jointmae_hf.hub.convert_point_mae pretrain.pth outputs/point-mae

Reads what Point-MAE published: pre-trained, fine-tuned for classification, and fine-tuned for part segmentation.
"""

import argparse
import logging
import mmap
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from jointmae_hf.data.readers.safe_pickle import torch_stand_ins
from jointmae_hf.data.readers.validation import check_expansion
from jointmae_hf.model import (
    JointMAEFeatureExtractor,
    JointMAEForPointCloudClassification,
    JointMAEForPointCloudSegmentation,
    JointMAEForPreTraining,
    JointMAEPreTrainedModel,
)

from .point_mae_weights import config_of, convert_weights, kind_of


logger = logging.getLogger(__name__)

_CLASSES: dict[str, type[JointMAEPreTrainedModel]] = {
    "pre-training": JointMAEForPreTraining,
    "classification": JointMAEForPointCloudClassification,
    "segmentation": JointMAEForPointCloudSegmentation,
}


def read_point_mae(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights of one of Point-MAE's `.pth` files; code in it is not run.

    Args:
        path (`str` or `os.PathLike`):
            The file. Weights are under `base_model`, or under `model_state_dict` in part segmentation.

    Returns:
        `dict[str, torch.Tensor]`: State dict without `module.` prefixes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file holds anything but tensors, numbers and texts, or no weights.
    """
    path = Path(path)
    try:
        content = _load_tensors(path)
    except OSError:
        raise
    except Exception as error:  # torch stumbles over a broken file with whatever error comes first.
        reason = _reason_of(error)
        raise ValueError(f"`path` must be a .pth file of tensors and numbers, got {path.name!r}: {reason}") from error
    for key in ("base_model", "model_state_dict"):
        if isinstance(content, dict) and key in content:
            return _tensors_of(content[key], path)
    got = sorted(content, key=str) if isinstance(content, dict) else type(content).__name__
    raise ValueError(f"`path` must hold `base_model` or `model_state_dict`, got {got} in {path.name!r}.")


def _reason_of(error: Exception) -> str:
    """What torch found, without its advice how to load the code in the file after all."""
    _, is_refusal, reason = str(error).partition("WeightsUnpickler error: ")
    return reason.strip().partition("\n")[0].partition(". Please use")[0] if is_refusal else str(error)


def _load_tensors(path: Path) -> Any:
    """Content of a file of `torch.save` without code."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            check_expansion(sum(member.file_size for member in archive.infolist()), path.stat().st_size, path)
    # A memory map never gives more than the file has.
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        torch.serialization.safe_globals(torch_stand_ins()),
    ):
        return torch.load(cast(BinaryIO, content), map_location="cpu", weights_only=True)


def _tensors_of(weights: Any, path: Path) -> dict[str, Tensor]:
    """State dict without `module.` prefixes, after checking that it is one."""
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise ValueError(f"`path` must hold tensors by name, got something else in {path.name!r}.")
    return {name.replace("module.", ""): value for name, value in weights.items()}


def convert_point_mae(
    path: str | os.PathLike[str], output_dir: str | os.PathLike[str], **overrides: Any
) -> JointMAEPreTrainedModel:
    """Convert a checkpoint of Point-MAE and write it with a feature extractor.

    Features agree with Point-MAE's own code on the same input to 1e-4 in float32, with one exception: its CUDA operation
    for farthest point sampling never picks a point within 0.032 of the origin, ours does.

    Args:
        path (`str` or `os.PathLike`):
            `.pth` file, see [`read_point_mae`].
        output_dir (`str` or `os.PathLike`):
            Folder to write, new or empty.
        overrides (`dict[str, Any]`, *optional*):
            Fields of `JointMAEConfig` that the weights do not tell, see [`config_of`].

    Returns:
        `JointMAEPreTrainedModel`: The model, in evaluation mode.

    Raises:
        FileExistsError: If `output_dir` holds anything.
        ValueError: If the file is not one of Point-MAE's.
    """
    output_dir = Path(output_dir)
    if output_dir.exists() and any(output_dir.iterdir()):
        raise FileExistsError(f"`output_dir` must be new or empty, got {os.fspath(output_dir)!r}.")
    weights = read_point_mae(path)
    model = _CLASSES[kind_of(weights)](config_of(weights, **overrides)).eval()
    model.load_state_dict(convert_weights(weights))
    model.save_pretrained(output_dir)
    JointMAEFeatureExtractor(num_points=model.config.num_points).save_pretrained(output_dir)
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert one file.

    Args:
        arguments (sequence of `str`, *optional*):
            Command line without the program; that of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m jointmae_hf.hub.convert_point_mae", description=__doc__)
    parser.add_argument("path", help="Point-MAE's .pth file")
    parser.add_argument("output_dir", help="folder to write, new or empty")
    parser.add_argument("--num_points", type=int, help="points of a cloud, by default 1024, in segmentation 2048")
    parser.add_argument("--num_groups", type=int, help="groups, by default 64; 128 in segmentation and ScanObjectNN")
    parser.add_argument("--num_attention_heads", type=int, help="heads, by default 6")
    options = vars(parser.parse_args(arguments))
    path, output_dir = options.pop("path"), options.pop("output_dir")
    fields = {name: value for name, value in options.items() if value is not None}
    if "num_groups" in fields:
        fields["num_groups"] = [fields["num_groups"]]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = convert_point_mae(path, output_dir, **fields)
    logger.info("written: %s, %s of %d parameters", output_dir, type(model).__name__, model.num_parameters())


if __name__ == "__main__":
    main()
