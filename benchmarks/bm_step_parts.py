"""Parts of a pre-training step, forward and backward, compared with their matrix products and convolutions.

    python -m benchmarks.bm_step_parts

Each part runs alone in eager mode on its inputs from a step. Rates are clouds per second of that part; the ratio shows
how close a part comes to its matrix products, if it has any.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from jointmae_hf import JointMAEForPreTraining
from jointmae_hf.model.depth_projection import rotate_views
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample
from jointmae_hf.model.losses import reconstruction_loss_3d

from .bm_training_step import Sizes, build, precision
from .matrix_products import MatrixProducts
from .measurement import Measurement, measure_in_turns, run_benchmark, wait_for


def inputs_of_modules(model: JointMAEForPreTraining, points: Tensor, names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the positional and keyword arguments of each call of some modules in one forward pass, detached."""
    calls: dict[str, list[Any]] = {name: [] for name in names}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            calls[name].append(tree_map_only(Tensor, lambda value: value.detach().clone(), (args, kwargs)))

        return hook

    handles = [model.get_submodule(name).register_forward_pre_hook(keep(name), with_kwargs=True) for name in names]
    with torch.no_grad(), precision(points.device):
        model(points)
    for handle in handles:
        handle.remove()
    return calls


def forward_backward(module: Callable[..., Any], calls: Sequence[Any], count: int, device: torch.device) -> int:
    """Run all calls of a part with gradients for computed inputs; return the number of clouds."""
    for args, kwargs in calls:
        args, kwargs = tree_map_only(Tensor, _with_gradient, (args, kwargs))
        with precision(device):
            outputs = module(*args, **kwargs)
        results = [value for value in tree_leaves(outputs) if isinstance(value, Tensor) and value.requires_grad]
        torch.autograd.backward(results, [torch.ones_like(value) for value in results])
    wait_for(device)
    return count


def _with_gradient(value: Tensor) -> Tensor:
    """Return the tensor as a leaf; coordinates and integers need no gradient."""
    needs_gradient = value.is_floating_point() and value.ndim == 3 and value.shape[-1] > 4
    return value.detach().requires_grad_(needs_gradient)


def parts_of(model: JointMAEForPreTraining, points: Tensor) -> dict[str, Callable[[], int]]:
    """Return one function per part of a step; each runs the part and returns the number of clouds."""
    config, count, device = model.config, len(points), points.device
    layers = [f"jointmae.layers.{row}" for row in range(config.num_hidden_layers)]
    modules = {
        "3D embedding": ["jointmae.embeddings_3d"],
        "2D embedding": ["jointmae.embeddings_2d"],
        "encoder": layers,
        "decoder": ["decoder"],
    }
    calls = inputs_of_modules(model, points, [name for names in modules.values() for name in names])

    def run_modules(names: Sequence[str]) -> int:
        for name in names:
            forward_backward(model.get_submodule(name), calls[name], count, device)
        return count

    parts: dict[str, Callable[[], int]] = {
        part: (lambda names=names: run_modules(names)) for part, names in modules.items()
    }
    with torch.no_grad():
        outputs = model(points)
    views = rotate_views(outputs.view, config.num_views)
    reconstruction = outputs.reconstructed_points.detach().clone().requires_grad_()

    def project_input() -> int:
        with torch.no_grad():
            model.project(points, views)
        return count

    def project_reconstruction() -> int:
        model.project(reconstruction, views).square().mean().backward()
        return count

    def compare_groups() -> int:
        groups = reconstruction.unflatten(1, (config.num_groups[-1], -1))
        reconstruction_loss_3d(groups, outputs.target_points.unflatten(1, (config.num_groups[-1], -1))).backward()
        return count

    parts["farthest point sampling"] = lambda: len(farthest_point_sample(points, config.num_groups[0]))
    parts["projection of the input"] = project_input
    parts["projection of the reconstruction"] = project_reconstruction
    parts["Chamfer distance"] = compare_groups
    return parts


def measure(sizes: Sizes) -> list[Measurement]:
    """Measure all parts, each after its own products if it has any."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, _, points = build(sizes, device)
    model.set_attn_implementation("eager")
    measured = []
    for name, part in parts_of(model, points).items():
        with MatrixProducts() as products:
            part()
        candidates: dict[str, Callable[[], int]] = {name: part}
        if products.num_flops:
            floor = {f"{name}, products alone": lambda products=products: products.run() and len(points)}
            candidates = floor | candidates
        measured += measure_in_turns(candidates, "clouds/s", sizes.num_rounds)
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    run_benchmark("step_parts", Sizes(), measure, __doc__, arguments)


if __name__ == "__main__":
    main()
