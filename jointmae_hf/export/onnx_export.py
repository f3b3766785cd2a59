"""Export of models to ONNX."""

import os
from pathlib import Path

import torch
from transformers import PreTrainedModel

from .program import EXPORT_TASKS, dynamic_dimensions, export_program


OPSET_VERSION = 18
"""Version of the ONNX operators, the one that torch translates to: the loop cannot be converted to another."""


def export_onnx(model: PreTrainedModel, path: str | os.PathLike[str], task: str) -> None:
    """Export a model to an ONNX graph that takes points, of any batch size and number of points.

    Farthest point sampling is one ONNX `Scan` over the picks, so the number of nodes does not depend on the number of
    centers. The file contains the weights.

    Args:
        model (`PreTrainedModel`):
            As for [`export_program`].
        path (`str` or `os.PathLike`):
            File to write; its folder is created if it is missing.
        task (`str`):
            Key of [`EXPORT_TASKS`], which lists the names of the outputs.

    Raises:
        ImportError: If onnx or onnxscript is not installed.
        ValueError: If the task is unknown, the model has no head for it, or its weights are not float32.

    Example:
        >>> from jointmae_hf import JointMAEConfig, JointMAEModel
        >>> model = JointMAEModel(JointMAEConfig.from_preset("jointmae-small"))
        >>> export_onnx(model, "model.onnx", "point-cloud-feature-extraction")  # doctest: +SKIP
    """
    try:
        from .onnx_operators import farthest_point_sample
    except ImportError as error:
        raise ImportError('ONNX export needs onnx and onnxscript: pip install "jointmae_hf[onnx]"') from error
    if model.dtype != torch.float32:
        raise ValueError(f"`model` must have float32 weights, got {model.dtype}. Call `model.float()`.")
    program = export_program(model, task)
    exported = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        optimize=False,  # onnxscript simplifies `x + 1e-8` to `x`: NaN in interpolation. Runtimes optimize on loading.
        opset_version=OPSET_VERSION,
        custom_translation_table={torch.ops.jointmae.farthest_point_sample.default: farthest_point_sample},
        input_names=["points"],
        output_names=list(EXPORT_TASKS[task]),
        dynamic_shapes=dynamic_dimensions(model.config.num_groups[0]),  # for their names
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    exported.save(os.fspath(path), external_data=False)  # type: ignore[union-attr]
