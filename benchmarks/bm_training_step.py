"""A pre-training step of the default model, eager and compiled, compared with its matrix products alone.

    python -m benchmarks.bm_training_step

A step is forward, backward and AdamW, in float32 on CPU and in bfloat16 autocast on CUDA. The floor replays the matrix
products and convolutions of one eager step. Takes about 5 minutes on 2 CPU cores, half of it for compilation.
"""

import functools
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from jointmae_hf import JointMAEConfig, JointMAEForPreTraining
from jointmae_hf.training import disable_malloc_trim

from .clouds import make_clouds
from .matrix_products import MatrixProducts
from .measurement import Measurement, measure_in_turns, run_benchmark, wait_for
from .operator_shares import operator_shares


@dataclass(frozen=True)
class Sizes:
    """Sizes of the benchmark; tests use small values of `num_layers` and `image_size`."""

    batch_size: int = 8
    num_points: int = 2048
    num_layers: int = 12
    image_size: int = 224
    num_rounds: int = 5


def precision(device: torch.device) -> AbstractContextManager:
    """Return the autocast context of a step."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def training_step(model: nn.Module, optimizer: torch.optim.Optimizer, points: torch.Tensor) -> int:
    """Run one step; return the number of clouds."""
    with precision(points.device):
        loss = model(points).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    wait_for(points.device)
    return len(points)


def build(
    sizes: Sizes, device: torch.device, preset: str = "jointmae-base"
) -> tuple[JointMAEForPreTraining, torch.optim.Optimizer, torch.Tensor]:
    """Build the model in training mode, its optimizer and a batch."""
    disable_malloc_trim()  # as the scripts do
    torch.manual_seed(0)
    scale = {"num_points": sizes.num_points, "image_size": sizes.image_size, "num_hidden_layers": sizes.num_layers}
    model = JointMAEForPreTraining(JointMAEConfig.from_preset(preset, **scale)).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05, fused=True)
    return model, optimizer, make_clouds(sizes.batch_size, sizes.num_points).to(device)


def record_products(model: JointMAEForPreTraining, points: torch.Tensor) -> MatrixProducts:
    """Record the matrix products of one step, with eager attention, which consists of them too."""
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with MatrixProducts() as products, precision(points.device):
        model(points).loss.backward()
    model.zero_grad(set_to_none=True)
    model.set_attn_implementation(implementation)
    return products


def count_compilations(step: Callable[[], int], num_steps: int = 3) -> int:
    """Count the compilations during further steps, each with its own masks and views."""
    torch._dynamo.utils.counters.clear()
    for _ in range(num_steps):
        step()
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all candidates, the floor first; print operator shares, raise if the compiled step recompiles."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, optimizer, points = build(sizes, device)
    products = record_products(model, points)
    eager = functools.partial(training_step, model, optimizer, points)
    compiled = functools.partial(training_step, torch.compile(model), optimizer, points)

    def floor() -> int:
        products.run()
        wait_for(device)
        return len(points)

    for step in (eager, compiled, compiled):
        step()
    if count_compilations(compiled):
        raise RuntimeError("the compiled step must not be compiled again, got new graphs after the first steps")
    print(f"{products.num_flops / len(points) / 1e9:.1f} GFLOP per cloud, forward and backward")
    print(json.dumps(operator_shares(eager), indent=2))
    candidates = {"matrix products and convolutions alone": floor, "eager": eager, "compiled": compiled}
    return measure_in_turns(candidates, "clouds/s", sizes.num_rounds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("training_step", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
