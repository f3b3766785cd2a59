"""Share of each kind of operator in the time of a step, by the profiler of torch."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


KINDS: dict[str, tuple[str, ...]] = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "linear", "gemm", "cutlass", "xmma", "nvjet"),
    "convolutions": ("convolution", "conv", "mkldnn_convolution"),
    "attention": ("attention", "softmax", "flash", "fmha"),
    "norms": ("layer_norm", "batch_norm", "native_layer", "native_batch"),
    "farthest point sampling": ("jointmae", "sample_cloud"),
    "neighbors": ("topk", "sort", "min", "max", "argmin"),
    "gathers and sums by index": ("index", "gather", "scatter", "embedding"),
    "optimizer": ("adam", "optimizer"),
    "copies": ("copy", "cat", "contiguous", "clone", "memcpy", "memset", "fill", "zero", "stack"),
}
"""Kind of operator to parts of its name; the first match counts, the rest is pointwise."""


def kind_of(name: str) -> str:
    """Return the kind of an operator or kernel: a key of `KINDS`, `"compiled kernels"` or `"pointwise"`."""
    plain = name.removeprefix("aten::").lower().strip("_")
    if plain.startswith("triton_"):  # inductor names a kernel after all operators that it fuses
        return "compiled kernels"
    for kind, parts in KINDS.items():
        if any(part in plain if len(part) > 3 else plain.split("_")[0] == part for part in parts):
            return kind
    return "pointwise"


def operator_times(step: Callable[[], Any]) -> dict[str, float]:
    """Profile one call; return operators with their milliseconds (of kernels on CUDA), largest first."""
    is_cuda = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]
    with profile(activities=activities) as profiler:
        step()
    times: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        is_kernel = event.device_type == torch.autograd.DeviceType.CUDA
        if is_kernel == is_cuda:
            microseconds = event.self_device_time_total if is_cuda else event.self_cpu_time_total
            times[event.key] += microseconds / 1000
    return dict(sorted(times.items(), key=lambda item: -item[1]))


def shares_by_kind(times: Mapping[str, float]) -> dict[str, float]:
    """Return the share of total time per kind of operator, largest first."""
    kinds: dict[str, float] = defaultdict(float)
    for name, time in times.items():
        kinds[kind_of(name)] += time
    total = sum(kinds.values())
    return {kind: round(time / total, 4) for kind, time in sorted(kinds.items(), key=lambda item: -item[1])}


def operator_shares(step: Callable[[], Any]) -> dict[str, float]:
    """Profile one call; return the share of time per kind of operator."""
    return shares_by_kind(operator_times(step))
