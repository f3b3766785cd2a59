"""Compilation of the part that all blocks share, once for all of them, instead of the whole model."""

from typing import Any

from torch import nn

from jointmae_hf.model.modeling_jointmae import JointMAEMLP


def compile_regions(model: nn.Module, backend: str = "inductor", mode: str | None = None) -> nn.Module:
    """Compile the feed-forward half of every block, which is one graph in training and one in evaluation.

    Whatever a block attends to, how many tokens it has and which of its branches stochastic depth skips, this half has one
    form, so that the first step compiles it and later steps, masks, views and batch sizes do not; only a batch of one
    cloud has a graph of its own. Whole blocks, as `accelerate.utils.compile_regions` takes them, need four graphs and four
    times as long, and `torch.compile(model, fullgraph=True)`, which stays possible, nine times as long
    (`docs/performance.md`).

    Args:
        model (`torch.nn.Module`):
            A model of this package, changed in place. Names and values of its weights stay as they are, also in
            checkpoints.
        backend (`str`, *optional*, defaults to `"inductor"`):
            Compiler, as in `torch.compile`.
        mode (`str`, *optional*):
            Effort of the compiler, as in `torch.compile`.

    Returns:
        `torch.nn.Module`: The model.

    Example:
        >>> from jointmae_hf import JointMAEConfig, JointMAEForPreTraining
        >>> model = compile_regions(JointMAEForPreTraining(JointMAEConfig.from_preset("jointmae-small")))
    """
    options: dict[str, Any] = {"backend": backend, "mode": mode, "fullgraph": True, "dynamic": True}
    for module in model.modules():
        if isinstance(module, JointMAEMLP):
            module.compile(**options)
    return model
