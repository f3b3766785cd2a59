"""Models as ONNX graphs."""

import os
from pathlib import Path

import torch
from transformers import PreTrainedModel

from .program import EXPORT_TASKS, export_program, free_dimensions


OPSET_VERSION = 18
"""Version of the ONNX operators, that of torch's own translations: a conversion would have to see through the loop."""


def export_onnx(model: PreTrainedModel, path: str | os.PathLike[str], task: str) -> None:
    """Write a model as an ONNX graph that takes points alone, of any batch size and number of points.

    Farthest point sampling is one ONNX `Scan` over the picks, so the graph has as many nodes for 512 centres as for 16.
    The file holds the weights.

    Args:
        model (`PreTrainedModel`):
            As for [`export_program`].
        path (`str` or `os.PathLike`):
            The file to write; its folder is made if it is missing.
        task (`str`):
            A key of [`EXPORT_TASKS`], which tells the names of the outputs.

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
        optimize=False,  # onnxscript would take `x + 1e-8` for `x`: NaN in interpolation. Runtimes optimise on loading.
        opset_version=OPSET_VERSION,
        custom_translation_table={torch.ops.jointmae.farthest_point_sample.default: farthest_point_sample},
        input_names=["points"],
        output_names=list(EXPORT_TASKS[task]),
        dynamic_shapes=free_dimensions(model.config.num_groups[0]),  # for their names
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    exported.save(os.fspath(path), external_data=False)  # type: ignore[union-attr]
