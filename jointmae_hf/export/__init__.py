"""Export of models to other runtimes: `torch.export` and ONNX."""

from .onnx_export import export_onnx
from .program import EXPORT_TASKS, export_program


__all__ = ["EXPORT_TASKS", "export_onnx", "export_program"]
