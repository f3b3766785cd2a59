"""Attention with a mask: time and faults of each backend of torch, and a check that the package avoids the faults.

Known faults of the cuDNN backend: with 64 more than a multiple of 128 tokens, a mask and very low scores, gradients of
queries are NaN (pytorch issue 196678); a float32 mask with bfloat16 queries is silently misread (pull request 191612).
"""

import functools
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.bm_training_step import build
from jointmae_hf import JointMAEConfig
from jointmae_hf.model.modeling_jointmae import JointMAEAttention

from .batches import Record, measure_batch
from .sizes import GpuSizes, find_device


BACKENDS: dict[str, list[SDPBackend] | None] = {
    "default": None,
    "math": [SDPBackend.MATH],
    "efficient": [SDPBackend.EFFICIENT_ATTENTION],
    "flash": [SDPBackend.FLASH_ATTENTION],
    "cudnn": [SDPBackend.CUDNN_ATTENTION],
}
NUM_HEADS, HEAD_SIZE = 6, 64
LARGEST_ERROR = 0.05
"""Maximum error relative to the float64 result; bfloat16 stays below 0.01."""

Tensors = tuple[Tensor, Tensor, Tensor]


def make_inputs(batch_size: int, num_tokens: int, is_low: bool, device: torch.device) -> tuple[Tensors, Tensor]:
    """Return bfloat16 queries, keys and values, and a mask with the diagonal; `is_low`: all scores near -200."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch_size, NUM_HEADS, num_tokens, HEAD_SIZE)
    queries, keys, values = (torch.randn(shape, generator=generator) for _ in range(3))
    if is_low:
        queries, keys = 0.1 * queries + 5.0, 0.1 * keys - 5.0
    may_attend = torch.rand(batch_size, 1, num_tokens, num_tokens, generator=generator) < 0.3
    may_attend |= torch.eye(num_tokens, dtype=torch.bool)
    inputs = tuple(tensor.to(device, torch.bfloat16) for tensor in (queries, keys, values))
    return inputs, may_attend.to(device)  # type: ignore[return-value]


def to_additive(may_attend: Tensor) -> Tensor:
    """Convert the mask to float64 values to add to the scores."""
    return torch.zeros_like(may_attend, dtype=torch.float64).masked_fill(~may_attend, -1e9)


def attend(inputs: Tensors, mask: Tensor, backends: list[SDPBackend] | None) -> tuple[Tensor, ...]:
    """Return the output and the gradients of queries, keys and values for an output gradient of one."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    if backends is None:
        output = scaled_dot_product_attention(*leaves, attn_mask=mask)
    else:
        with sdpa_kernel(backends):
            output = scaled_dot_product_attention(*leaves, attn_mask=mask)
    return output.detach(), *torch.autograd.grad(output.sum(), leaves)


def relative_error(value: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference relative to the expected norm, which is at least one."""
    return float((value.detach().double() - expected).norm() / expected.norm().clamp(min=1.0))


def check_backend(
    inputs: Tensors, mask: Tensor, additive: Tensor, backends: list[SDPBackend] | None
) -> dict[str, Any]:
    """Compare a backend (`None`: the default of torch) with float64; return its error or why it refuses the inputs."""
    try:
        found = attend(inputs, mask, backends)
    except RuntimeError as error:
        return {"refused": str(error).splitlines()[0]}
    expected = attend(tuple(tensor.double() for tensor in inputs), additive, [SDPBackend.MATH])  # type: ignore[arg-type]
    is_finite = all(bool(value.isfinite().all()) for value in found)
    errors = [relative_error(value, other) for value, other in zip(found, expected, strict=True)]
    return {"is_finite": is_finite, "error": max(errors) if is_finite else None}


def check_backends(sizes: GpuSizes) -> dict[str, dict[str, Any]]:
    """Check all backends on the masks of the model and on those of the known faults."""
    device, checked = find_device(), {}
    for num_tokens, is_low, is_bool in ((65, False, True), (64, False, True), (64, True, True), (65, False, False)):
        inputs, may_attend = make_inputs(sizes.batch_sizes[0], num_tokens, is_low, device)
        additive = to_additive(may_attend)
        mask = may_attend if is_bool else additive.float()
        case = f"{num_tokens} tokens, {'boolean' if is_bool else 'float32'} mask{', low scores' if is_low else ''}"
        checked[case] = {name: check_backend(inputs, mask, additive, chosen) for name, chosen in BACKENDS.items()}
    return checked


def check_own_attention(device: torch.device) -> float:
    """Return the error of the package's attention where cuDNN has its faults; raise if it is large or not finite."""
    torch.manual_seed(0)
    module = JointMAEAttention(JointMAEConfig(attn_implementation="sdpa")).to(device)
    reference = JointMAEAttention(JointMAEConfig(attn_implementation="eager")).to(device).double()
    reference.load_state_dict(module.state_dict())
    states = torch.randn(4, 64, module.config.hidden_size, device=device)
    _, may_attend = make_inputs(4, 64, False, device)
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        output, _ = module(states, may_attend)
    expected, _ = reference(states.double(), to_additive(may_attend))
    error = relative_error(output, expected.detach())
    with torch.no_grad():
        module.k_proj.weight.copy_(-module.q_proj.weight)  # all scores are negative squares
    low_states = 9.0 * torch.randn(module.config.hidden_size, device=device) + 0.1 * states
    with torch.autocast(device.type, torch.bfloat16):
        output, _ = module(low_states, may_attend)
    (gradient,) = torch.autograd.grad(output.float().square().sum(), module.q_proj.weight)
    if not (error < LARGEST_ERROR and bool(gradient.isfinite().all())):
        raise RuntimeError(f"the attention of the package must be correct and finite, got an error of {error} or NaN")
    return error


def check_own_mask(sizes: GpuSizes, device: torch.device) -> str:
    """Return the dtype of the mask that the model's attention gets under autocast; raise if it is not boolean."""
    model, _, points = build(sizes.step_sizes(2), device)
    found: list[Tensor] = []
    layer = model.jointmae.layers[0].attention
    handle = layer.register_forward_pre_hook(lambda module, args: found.append(args[1]))
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
        model(points)
    handle.remove()
    if found[0].dtype != torch.bool:
        raise RuntimeError(f"the mask must be boolean under autocast, got {found[0].dtype}")
    return str(found[0].dtype)


def measure(sizes: GpuSizes, record: Record) -> None:
    """Check all backends and the package, and time the backends that accept the mask of the encoder."""
    device, batch_size = find_device(), sizes.middle_batch_size
    record("own_error", check_own_attention(device))
    record("own_mask", check_own_mask(sizes, device))
    checked = check_backends(sizes)
    record("backends", checked)
    inputs, mask = make_inputs(batch_size, 65, False, device)
    usable = [name for name, result in checked["65 tokens, boolean mask"].items() if "refused" not in result]
    functions = {name: functools.partial(attend, inputs, mask, BACKENDS[name]) for name in usable}
    measure_batch(functions, sizes, batch_size, record)
