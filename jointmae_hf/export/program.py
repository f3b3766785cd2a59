"""Export of models to one graph of `torch.export`, from points to the outputs of a task."""

import torch
from torch import Tensor
from transformers import PreTrainedModel


EXPORT_TASKS = {
    "point-cloud-classification": ("logits",),
    "point-cloud-feature-extraction": ("pooler_output", "last_hidden_state", "centers"),
    "point-cloud-segmentation": ("logits",),
}
"""Outputs of the graph for each task."""


class _NamedOutputs(torch.nn.Module):
    """Model that returns some of its outputs as a tuple."""

    def __init__(self, model: torch.nn.Module, names: tuple[str, ...]):
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, points: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(points=points)
        return tuple(outputs[name] for name in self.names)


def dynamic_dimensions(num_centers: int) -> dict[str, dict[int, torch.export.Dim]]:
    """Return the dynamic dimensions of the input.

    Args:
        num_centers (`int`):
            Minimum number of points, `config.num_groups[0]`.

    Returns:
        `dict[str, dict[int, torch.export.Dim]]`: `dynamic_shapes` of `torch.export.export`.
    """
    points = {0: torch.export.Dim("batch_size", min=1), 1: torch.export.Dim("num_points", min=num_centers)}
    return {"points": points}


def export_program(model: PreTrainedModel, task: str) -> torch.export.ExportedProgram:
    """Export a model for a task to one graph with dynamic batch size and number of points.

    Farthest point sampling stays one node, `jointmae::farthest_point_sample`. Import `jointmae_hf` before you load the
    program in another process.

    Args:
        model (`PreTrainedModel`):
            `JointMAEForPointCloudClassification` for `"point-cloud-classification"`,
            `JointMAEForPointCloudSegmentation` for `"point-cloud-segmentation"` (without a category), any model of
            Joint-MAE for `"point-cloud-feature-extraction"`. It is traced in evaluation mode, in its dtype and on its
            device, and is not changed.
        task (`str`):
            Key of [`EXPORT_TASKS`], which lists the outputs.

    Returns:
        `torch.export.ExportedProgram`: Takes `points`, float32 `(batch_size, num_points, 3)`, with at least
        `config.num_groups[0]` points, as returned by [`JointMAEFeatureExtractor`]; returns a tuple.

    Raises:
        ValueError: If the task is unknown or the model has no head for it.
    """
    if task not in EXPORT_TASKS:
        raise ValueError(f"`task` must be one of {', '.join(EXPORT_TASKS)}, got {task!r}.")
    head = {"point-cloud-classification": "classifier", "point-cloud-segmentation": "segmenter"}.get(task)
    if head is not None and not hasattr(model, head):
        raise ValueError(f"`model` must have a head called `{head}` for {task}, got {type(model).__name__}.")
    traced = model if head is not None else getattr(model, model.base_model_prefix, model)
    num_centers, num_points = model.config.num_groups[0], model.config.num_points
    # The exporter would treat a size of 1, or two equal sizes, as static.
    example = torch.rand(2, max(num_points, num_centers + 1), 3, generator=torch.Generator().manual_seed(0))
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            wrapped = _NamedOutputs(traced, EXPORT_TASKS[task]).eval()
            return torch.export.export(
                wrapped, (example.to(model.device),), dynamic_shapes=dynamic_dimensions(num_centers)
            )
    finally:
        for module, is_training in modes.items():
            module.training = is_training
