"""What commands load: a model with the right head, on a device that exists, with a reader of all formats."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jointmae_hf


if TYPE_CHECKING:
    import torch


def load_pipeline(task: str, architecture: str, options: argparse.Namespace, num_points: int | None = None) -> Any:
    """Load a pipeline for the model in the options.

    Args:
        task (`str`):
            Such as `"point-cloud-classification"`.
        architecture (`str`):
            Class that the checkpoint must be of: transformers would give any other a random head.
        options (`argparse.Namespace`):
            With the flags of `add_model_arguments`.
        num_points (`int`, *optional*):
            Points to draw from the surface of a mesh; defaults to those of the model.

    Returns:
        `transformers.Pipeline`: It reads files of every format of `read_point_cloud`.

    Raises:
        ValueError: If the checkpoint is of another class, or there is no such device.
    """
    from transformers import AutoConfig, pipelines

    from jointmae_hf.data import read_point_cloud

    device, revision = choose_device(options.device), options.revision or "main"
    config = AutoConfig.from_pretrained(options.model, revision=revision)
    if architecture not in (config.architectures or []):
        raise ValueError(f"`--model` must be a {architecture}, got {options.model}, a {config.architectures}.")
    build: Any = pipelines.pipeline  # its type knows the tasks of transformers alone
    loaded = build(task, model=options.model, revision=revision, device=device)
    if options.up_axis is not None:
        loaded.feature_extractor.up_axis = options.up_axis
    size = loaded.feature_extractor.num_points if num_points is None else num_points
    reader = partial(read_point_cloud, num_points=size, points_key=options.points_key)
    return partial(loaded, reader=reader, batch_size=options.batch_size)


def choose_device(name: str | None) -> "torch.device":
    """Return the device that was asked for, by default the GPU if there is one.

    Args:
        name (`str`, *optional*):
            Such as `"cuda:1"`.

    Returns:
        `torch.device`: A device of this machine.

    Raises:
        ValueError: If there is none of this name.
    """
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # an unknown name, no such GPU, or a torch without GPUs
        reason = str(error).partition("\n")[0]
        raise ValueError(f"`--device` must be a device of this machine, got {name!r}: {reason}") from error


def shipped_model() -> str:
    """Return the folder of the pre-trained weights that are in the repository and not in the wheel.

    Returns:
        `str`: An existing folder.

    Raises:
        ValueError: If the package is not installed from a clone.
    """
    folder = Path(jointmae_hf.__file__).parents[1] / "checkpoints" / "jointmae-small"
    if not folder.is_dir():
        raise ValueError(
            "`--model` must be given unless the package is installed from a clone of its repository, got none."
        )
    return str(folder)
